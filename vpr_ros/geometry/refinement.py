"""Metric pose from points with depth: both views' points seen in the other, with a camera that turns while it reads.

Cheap cameras read an image row by row for some 30 ms. A camera turned by hand at 1 rad/s has turned by 0.03 rad
(15 pixels at f = 500) between the first row and the last, which bends a pose by centimetres. So each view gets three
more unknowns, its turn during the readout, held near zero by ``readout_turn_rad``. The pose is that of the middle row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Pose
from vpr_ros.core.pose import rotation_exp
from vpr_ros.geometry.correspondences import Correspondences, ViewPoints, cross_matrices
from vpr_ros.geometry.rules import GeometryRules

_ITERATIONS = 15
_CONVERGED = 1e-4  # m and rad, a hundredth of the floors
# Standard deviation of a keypoint at the start, in working pixels; it is then taken from the residuals.
_FIRST_NOISE_PX = 1.5
_LEAST_NOISE_PX = 0.3
# Residuals weigh half at some 1.3 standard deviations (Geman and McClure 1987, scale 2): w = 1 / (1 + e^2 / 4)^2.
_KERNEL = 4.0
_NEAREST_M = 0.05
_POSE, _TURN = slice(0, 6), slice(6, 12)


@dataclass(frozen=True, slots=True, eq=False)
class MetricFit:
    """A refined metric pose.

    Attributes:
        t_match_query: Pose of the query camera in the match camera, metres.
        covariance: From the residuals alone, without floors, shape (6, 6), design's order and axes.
        residual_px: Reprojection error of each match, the larger of the two directions, working pixels, shape (n,); NaN
            where neither view has depth.
        turn_rad: How far query and match camera turned during their readout, shape (2, 3).
    """

    t_match_query: Pose
    covariance: NDArray[np.float64]
    residual_px: NDArray[np.float64]
    turn_rad: NDArray[np.float64]


@dataclass(slots=True, eq=False)
class _State:
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    turn: NDArray[np.float64]  # (2, 3), query and match

    def moved(self, step: NDArray[np.float64]) -> _State:
        return _State(
            rotation_exp(step[3:6]) @ self.rotation, self.translation + step[:3], self.turn + step[_TURN].reshape(2, 3)
        )


def refine_metric(seen: Correspondences, start: Pose, rules: GeometryRules) -> MetricFit:
    """Return the pose that fits points and depths of both views, by Gauss-Newton with a robust kernel.

    Args:
        seen: Matches, some with depth in one view or in both; outliers are weighed down, not up to many.
        start: Where to begin: a RANSAC pose.
        rules: Depth noise and readout turn.
    """
    state = _State(start.rotation.copy(), start.translation.copy(), np.zeros((2, 3)))
    noise_px = _FIRST_NOISE_PX
    for _ in range(_ITERATIONS):
        normal, gradient, residual_px = _normal_equations(seen, state, noise_px, rules)
        step = np.asarray(-np.linalg.solve(normal, gradient), np.float64)
        if not np.isfinite(step).all():
            break
        state = state.moved(step)
        noise_px = _noise(residual_px, rules)
        if np.abs(step).max() < _CONVERGED:
            break
    normal, _, residual_px = _normal_equations(seen, state, noise_px, rules)
    covariance = np.asarray(np.linalg.inv(normal)[_POSE, _POSE], np.float64)
    return MetricFit(
        Pose.from_rotation_translation(state.rotation, state.translation),
        covariance,
        residual_px,
        state.turn,
    )


def _noise(residual_px: NDArray[np.float64], rules: GeometryRules) -> float:
    """Return the standard deviation of one coordinate, robustly, from the residuals of the inliers."""
    inliers = residual_px[residual_px < 2 * rules.inlier_px]
    if len(inliers) < 6:
        return _FIRST_NOISE_PX
    # The length of a residual of two normal coordinates has the median 1.1774 sigma (Rayleigh).
    return max(_LEAST_NOISE_PX, float(np.median(inliers)) / 1.1774)


def _normal_equations(
    seen: Correspondences, state: _State, noise_px: float, rules: GeometryRules
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    normal, gradient = np.zeros((12, 12)), np.zeros(12)
    # With depth in both views, each match is seen twice, but its noise is the same: each sight counts half.
    share = np.where(seen.query.has_depth & seen.match.has_depth, 0.5, 1.0)
    lengths = np.full((2, len(seen)), np.nan)
    for direction, (points, other) in enumerate(((seen.query, seen.match), (seen.match, seen.query))):
        rows = points.has_depth
        moved, jacobian = _carried(points.chosen(rows), other.readout[rows], state, forward=direction == 0)
        terms = _terms(moved, jacobian, other.chosen(rows), noise_px, rules)
        for residual, slope, length in terms:
            weight = np.sqrt(share[rows]) / (1 + length / _KERNEL)
            flat = (slope * weight[:, None, None]).reshape(-1, slope.shape[2])
            normal += flat.T @ flat
            gradient += flat.T @ (residual * weight[:, None]).ravel()
        lengths[direction, rows] = np.sqrt(terms[0][2]) * noise_px
    _hold_turn(normal, gradient, state, rules)
    normal[_POSE, _POSE] += 1e-9 * np.eye(6)  # keeps a pose that nothing fixes from being singular
    with np.errstate(invalid="ignore"):
        return normal, gradient, np.fmax(lengths[0], lengths[1])


def _hold_turn(normal: NDArray[np.float64], gradient: NDArray[np.float64], state: _State, rules: GeometryRules) -> None:
    if rules.readout_turn_rad == 0:  # a global shutter: the unknowns are taken out
        normal[_TURN, :], normal[:, _TURN], gradient[_TURN] = 0, 0, 0
        normal[_TURN, _TURN] = np.eye(6)
        return
    tightness = rules.readout_turn_rad**-2
    normal[_TURN, _TURN] += tightness * np.eye(6)
    gradient[_TURN] += tightness * state.turn.ravel()


def _carried(
    source: ViewPoints, target_readout: NDArray[np.float64], state: _State, *, forward: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points of one view in the other's frame at the moment they were read there, and their derivatives.

    ``forward`` carries the query's points into the match camera.

    Returns:
        Points (n, 3) and their derivatives by x y z, rotation, query turn, match turn, shape (n, 3, 12).
    """
    source_turn, target_turn = state.turn if forward else state.turn[::-1]
    points = source.points
    cross_points = cross_matrices(points)
    middle = points - source.readout[:, None] * (cross_points @ source_turn)
    rotation = state.rotation if forward else state.rotation.T
    if forward:
        turned = middle @ rotation.T
        arrived = turned + state.translation
        by_pose = np.concatenate((np.broadcast_to(np.eye(3), (len(points), 3, 3)), -cross_matrices(turned)), axis=2)
    else:
        lever = middle - state.translation
        arrived = lever @ rotation.T
        by_pose = np.concatenate(
            (np.broadcast_to(-rotation, (len(points), 3, 3)), rotation @ cross_matrices(lever)), axis=2
        )
    by_source = -(rotation @ cross_points) * source.readout[:, None, None]
    cross_arrived = cross_matrices(arrived)
    by_target = cross_arrived * target_readout[:, None, None]
    turns = (by_source, by_target) if forward else (by_target, by_source)
    seen_there = arrived + target_readout[:, None] * (cross_arrived @ target_turn)
    return seen_there, np.concatenate((by_pose, *turns), axis=2)


def _terms(
    moved: NDArray[np.float64],
    jacobian: NDArray[np.float64],
    target: ViewPoints,
    noise_px: float,
    rules: GeometryRules,
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], ...]:
    """Return (residual, slope, squared length) in standard deviations: reprojection, then depth."""
    inverse_depth = 1 / np.maximum(moved[:, 2], _NEAREST_M)
    scale = 1 / (noise_px * target.pixel)
    reprojection = (moved[:, :2] * inverse_depth[:, None] - target.plane) * scale[:, None]
    across = np.zeros((len(moved), 2, 3))
    across[:, 0, 0] = across[:, 1, 1] = inverse_depth
    across[:, :, 2] = -moved[:, :2] * inverse_depth[:, None] ** 2
    slope = (across @ jacobian) * scale[:, None, None]

    depth_noise = rules.depth_noise_m + rules.depth_noise_per_m * moved[:, 2] ** 2
    known = target.has_depth
    # Two measured depths: the noise of their difference is that of both.
    sigma = np.where(known, depth_noise * np.sqrt(2), np.inf)
    along = np.where(known, moved[:, 2] - target.depth_m, 0) / sigma
    return (
        (reprojection, slope, (reprojection**2).sum(axis=1)),
        (along[:, None], jacobian[:, 2:3] / sigma[:, None, None], along**2),
    )
