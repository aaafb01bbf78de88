"""Writing files whole or not at all, with a full disk told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vpr_ros.encoders.engines.engine import first_line
from vpr_ros.training.errors import TrainingError

# Text may hold names of files, which on Linux need be no UTF-8.
UNENCODABLE = "backslashreplace"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield the path to write to; what is there is put in its place at the end.

    Raises:
        TrainingError: It can't be written.
    """
    unfinished = path.with_name(f"{path.name}.part")
    with told_as_unwritable(path):
        yield unfinished
        unfinished.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text.

    Raises:
        TrainingError: It can't be written.
    """
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors=UNENCODABLE)


@contextmanager
def told_as_unwritable(path: Path) -> Iterator[None]:
    """Tell what goes wrong within as that a file can't be written.

    Raises:
        TrainingError: Something did.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch raises the second where the disk is full
        raise TrainingError(
            f"can't write '{path}': {first_line(error)}; expected a folder that can be written and space on its disk: "
            "make space, or give another --out"
        ) from error
