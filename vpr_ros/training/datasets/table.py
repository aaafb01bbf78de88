"""CSV tables whose cells are checked where they are used, so that what is wrong is named with its line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path

from vpr_ros.training.errors import TrainingError


class TableRow(dict[str, str]):
    """One row: its cells by column; a cell that is not there is empty.

    Attributes:
        where: File and line, for errors.
    """

    def __init__(self, cells: dict[str, str], where: str) -> None:
        """Take the cells."""
        super().__init__(cells)
        self.where = where

    def filled(self, column: str) -> str:
        """Return a text.

        Raises:
            TrainingError: It is empty.
        """
        if not self[column].strip():
            raise self._unfit(column, "a name")
        return self[column]

    def file_name(self, column: str) -> str:
        """Return the name of a file.

        Raises:
            TrainingError: No file can have it.
        """
        if "\0" in self.filled(column):
            raise self._unfit(column, "a file name")
        return self[column]

    def whole(self, column: str) -> int:
        """Return a whole number.

        Raises:
            TrainingError: It is none.
        """
        try:
            return int(self[column])
        except ValueError:
            raise self._unfit(column, "a whole number") from None

    def number(self, column: str) -> float:
        """Return a finite number.

        Raises:
            TrainingError: It is none.
        """
        try:
            value = float(self[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self._unfit(column, "a number")
        return value

    def _unfit(self, column: str, expected: str) -> TrainingError:
        return TrainingError(f"{self.where}: {column} is {self[column]!r}, expected {expected}; mend or remove the row")


def read_table(path: Path, wanted: Iterable[str]) -> list[TableRow]:
    """Return the rows of a CSV file.

    Raises:
        TrainingError: It can't be read, holds no row, lacks a column, or a row ends before a column that is wanted.
    """
    try:
        # Excel writes a byte order mark, and people a space after a comma.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            numbered = [(reader.line_num, cells) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"can't read table '{path}': {error}; expected CSV with a header") from error
    absent = [name for name in wanted if not numbered or name not in numbered[0][1]]
    if absent:
        seen = ", ".join(map(str, numbered[0][1])) if numbered else "no row"
        raise TrainingError(f"table '{path}' has {seen}; expected the columns {', '.join(wanted)}")
    return [_row(cells, f"table '{path}' line {line}", wanted) for line, cells in numbered]


def _row(cells: dict[str, str | None], where: str, wanted: Iterable[str]) -> TableRow:
    short = [name for name in wanted if cells[name] is None]
    if short:
        raise TrainingError(f"{where} ends before {', '.join(short)}, expected a cell a column; mend or remove the row")
    return TableRow({name: cell or "" for name, cell in cells.items()}, where)
