"""The folder that a training writes into: whether it can, and the images that were left out."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from vpr_ros.training.checkpoint import LAST
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.pool import ViewPool
from vpr_ros.training.writing import UNENCODABLE, told_as_unwritable, whole_file

_SKIPPED = "skipped.csv"


def prepare_folder(out: Path, *, resume: bool) -> None:
    """Make the output folder.

    Raises:
        TrainingError: It can't be written, or holds a checkpoint that nobody wants to go on from.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise TrainingError(f"can't make the output folder '{out}': {error}; give another --out") from error
    if not os.access(out, os.W_OK):
        raise TrainingError(f"the output folder '{out}' can't be written; check its permissions, or give another --out")
    if resume and not (out / LAST).is_file():
        raise TrainingError(f"there is no checkpoint '{out / LAST}' to go on from; leave out --resume")
    if not resume and (out / LAST).is_file():
        raise TrainingError(
            f"'{out}' holds the checkpoint of an earlier training; go on from it with --resume, or give another --out"
        )


def write_skipped(out: Path, pools: Sequence[ViewPool]) -> int:
    """List the images that could not be read, and return how many files they are.

    Raises:
        TrainingError: The list can't be written.
    """
    reasons = sorted({reason for pool in pools for reason in pool.corrupt.values()})
    path = out / _SKIPPED
    with told_as_unwritable(path):
        path.unlink(missing_ok=True)
    if reasons:
        with (
            whole_file(path) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8", errors=UNENCODABLE) as file,
        ):
            csv.writer(file).writerows([("skipped",), *((reason,) for reason in reasons)])
    return len(reasons)
