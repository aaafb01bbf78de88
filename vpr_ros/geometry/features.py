"""Local features of one image: where they are, what they look like, how far away they are; and their bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vpr_ros.geometry.errors import GeometryError

# The working image: large ones are made smaller so that time is bounded, tiny ones larger so that features are found.
_WORKING_SIDES = (320, 640)
_MAGIC = b"VPRF\x01"
# Magic, length of the extractor's name, width, height, number of keypoints, bytes of a descriptor.
_HEADER = struct.Struct("<5sBIIHH")
_ADVICE = "the map's column is damaged or of another version: make the map anew, or switch geometry off"


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSet:
    """The local features of one image.

    Attributes:
        extractor: Name of what found them; only features of one extractor can be compared.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        keypoints: x, y in pixels of the full image (centre of the first pixel is 0, 0), shape (n, 2), float32.
        descriptors: One row a keypoint, shape (n, dim), uint8.
        depth_m: Depth along the optical axis, shape (n,), float32, metres, NaN = unknown.

    Raises:
        GeometryError: Lengths or types do not fit together.
    """

    extractor: str
    width: int
    height: int
    keypoints: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    depth_m: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check the shapes once."""
        n = len(self.keypoints)
        shapes = (self.keypoints.shape, self.descriptors.shape[:1], self.depth_m.shape)
        if shapes != ((n, 2), (n,), (n,)) or self.descriptors.ndim != 2 or self.descriptors.dtype != np.uint8:
            raise GeometryError(
                f"features have keypoints {self.keypoints.shape}, descriptors {self.descriptors.shape} "
                f"{self.descriptors.dtype} and depth {self.depth_m.shape}; expected (n, 2), (n, dim) uint8 and (n,)"
            )

    def __len__(self) -> int:
        """Return the number of keypoints."""
        return len(self.keypoints)

    @property
    def working_pixel(self) -> float:
        """Size of a pixel of the working image in pixels of the full image."""
        longer = max(self.width, self.height)
        return longer / min(max(longer, _WORKING_SIDES[0]), _WORKING_SIDES[1])

    def with_depth(self, depth_m: NDArray[np.float32]) -> FeatureSet:
        """Return the same features with these depths, shape (n,), metres."""
        return replace(self, depth_m=depth_m.astype(np.float32, copy=False))

    def to_bytes(self) -> bytes:
        """Return them for a map: keypoints as float32, descriptors as they are, depth as float16 (1 mm at 2 m)."""
        name = self.extractor.encode("utf-8")
        header = _HEADER.pack(_MAGIC, len(name), self.width, self.height, len(self), self.descriptors.shape[1])
        with np.errstate(over="ignore"):  # beyond 65 km float16 says infinite, which is read as unknown
            depth = self.depth_m.astype("<f2")
        return b"".join(
            (header, name, self.keypoints.astype("<f4").tobytes(), depth.tobytes(), self.descriptors.tobytes())
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> FeatureSet:
        """Return what :meth:`to_bytes` wrote.

        Raises:
            GeometryError: Something else, truncated, or of another version.
        """
        if len(content) < _HEADER.size:
            raise GeometryError(f"{len(content)} bytes are too few for local features; {_ADVICE}")
        magic, name_size, width, height, n, dim = _HEADER.unpack_from(content)
        starts = np.cumsum([_HEADER.size, name_size, 8 * n, 2 * n, dim * n]).tolist()
        if magic != _MAGIC or len(content) != starts[-1] or not width or not height:
            raise GeometryError(
                f"{len(content)} bytes that begin with {magic!r} are no local features; expected {_MAGIC!r} and "
                f"{starts[-1]} bytes; {_ADVICE}"
            )
        name = content[starts[0] : starts[1]].decode("utf-8", errors="replace")
        keypoints = np.frombuffer(content, "<f4", 2 * n, starts[1]).reshape(n, 2).astype(np.float32)
        depth = np.frombuffer(content, "<f2", n, starts[2]).astype(np.float32)
        depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
        if not np.isfinite(keypoints).all():
            raise GeometryError(f"local features hold keypoints that are NaN or infinite; {_ADVICE}")
        descriptors = np.frombuffer(content, np.uint8, dim * n, starts[3]).reshape(n, dim)
        return cls(name, width, height, keypoints, descriptors, depth)


class LocalFeatures(Protocol):
    """What finds local features in an image.

    Attributes:
        name: Stands in each FeatureSet, so that features of two extractors are never compared.
    """

    name: str

    def extract(self, image: NDArray[np.uint8], depth_m: NDArray[np.float32] | None = None) -> FeatureSet:
        """Return the features of an image.

        Args:
            image: RGB, shape (height, width, 3), uint8.
            depth_m: Depth registered to the image, shape (height, width) or the same view in another size, float32,
                metres, NaN = unknown; None if absent.

        Raises:
            GeometryError: The image or the depth has a shape no features can be taken from.
        """


def working_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the working image, longer side between 320 and 640 pixels."""
    longer = max(width, height)
    scale = min(max(longer, _WORKING_SIDES[0]), _WORKING_SIDES[1]) / longer
    return max(1, round(width * scale)), max(1, round(height * scale))
