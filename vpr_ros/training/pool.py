"""All views of all data sets under one numbering, and their renderings as network inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Recipe
from vpr_ros.encoders.preprocessing import Preprocessing
from vpr_ros.training.appearance import vary
from vpr_ros.training.datasets.specs import DataSpec
from vpr_ros.training.datasets.views import CorruptImageError, DataSet

PLAIN = 0  # The rendering without any variation.

# Of a spec, what says which views are learned from and as what, not how they look; files are told by their names.
_LABELS_ALONE = (
    *("path", "paths", "split", "only_open", "one_site", "numbered_site", "share"),
    *("positive_overlap", "negative_overlap"),
)


class ViewPool:
    """Views of several data sets, numbered through.

    Attributes:
        sets: The data sets.
        offsets: First view of each, and the number of all, shape (sets + 1,), int64.
        corrupt: Why a view can't be read, by its number; grows as views are asked for.
    """

    def __init__(self, sets: Sequence[DataSet], recipe: Recipe, seed: int) -> None:
        """Take the data sets.

        Args:
            sets: At least one.
            recipe: What the network's input looks like.
            seed: Of all renderings: view and rendering number decide the rest.
        """
        self.sets = tuple(sets)
        self.offsets = np.cumsum([0, *(len(data.table) for data in sets)]).astype(np.int64)
        self.corrupt: dict[int, str] = {}
        self._preprocessing = Preprocessing(recipe)
        self._size = (recipe.height, recipe.width)
        self._seed = seed

    def __len__(self) -> int:
        """Return the number of views."""
        return int(self.offsets[-1])

    @property
    def places(self) -> NDArray[np.int64]:
        """Class of each view, numbered through, shape (n,)."""
        bounds = np.cumsum([0, *(int(data.table.place.max()) + 1 for data in self.sets)])
        return np.concatenate([data.table.place + first for data, first in zip(self.sets, bounds, strict=False)])

    def name_of(self, view: int) -> str:
        """Return what a view is, for people: its file where it has one."""
        data, row = self._located(view)
        paths = getattr(data, "paths", None)
        return str(paths[row]) if paths else f"view {row} of {data.name}"

    def image(self, view: int, rendering: int) -> NDArray[np.uint8]:
        """Return a rendering of a view, RGB; the same numbers give the same image.

        Raises:
            CorruptImageError: The file holds no whole image.
        """
        data, row = self._located(view)
        if rendering == PLAIN:
            return data.read(row, None)
        rng = np.random.default_rng((self._seed, view, rendering))
        return vary(data.read(row, rng), data.appearance, rng)

    def _located(self, view: int) -> tuple[DataSet, int]:
        """Return a view's data set and its row there."""
        number = int(np.searchsorted(self.offsets, view, side="right")) - 1
        return self.sets[number], int(view - self.offsets[number])

    def inputs(
        self, views: NDArray[np.int64], renderings: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the network's inputs of renderings, and which of them could be read.

        A view whose file is corrupt is noted in ``corrupt`` and left out.

        Args:
            views: Numbers, shape (n,).
            renderings: Numbers, shape (n,).

        Returns:
            Inputs (m, 3, height, width), float32, and positions among ``views``, shape (m,).
        """
        made = [
            self._input(view, rendering) for view, rendering in zip(views.tolist(), renderings.tolist(), strict=True)
        ]
        read = np.flatnonzero([each is not None for each in made])
        nothing = np.zeros((0, 3, *self._size), np.float32)
        return np.concatenate([nothing, *(each for each in made if each is not None)]), read

    def _input(self, view: int, rendering: int) -> NDArray[np.float32] | None:
        try:
            return self._preprocessing.apply(np.ascontiguousarray(self.image(view, rendering)))
        except CorruptImageError as error:
            self.corrupt[view] = str(error)
            return None

    def fingerprint(self) -> str:
        """Return a digest of what decides every rendering: files, sizes, settings, frames, seed."""
        digest = hashlib.sha256(repr((self._seed, self._size)).encode())
        for data in self.sets:
            digest.update(repr((data.name, data.appearance, data.facts.about, len(data.table))).encode())
            digest.update(data.table.heading_deg.tobytes() + data.table.position_m.tobytes())
            digest.update(repr(_looks(getattr(data, "spec", None))).encode())
            for frame in getattr(data, "encoded", ()):
                digest.update(frame.tobytes())
            for path in getattr(data, "paths", ()):
                digest.update(f"{path.name} {_size_of(path)}".encode(errors="surrogateescape"))  # any bytes are a name
        return digest.hexdigest()


def _size_of(path: Path) -> int:
    """Return a file's size in bytes; 0 where there is none."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # a name that is too long
        return 0


def _looks(spec: DataSpec | None) -> list[tuple[str, object]]:
    """Return what a spec says of how views look; a value that is not known to change nothing counts."""
    if spec is None:
        return []
    return [(each.name, getattr(spec, each.name)) for each in fields(spec) if each.name not in _LABELS_ALONE]
