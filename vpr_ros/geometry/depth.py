"""Depth at keypoints, read so that edges, holes and a depth image a little off the colour image do little harm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vpr_ros.geometry.errors import GeometryError

# A window of 5 x 5 pixels; where it spans more than this share of its median, it lies over an edge and says nothing.
_REACH, _MOST_SPREAD = 2, 0.05
# Least part of the window that must hold a measurement.
_LEAST_FILLED = 0.5
# How far the shape of a depth image may be from the colour image's (rounding of odd sizes).
_ASPECT_TOLERANCE = 0.02


def depth_at(
    keypoints: NDArray[np.float32], depth_m: NDArray[np.float32], *, width: int, height: int
) -> NDArray[np.float32]:
    """Return the depth at keypoints: median of a small window, NaN over edges and holes.

    Args:
        keypoints: x, y in pixels of the colour image, shape (n, 2).
        depth_m: Depth of the same view, any size of the same shape, float32, metres; NaN, infinite and values that
            are not positive are unknown.
        width: Width of the colour image in pixels.
        height: Height of the colour image in pixels.

    Returns:
        Shape (n,), float32, metres, NaN = unknown.

    Raises:
        GeometryError: The depth image shows another view, by its shape.
    """
    rows, columns = depth_m.shape
    if not rows or abs(columns * height / (rows * width) - 1) > _ASPECT_TOLERANCE:
        raise GeometryError(
            f"depth is {columns} x {rows}, the image {width} x {height}; expected depth registered to the image, of "
            "the same shape: publish registered depth, or leave it out"
        )
    window = _windows(keypoints, depth_m, np.array([columns / width, rows / height]))
    known = np.isfinite(window) & (window > 0)
    count = known.sum(axis=1)
    ordered = np.sort(np.where(known, window, np.inf), axis=1)
    low, middle, high = (_ranked(ordered, count, share) for share in (0.1, 0.5, 0.9))
    is_surface = (count >= _LEAST_FILLED * window.shape[1]) & (high - low <= _MOST_SPREAD * middle)
    return np.where(is_surface, middle, np.nan).astype(np.float32)


def _windows(
    keypoints: NDArray[np.float32], depth_m: NDArray[np.float32], scale: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the window around each keypoint, shape (n, 25)."""
    rows, columns = depth_m.shape
    centres = np.rint((keypoints + 0.5) * scale - 0.5).astype(np.int64)
    offsets = np.arange(-_REACH, _REACH + 1)
    y = np.clip(centres[:, 1, None, None] + offsets[:, None], 0, rows - 1)
    x = np.clip(centres[:, 0, None, None] + offsets, 0, columns - 1)
    windows: NDArray[np.float32] = depth_m[y, x].reshape(len(keypoints), len(offsets) ** 2)
    return windows


def _ranked(ordered: NDArray[np.float32], count: NDArray[np.int64], share: float) -> NDArray[np.float32]:
    """Return the value at a share of the known ones of each row, 0 where none is."""
    index = np.maximum((share * (count - 1)).round().astype(np.int64), 0)
    values: NDArray[np.float32] = np.take_along_axis(ordered, index[:, None], axis=1)[:, 0]
    return np.where(count > 0, values, 0)
