"""Relative pose of two calibrated views without depth: rotation and the direction of the translation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Pose, Turn
from vpr_ros.geometry.consensus import (
    RotationAndDirection,
    decomposed,
    decomposed_plane,
    essential_matrix,
    homography,
)
from vpr_ros.geometry.correspondences import Correspondences
from vpr_ros.geometry.epipolar import EpipolarFits, covariance_of, refine_epipolar, rotation_between, turn_between
from vpr_ros.geometry.rules import GeometryRules
from vpr_ros.geometry.view import Degeneracy

# Two poses that explain the matches about equally well can't be told apart, if their directions are farther apart than
# 15 degrees or their rotations than 5. Equally well: the better one costs at most this much less.
_DISTINCT_DIRECTION, _DISTINCT_ROTATION = np.cos(np.radians(15)), np.cos(np.radians(5))
_MOST_COST_RATIO = 1.15
# Starts beside those of MAGSAC: the directions to 13 of the 26 neighbours in a cube; the others are their opposites.
_DIRECTIONS = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (z, y, x) > (0, 0, 0)])
_DIRECTIONS = _DIRECTIONS / np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)


@dataclass(frozen=True, slots=True, eq=False)
class TwoViewFit:
    """What two calibrated views without depth say.

    Attributes:
        agrees: Which matches agree with the epipolar geometry, shape (n,), bool.
        residual_px: Sampson distance of each match, working pixels, shape (n,), NaN where there is no geometry.
        degeneracy: Why there is no pose, if there is none.
        t_match_query: Translation of length 1; None if degenerate.
        covariance: From the residuals alone, without floors, shape (6, 6), design's order and axes, x y z in units of
            the baseline; singular along the baseline. None exactly where the pose is.
        turn: The rotation alone, without floor, where that is all there is.
    """

    agrees: NDArray[np.bool_]
    residual_px: NDArray[np.float64]
    degeneracy: Degeneracy
    t_match_query: Pose | None = None
    covariance: NDArray[np.float64] | None = None
    turn: Turn | None = None


def two_view_fit(seen: Correspondences, rules: GeometryRules) -> TwoViewFit:
    """Return the pose up to scale, or the name of what keeps it from being told.

    MAGSAC's essential matrices, the poses of the best homography and a few directions all around are refined, and the
    best is taken: among large walls MAGSAC alone often ends beside the best pose. Pure rotation fixes no translation,
    only the turn is given; one plane leaves two poses (Hartley and Zisserman 2004, section 13.4). Both are named.
    """
    pixel = float(np.median(seen.query.pixel + seen.match.pixel) / 2) if len(seen) else 1.0
    plane = homography(seen.query.plane, seen.match.plane, tolerance=rules.inlier_px * pixel)
    starts = _starts(seen, None if plane is None else plane[0], pixel, rules)
    fits = refine_epipolar(seen, np.stack([r for r, _ in starts]), np.stack([t for _, t in starts]), rules)
    agrees, residual_px = fits.agrees[0], fits.residual_px[0]
    if agrees.sum() < rules.min_pose_inliers:
        return TwoViewFit(agrees, residual_px, Degeneracy.TOO_FEW_POINTS)
    degeneracy = _degeneracy(seen, fits, None if plane is None else plane[1], rules)
    if degeneracy is Degeneracy.PURE_ROTATION:
        return TwoViewFit(agrees, residual_px, degeneracy, turn=turn_between(seen, agrees, rules.inlier_px))
    if degeneracy is not Degeneracy.NO:
        return TwoViewFit(agrees, residual_px, degeneracy)
    covariance = covariance_of(seen.chosen(agrees), fits.rotation[0], fits.translation[0])
    t_match_query = Pose.from_rotation_translation(fits.rotation[0], fits.translation[0])
    return TwoViewFit(agrees, residual_px, degeneracy, t_match_query, covariance)


def _starts(
    seen: Correspondences, plane: NDArray[np.float64] | None, pixel: float, rules: GeometryRules
) -> list[RotationAndDirection]:
    rotation, _ = rotation_between(seen)
    starts = [(rotation, direction) for direction in _DIRECTIONS]
    for tolerance_px in (rules.epipolar_px, rules.inlier_px):
        model = essential_matrix(seen.query.plane, seen.match.plane, tolerance=tolerance_px * pixel)
        if model is not None:
            inliers = seen.chosen(model[1])
            starts.extend(decomposed(model[0], inliers.query.plane, inliers.match.plane))
    return starts if plane is None else starts + list(decomposed_plane(plane))


def _degeneracy(
    seen: Correspondences, fits: EpipolarFits, on_plane: NDArray[np.bool_] | None, rules: GeometryRules
) -> Degeneracy:
    agrees = fits.agrees[0]
    _, left_px = rotation_between(seen.chosen(agrees))
    if float(np.median(left_px)) < rules.min_parallax_px:
        return Degeneracy.PURE_ROTATION
    if on_plane is not None and (on_plane & agrees).sum() >= rules.plane_share * agrees.sum():
        return Degeneracy.ONE_PLANE
    cosine = (np.einsum("mij,ij->m", fits.rotation, fits.rotation[0]) - 1) / 2
    is_rival = (fits.translation @ fits.translation[0] < _DISTINCT_DIRECTION) | (cosine < _DISTINCT_ROTATION)
    if (is_rival & (fits.cost < _MOST_COST_RATIO * fits.cost[0])).any():
        return Degeneracy.AMBIGUOUS
    return Degeneracy.NO
