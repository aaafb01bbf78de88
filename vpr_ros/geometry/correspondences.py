"""The matches of a pair of calibrated views, as rays, depths and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Camera
from vpr_ros.geometry.features import FeatureSet
from vpr_ros.geometry.lens import undistort
from vpr_ros.geometry.view import View


@dataclass(frozen=True, slots=True, eq=False)
class ViewPoints:
    """The matched points of one view, row by row those of the other view's.

    Attributes:
        plane: Where each ray meets the plane z = 1 of the optical frame, shape (n, 2), float64.
        depth_m: Depth along the optical axis, shape (n,), float64, NaN = unknown.
        pixel: Size of a working pixel on the plane at each point, shape (n,).
        readout: When the point was read out, from -0.5 (first row) to 0.5 (last row), shape (n,).
    """

    plane: NDArray[np.float64]
    depth_m: NDArray[np.float64]
    pixel: NDArray[np.float64]
    readout: NDArray[np.float64]

    @property
    def points(self) -> NDArray[np.float64]:
        """Points in the optical frame in metres, shape (n, 3); NaN where depth is unknown."""
        return self.rays * self.depth_m[:, None]

    @property
    def rays(self) -> NDArray[np.float64]:
        """Homogeneous points of the plane, shape (n, 3)."""
        return np.column_stack((self.plane, np.ones(len(self.plane))))

    @property
    def has_depth(self) -> NDArray[np.bool_]:
        """Where depth is known, shape (n,)."""
        return np.isfinite(self.depth_m)

    def chosen(self, rows: NDArray[np.bool_]) -> ViewPoints:
        """Return some of the points."""
        return ViewPoints(self.plane[rows], self.depth_m[rows], self.pixel[rows], self.readout[rows])

    def without_depth(self) -> ViewPoints:
        """Return the same rays, depth unknown."""
        return ViewPoints(self.plane, np.full(len(self.plane), np.nan), self.pixel, self.readout)


@dataclass(frozen=True, slots=True, eq=False)
class Correspondences:
    """Points of the query and the same points in the match, row by row."""

    query: ViewPoints
    match: ViewPoints

    def __len__(self) -> int:
        """Return the number of matches."""
        return len(self.query.plane)

    def chosen(self, rows: NDArray[np.bool_]) -> Correspondences:
        """Return some of the matches."""
        return Correspondences(self.query.chosen(rows), self.match.chosen(rows))

    def swapped(self) -> Correspondences:
        """Return them with query and match exchanged."""
        return Correspondences(self.match, self.query)

    def without_depth(self) -> Correspondences:
        """Return the rays alone."""
        return Correspondences(self.query.without_depth(), self.match.without_depth())


def correspondences(query: View, match: View, pairs: NDArray[np.int64]) -> tuple[Correspondences, NDArray[np.bool_]]:
    """Return the matches of two calibrated views as rays, and which of the pairs have one in both.

    Args:
        query: Calibrated view.
        match: Calibrated view; its camera may be another one.
        pairs: Index in the query's features, index in the match's, shape (n, 2).
    """
    assert query.camera is not None  # the caller asks is_calibrated
    assert match.camera is not None
    sides = Correspondences(
        _view_points(query.features, query.camera, pairs[:, 0]), _view_points(match.features, match.camera, pairs[:, 1])
    )
    has_ray = np.isfinite(sides.query.plane[:, 0]) & np.isfinite(sides.match.plane[:, 0])
    return sides.chosen(has_ray), has_ray


def cross_matrices(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrices (n, 3, 3) with ``matrix @ w == cross(v, w)``."""
    matrices = np.zeros((len(vectors), 3, 3))
    matrices[:, 0, 1], matrices[:, 0, 2], matrices[:, 1, 2] = -vectors[:, 2], vectors[:, 1], -vectors[:, 0]
    skew: NDArray[np.float64] = matrices - matrices.transpose(0, 2, 1)
    return skew


def _view_points(features: FeatureSet, camera: Camera, rows: NDArray[np.int64]) -> ViewPoints:
    pixels = features.keypoints[rows]
    plane = undistort(pixels, camera)
    # A pixel off the axis covers more of the plane: its angle stays about the same.
    stretch = 1 + np.nan_to_num((plane**2).sum(axis=1))
    return ViewPoints(
        plane=plane,
        depth_m=features.depth_m[rows].astype(np.float64),
        pixel=features.working_pixel / np.sqrt(camera.fx * camera.fy) * stretch,
        readout=(pixels[:, 1] + 0.5) / features.height - 0.5,
    )
