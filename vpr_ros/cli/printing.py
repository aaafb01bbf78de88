"""How results reach standard output: tables for people, JSON for machines, never both there."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from vpr_ros.evaluation import Result

# Wide enough for a reason in a pipe or file, where no terminal sets a width.
_WIDTH_OF_FILES = 180


def output_for_people(arguments: argparse.Namespace) -> TextIO:
    """Return standard output, or standard error where ``--json -`` has taken it."""
    return sys.stderr if arguments.json == Path("-") else sys.stdout


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], output: TextIO) -> None:
    """Print rows in columns, numbers to the right; a float is given to three digits, None as a dash."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, heading in enumerate(headings):
        is_number = bool(rows) and all(isinstance(row[column], (int, float)) for row in rows)
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    # Not printed by rich itself, which ends the program with status 1 where a reader leaves early.
    painted = io.StringIO()
    is_terminal = output.isatty()
    Console(file=painted, force_terminal=is_terminal, width=None if is_terminal else _WIDTH_OF_FILES).print(table)
    print(painted.getvalue(), end="", file=output)


def write_json(arguments: argparse.Namespace, result: Result) -> None:
    """Write the result where ``--json`` asks for it, if it does; a file is replaced whole."""
    from vpr_ros.evaluation import to_json, write_whole

    if arguments.json is None:
        return
    if arguments.json == Path("-"):
        print(to_json(result))
    else:
        write_whole(arguments.json, to_json(result) + "\n")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
