"""Progress of long work on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Where no terminal is, logs are read later: often enough to see that it moves, seldom enough to read.
_LINE_EVERY_S = 10.0


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each step.

    Args:
        what: The thing that is counted, plural.
        total: How many there will be, 0 if nobody knows.
    """
    with _bar(what, total) if sys.stderr.isatty() else _lines(what, total) as advance:
        yield advance


@contextmanager
def byte_progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function that takes the bytes that are there and the bytes in all, None where nobody knows.

    Args:
        what: The thing that is downloaded.
    """
    with _byte_bar(what) if sys.stderr.isatty() else _byte_lines(what) as report:
        yield report


@contextmanager
def _byte_bar(what: str) -> Iterator[Callable[[int, int | None], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _byte_lines(what: str) -> Iterator[Callable[[int, int | None], None]]:
    said_at = time.monotonic()

    def report(done: int, total: int | None) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _LINE_EVERY_S:
            said_at = time.monotonic()
            of_all = f" of {total / 1e6:.1f}" if total else ""
            print(f"{what}: {done / 1e6:.1f}{of_all} MB", file=sys.stderr, flush=True)

    yield report


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total or None)
        yield lambda: bar.advance(task)


@contextmanager
def _lines(what: str, total: int) -> Iterator[Callable[[], None]]:
    done = 0
    said_at = time.monotonic()

    def advance() -> None:
        nonlocal done, said_at
        done += 1
        if time.monotonic() - said_at >= _LINE_EVERY_S:
            said_at = time.monotonic()
            print(f"{done} of {total} {what}" if total else f"{done} {what}", file=sys.stderr, flush=True)

    yield advance
