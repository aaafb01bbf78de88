"""What goes into a verification and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Camera, Pose, Turn
from vpr_ros.geometry.features import FeatureSet

# Coverage is counted on a grid of this many cells a side.
_GRID = 8
_LEAST_FOR_ZOOM = 8


class Kind(Enum):
    """What a verification could say."""

    METRIC = "metric"
    UP_TO_SCALE = "up to scale"
    UNCALIBRATED = "uncalibrated"  # the matches agree with a rigid scene, but without calibration there is no pose
    NONE = "none"  # degenerate or too little; the matches may still be counted


class Degeneracy(Enum):
    """Why a pose can't be told, or why it is special."""

    NO = ""
    NEAR_BLANK = "near-blank image"
    TOO_FEW_POINTS = "too few points"
    PURE_ROTATION = "pure rotation"
    ONE_PLANE = "one plane"
    AMBIGUOUS = "two poses fit"
    IDENTICAL_IMAGES = "identical images"
    IMPLAUSIBLE_DEPTH = "implausible depth"


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One of the two images of a pair, as far as geometry needs it.

    Attributes:
        features: Its local features, with depth where it is known.
        camera: Calibration of the full-size image, None if uncalibrated.
    """

    features: FeatureSet
    camera: Camera | None = None

    @property
    def is_calibrated(self) -> bool:
        """Whether there is a calibration that belongs to an image of this size."""
        camera, size = self.camera, (self.features.width, self.features.height)
        return camera is not None and (camera.width, camera.height) == size


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """What two views say about each other.

    Attributes:
        kind: What could be told.
        reason: One clause for people: what was seen, and why there is no more.
        t_match_query: Pose of the query camera in the match camera (``t_match_query @ p_query = p_match``, optical
            frames): metres if metric, a translation of length 1 if up to scale. None for the other kinds.
        covariance: Of the error (t_true - t_said, log(R_true R_said^T)) along the match camera's axes, order x y z,
            rotation about x y z, m and rad (x y z of the baseline if up to scale), shape (6, 6). None exactly where the
            pose is.
        turn: The rotation alone, where the views are only turned from each other; None elsewhere.
        degeneracy: What makes the pair special, if anything.
        matches: Pixels of all matches: query x, y, match x, y, shape (n, 4), float32.
        agrees: Which of them agree with the geometry, shape (n,), bool.
        coverage: The smaller of the shares of the two images' 8 x 8 cells that hold a match that agrees, in [0, 1].
        zoom: How much larger what agrees is in one image than in the other, as a logarithm, at least 0; 0 where nothing
            tells. Of two views along the way the one farther on shows all larger: 0 is the same spot.
        residual_px: Median residual of the matches that agree, in working pixels; NaN where there is none.
        timing_ms: Milliseconds by step.
    """

    kind: Kind
    reason: str
    matches: NDArray[np.float32]
    agrees: NDArray[np.bool_]
    degeneracy: Degeneracy = Degeneracy.NO
    t_match_query: Pose | None = None
    covariance: NDArray[np.float64] | None = None
    turn: Turn | None = None
    coverage: float = 0.0
    zoom: float = 0.0
    residual_px: float = float("nan")
    timing_ms: dict[str, float] = field(default_factory=dict)

    @property
    def metric(self) -> bool:
        """Whether the translation is in metres."""
        return self.kind is Kind.METRIC

    @property
    def rotation(self) -> NDArray[np.float64] | None:
        """Rotation of the query camera's axes into the match camera's, shape (3, 3); None where nothing tells."""
        if self.turn is not None:
            return self.turn.rotation
        return None if self.t_match_query is None else self.t_match_query.rotation

    @property
    def inliers(self) -> int:
        """Number of matches that agree with the geometry."""
        return int(self.agrees.sum())

    @property
    def inlier_ratio(self) -> float:
        """Share of the matches that agree with the geometry, in [0, 1]; 0 without matches."""
        return float(self.agrees.mean()) if len(self.agrees) else 0.0


def coverage(pixels: NDArray[np.float32], *, width: int, height: int) -> float:
    """Return the share of an image's 8 x 8 cells that hold one of these pixels, in [0, 1]."""
    if not len(pixels):
        return 0.0
    cells = np.clip((pixels + 0.5) / (width, height) * _GRID, 0, _GRID - 1).astype(np.int64)
    return len(np.unique(cells[:, 1] * _GRID + cells[:, 0])) / _GRID**2


def zoom(query_px: NDArray[np.float32], match_px: NDArray[np.float32]) -> float:
    """Return the size of the same things in two images against each other, as a logarithm, at least 0.

    Args:
        query_px: Where they are in the one, shape (n, 2), in units in which the two cameras are alike.
        match_px: Where they are in the other.
    """
    if len(query_px) < _LEAST_FOR_ZOOM:
        return 0.0
    sizes = [float(np.linalg.norm(points.std(axis=0))) for points in (query_px, match_px)]
    return abs(float(np.log(sizes[0] / sizes[1]))) if min(sizes) > 0 else 0.0
