"""Truth as a table of revisits: which frames show which others again, written down by somebody who looked."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.scoring.truth import PairLabel, Truth, TruthError

_HEADER = ["query", "match"]
_IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class FrameNames:
    """The frames of a source as a table may refer to them.

    Attributes:
        count: How many there are.
        names: Their file names in order, empty where they have none.
    """

    count: int
    names: tuple[str, ...] = ()
    _positions: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Index the names once."""
        self._positions.update((name, position) for position, name in enumerate(self.names))

    def index_of(self, text: str) -> int:
        """Return the position of the frame that a name or a 0-based index means; a name comes first.

        Raises:
            ValueError: There is none; says what there is.
        """
        if text in self._positions:
            return self._positions[text]
        if text.isdecimal() and int(text) < self.count:
            return int(text)
        known = f"names such as '{self.names[0]}' or " if self.names else ""
        raise ValueError(f"there is no frame '{text}', expected {known}indexes from 0 to {self.count - 1}")


class RevisitTruth(Truth):
    """A table of revisits. A query that is not in it shows no earlier place: any match is wrong."""

    def __init__(self, pairs: Iterable[tuple[int, int]], ignored: Iterable[int] = (), about: str = "") -> None:
        """Take what is known.

        Args:
            pairs: Query and match, frames that show the same place.
            ignored: Queries that are not scored.
            about: Where it comes from.
        """
        self.about = about or "A table of revisits; a match that is not in it is wrong."
        self._pairs = _pair_keys(np.array(list(pairs), np.int64).reshape(-1, 2).T)
        self._ignored = np.array(list(ignored), np.int64)

    def labels(self, queries: NDArray[np.int64], matches: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return the ``PairLabel`` of each pair."""
        queries, matches = np.broadcast_arrays(queries, matches)
        is_right = np.isin(_pair_keys((queries, matches)), self._pairs)
        labels = np.where(is_right, PairLabel.RIGHT, PairLabel.WRONG).astype(np.int8)
        labels[np.isin(queries, self._ignored)] = PairLabel.IGNORED
        return labels


def read_revisits(path: Path, queries: FrameNames, matches: FrameNames | None = None) -> RevisitTruth:
    """Read a table of revisits: header ``query,match``, several matches separated by ``;``, or the word ``ignore``.

    A query in several rows has the matches of all of them.

    Args:
        path: The CSV file.
        queries: What the names and indexes in the first column mean.
        matches: What those in the second column mean; None if both come from one source.

    Raises:
        TruthError: The file can't be read, or a row means nothing; names file and line.
    """
    pairs: list[tuple[int, int]] = []
    ignored: set[int] = set()
    for line, query_text, match_text in _rows(path):
        place = f"{path}, line {line}"
        (query,) = _indexes(queries, [query_text], place)
        if match_text == _IGNORE:
            ignored.add(query)
        else:
            pairs += [(query, match) for match in _indexes(matches or queries, match_text.split(";"), place)]
    if both := ignored.intersection(query for query, _ in pairs):
        raise TruthError(
            f"{path}: frame {min(both)} has matches in one row and '{_IGNORE}' in another; keep one of them"
        )
    return RevisitTruth(pairs, ignored, f"Revisits by {path.name}; a match that is not in it is wrong.")


def _indexes(names: FrameNames, texts: Iterable[str], place: str) -> list[int]:
    try:
        return [names.index_of(text.strip()) for text in texts]
    except ValueError as error:
        raise TruthError(f"{place}: {error}") from error


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line number, query and match of each row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # a spreadsheet may write a byte order mark
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            if header != _HEADER:
                raise TruthError(f"{path}, line 1: header is '{','.join(header)}', expected '{','.join(_HEADER)}'")
            for row in filter(None, reader):
                if len(row) != len(_HEADER) or not all(cell.strip() for cell in row):
                    raise TruthError(
                        f"{path}, line {reader.line_num}: '{','.join(row)}' is no row, expected a query and its "
                        f"matches separated by ';' or the word '{_IGNORE}'; a query without a revisit has no row"
                    )
                yield reader.line_num, row[0].strip(), row[1].strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TruthError(f"can't read revisits {path}: {error}; expected a CSV file '{','.join(_HEADER)}'") from error


def _pair_keys(pairs: Sequence[NDArray[np.int64]] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number a pair, so that whole arrays of pairs can be looked up."""
    queries, matches = pairs
    keys: NDArray[np.int64] = (np.asarray(queries, np.int64) << 32) | matches
    return keys
