"""Nearest descriptors by inner product: FAISS, exact, in memory."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from vpr_ros.place_map.errors import MapError

# Engines that normalise in float16 are off by up to 1e-3; anything beyond this was not normalised at all.
UNIT_TOLERANCE = 1e-2


class DescriptorIndex:
    """Descriptors in rows, numbered from 0 in the order they were added.

    The search is exhaustive: a robot's map has thousands of places, and an approximate index would save milliseconds
    and lose loops.
    """

    def __init__(self, dim: int) -> None:
        """Start empty, for descriptors of length ``dim``."""
        self._dim = dim
        self._faiss = faiss.IndexFlatIP(dim)

    def __len__(self) -> int:
        """Return the number of descriptors."""
        return int(self._faiss.ntotal)

    def add(self, descriptors: NDArray[np.float32]) -> None:
        """Append descriptors, shape (n, dim), float32, already checked."""
        self._faiss.add(np.ascontiguousarray(descriptors))

    def descriptors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return a copy of some rows, shape (n, dim)."""
        # A view of FAISS's own memory, which the next add() may move: it must not leave this method.
        view = faiss.rev_swig_ptr(self._faiss.get_xb(), len(self) * self._dim).reshape(-1, self._dim)
        chosen: NDArray[np.float32] = view[rows]
        return chosen

    def search(
        self, descriptor: NDArray[np.float32], k: int, exclude: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return rows and inner products of the ``k`` best, best first; fewer where there are fewer.

        Args:
            descriptor: Query, shape (dim,), already checked.
            k: At least 1.
            exclude: Rows to leave out; numbers that are no row are ignored.
        """
        similarities, rows = self._faiss.search(
            descriptor[None], min(k, max(1, len(self))), params=self._without(exclude)
        )
        found = rows[0] >= 0
        return rows[0][found], similarities[0][found]

    def _without(self, exclude: NDArray[np.int64]) -> faiss.SearchParameters | None:
        exclude = exclude[(exclude >= 0) & (exclude < len(self))]
        if not len(exclude):
            return None
        is_allowed = np.ones(len(self), dtype=np.bool_)
        is_allowed[exclude] = False
        # FAISS's type information describes the C++ constructors, not those of its Python face.
        selector = faiss.IDSelectorBitmap(np.packbits(is_allowed, bitorder="little"))  # type: ignore[call-arg, arg-type]
        return faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]


def check_descriptor(descriptor: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """Return a descriptor as contiguous float32 if it can be compared with others of length ``dim``.

    Raises:
        MapError: Wrong shape or type, NaN, or not of unit length.
    """
    if descriptor.shape != (dim,) or descriptor.dtype != np.float32:
        raise MapError(
            f"descriptor has shape {descriptor.shape} and type {descriptor.dtype}, expected ({dim},) float32; "
            "use the encoder the map was made with"
        )
    length = float(np.linalg.norm(descriptor))
    if not abs(length - 1) <= UNIT_TOLERANCE:
        raise MapError(
            f"descriptor has length {length:.4g}, expected 1; check the encoder's output for NaN and normalise it"
        )
    return np.ascontiguousarray(descriptor)
