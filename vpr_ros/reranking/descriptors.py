"""The patch descriptors of one image, and the few bytes in which a map keeps them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.reranking.errors import RerankingError

_MAGIC = b"VPRP\x01"
# Magic, first half of the vocabulary's sha256, descriptor length, number of sizes; then size, rows, columns of each.
_HEADER, _GRID = struct.Struct("<5s16sHB"), struct.Struct("<BHH")
_LARGEST_INT8 = 127


@dataclass(frozen=True, slots=True, eq=False)
class PatchScale:
    """The descriptors of all windows of one size.

    Attributes:
        size: Side of a window in positions of the feature map.
        rows: Windows from top to bottom.
        columns: Windows from left to right.
        vectors: Unit rows, window (row, column) at row * columns + column, shape (rows * columns, dim), float32.
    """

    size: int
    rows: int
    columns: int
    vectors: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check the shape once."""
        if self.vectors.ndim != 2 or len(self.vectors) != self.rows * self.columns or not self.vectors.size:
            raise RerankingError(
                f"windows of size {self.size} are {self.rows} x {self.columns}, with descriptors of shape "
                f"{self.vectors.shape}; expected one row a window"
            )

    def grid(self, patches: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (column, row) of patches by their index, shape (n, 2)."""
        return np.stack((patches % self.columns, patches // self.columns), axis=1)

    def centres(self, patches: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the centres (x, y) of patches as shares of the image's width and height, shape (n, 2)."""
        positions = np.array([self.columns + self.size - 1, self.rows + self.size - 1])
        centres: NDArray[np.float64] = (self.grid(patches) + self.size / 2) / positions
        return centres


@dataclass(frozen=True, slots=True, eq=False)
class PatchDescriptors:
    """The patch descriptors of one image.

    Attributes:
        vocabulary_sha256: ``content_sha256`` of the vocabulary that made them; its first 32 digits after a way
            through bytes.
        scales: One a window size, ascending.
    """

    vocabulary_sha256: str
    scales: tuple[PatchScale, ...]

    def to_bytes(self) -> bytes:
        """Return them as int8, each row scaled by its largest value.

        The scale itself is not kept, because rows have unit length and get it back when they are read.
        """
        dim = self.scales[0].vectors.shape[1]
        header = _HEADER.pack(_MAGIC, bytes.fromhex(self.vocabulary_sha256)[:16], dim, len(self.scales))
        grids = (_GRID.pack(scale.size, scale.rows, scale.columns) for scale in self.scales)
        return b"".join((header, *grids, *(_as_int8(scale.vectors).tobytes() for scale in self.scales)))

    @classmethod
    def from_bytes(cls, content: bytes) -> PatchDescriptors:
        """Return what :meth:`to_bytes` wrote, rows of unit length again.

        Raises:
            RerankingError: Something else, truncated, or of another version.
        """
        try:
            magic, vocabulary, dim, count = _HEADER.unpack_from(content)
            grids = [_GRID.unpack_from(content, _HEADER.size + i * _GRID.size) for i in range(count)]
        except struct.error as error:
            raise RerankingError(f"{len(content)} bytes are too few for patch descriptors; {_ADVICE}") from error
        start = _HEADER.size + count * _GRID.size
        expected = start + dim * sum(rows * columns for _, rows, columns in grids)
        if magic != _MAGIC or len(content) != expected or not count:
            raise RerankingError(
                f"{len(content)} bytes that begin with {magic!r} are no patch descriptors; expected {_MAGIC!r} and "
                f"{expected} bytes; {_ADVICE}"
            )
        scales = []
        for size, rows, columns in grids:
            values = np.frombuffer(content, np.int8, rows * columns * dim, start)
            scales.append(PatchScale(size, rows, columns, _unit_rows(values.reshape(-1, dim))))
            start += values.size
        return cls(vocabulary.hex(), tuple(scales))


_ADVICE = "the map's column is damaged or of another version: make the map anew, or switch the stage off"


def check_comparable(query: PatchDescriptors, match: PatchDescriptors) -> None:
    """Refuse descriptors of two vocabularies.

    Raises:
        RerankingError: They were made by different vocabularies or at different window sizes.
    """
    shorter = min(len(query.vocabulary_sha256), len(match.vocabulary_sha256))
    if query.vocabulary_sha256[:shorter] != match.vocabulary_sha256[:shorter]:
        raise RerankingError(
            f"patch descriptors of vocabulary {match.vocabulary_sha256[:12]}... can't be compared with those of "
            f"{query.vocabulary_sha256[:12]}...; use the weights the map was made with, or make a new map"
        )
    sizes = tuple([scale.size for scale in descriptors.scales] for descriptors in (query, match))
    if sizes[0] != sizes[1]:
        raise RerankingError(f"patch descriptors have windows of {sizes[0]} and {sizes[1]}; expected the same sizes")


def _as_int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled: NDArray[np.float32] = np.rint(vectors * (_LARGEST_INT8 / np.maximum(largest, 1e-12)))
    return scaled.astype(np.int8)


def _unit_rows(values: NDArray[np.int8]) -> NDArray[np.float32]:
    rows = values.astype(np.float32)
    lengths = np.sqrt(np.einsum("nc,nc->n", rows, rows))
    rows /= np.maximum(lengths, 1)[:, np.newaxis]  # Only a row of zeros is shorter.
    return rows
