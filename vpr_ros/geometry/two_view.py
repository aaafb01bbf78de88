"""Relative pose of two calibrated views without depth: rotation and the direction of the translation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Pose
from vpr_ros.core.pose import rotation_exp
from vpr_ros.geometry.consensus import decomposed, essential_matrix, homography
from vpr_ros.geometry.correspondences import Correspondences
from vpr_ros.geometry.rules import GeometryRules
from vpr_ros.geometry.view import Degeneracy

_ITERATIONS, _CONVERGED = 15, 1e-7
_LEAST_NOISE_PX = 0.3
_KERNEL = 4.0
# An inlier's distance to its epipolar line is one normal coordinate: sigma = 1.4826 * median of |e|.
_NORMAL_MAD = 1.4826
_ROTATION_ROUNDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class TwoViewFit:
    """What two calibrated views without depth say.

    Attributes:
        agrees: Which matches agree with the epipolar geometry, shape (n,), bool.
        residual_px: Sampson distance of each match, working pixels, shape (n,).
        degeneracy: Why there is no pose, if there is none.
        t_match_query: Translation of length 1; None if degenerate.
        covariance: From the residuals alone, without floors, shape (6, 6), design's order and axes, x y z in units of
            the baseline; singular along the baseline. None exactly where the pose is.
    """

    agrees: NDArray[np.bool_]
    residual_px: NDArray[np.float64]
    degeneracy: Degeneracy
    t_match_query: Pose | None = None
    covariance: NDArray[np.float64] | None = None


def two_view_fit(seen: Correspondences, rules: GeometryRules) -> TwoViewFit:
    """Return the pose up to scale by MAGSAC and refinement, or the name of what keeps it from being told.

    Pure rotation fixes no translation; one plane leaves two poses (Hartley and Zisserman 2004, section 13.4): both are
    named, and no pose is given.
    """
    pixel = float(np.median(seen.query.pixel + seen.match.pixel) / 2) if len(seen) else 1.0
    nothing = np.zeros(len(seen), np.bool_)
    model = essential_matrix(seen.query.plane, seen.match.plane, tolerance=rules.inlier_px * pixel)
    if model is None or model[1].sum() < rules.min_pose_inliers:
        agrees = nothing if model is None else model[1]
        return TwoViewFit(agrees, np.full(len(seen), np.nan), Degeneracy.TOO_FEW_POINTS)
    essential, agrees = model
    inliers = seen.chosen(agrees)
    if (degeneracy := _degeneracy(seen, agrees, pixel, rules)) is not Degeneracy.NO:
        return TwoViewFit(agrees, sampson(essential, seen)[0], degeneracy)
    pose = decomposed(essential, inliers.query.plane, inliers.match.plane)
    if pose is None:
        return TwoViewFit(agrees, sampson(essential, seen)[0], Degeneracy.TOO_FEW_POINTS)
    rotation, translation, covariance = _refined(inliers, *pose)
    residual_px = np.abs(sampson(_essential(rotation, translation), seen)[0])
    t_match_query = Pose.from_rotation_translation(rotation, translation)
    return TwoViewFit(agrees, residual_px, Degeneracy.NO, t_match_query, covariance)


def sampson(essential: NDArray[np.float64], seen: Correspondences) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the signed Sampson distance of each match in working pixels, and what divides the algebraic error.

    Hartley and Zisserman 2004, section 11.4.3.
    """
    query, match = seen.query.rays, seen.match.rays
    to_match, to_query = query @ essential.T, match @ essential
    pixel = np.sqrt(seen.query.pixel * seen.match.pixel)
    divisor = np.sqrt((to_match[:, :2] ** 2).sum(axis=1) + (to_query[:, :2] ** 2).sum(axis=1)) * pixel
    divisor = np.maximum(divisor, 1e-12)
    return (match * to_match).sum(axis=1) / divisor, divisor


def _degeneracy(seen: Correspondences, agrees: NDArray[np.bool_], pixel: float, rules: GeometryRules) -> Degeneracy:
    inliers = seen.chosen(agrees)
    if _parallax_px(inliers) < rules.min_parallax_px:
        return Degeneracy.PURE_ROTATION
    plane = homography(seen.query.plane, seen.match.plane, tolerance=rules.inlier_px * pixel)
    if plane is not None and plane[1].sum() >= rules.plane_share * agrees.sum():
        return Degeneracy.ONE_PLANE
    return Degeneracy.NO


def _parallax_px(inliers: Correspondences) -> float:
    """Return the median of what the best rotation leaves between the rays, in working pixels."""
    sides = (inliers.query.rays, inliers.match.rays)
    query, match = (rays / np.linalg.norm(rays, axis=1, keepdims=True) for rays in sides)
    pixel = np.sqrt(inliers.query.pixel * inliers.match.pixel)
    # The pixel on the plane, seen from the camera as an angle.
    angle = pixel / (1 + (inliers.match.plane**2).sum(axis=1))
    weight = np.ones(len(query))
    left = np.zeros(len(query))
    for _ in range(_ROTATION_ROUNDS):
        u, _, vt = np.linalg.svd((match * weight[:, None]).T @ query)
        rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        left = np.linalg.norm(match - query @ rotation.T, axis=1) / angle
        weight = 1 / (1 + left**2 / _KERNEL)
    return float(np.median(left))


def _refined(
    inliers: Correspondences, rotation: NDArray[np.float64], translation: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Minimise Sampson distances over the five unknowns; return rotation, unit translation, covariance (6, 6)."""
    noise_px = 1.0
    for _ in range(_ITERATIONS):
        normal, gradient, residual, basis = _normal_equations(inliers, rotation, translation, noise_px)
        step = np.asarray(-np.linalg.lstsq(normal, gradient, rcond=None)[0], np.float64)
        rotation = rotation_exp(step[2:]) @ rotation
        translation = translation + basis @ step[:2]
        translation = translation / np.linalg.norm(translation)
        noise_px = max(_LEAST_NOISE_PX, _NORMAL_MAD * float(np.median(np.abs(residual))))
        if np.abs(step).max() < _CONVERGED:
            break
    normal, _, _, basis = _normal_equations(inliers, rotation, translation, noise_px)
    tangent = np.zeros((6, 5))
    tangent[:3, :2], tangent[3:, 2:] = basis, np.eye(3)
    return rotation, translation, tangent @ np.linalg.pinv(normal, hermitian=True) @ tangent.T


def _normal_equations(
    inliers: Correspondences, rotation: NDArray[np.float64], translation: NDArray[np.float64], noise_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    basis = np.linalg.svd(translation[None])[2][1:].T  # (3, 2), across the baseline
    residual, divisor = sampson(_essential(rotation, translation), inliers)
    turned, match = inliers.query.rays @ rotation.T, inliers.match.rays
    # match . (t x turned) = t . (turned x match); a small turn w moves turned by w x turned.
    by_translation = np.cross(turned, match) @ basis
    by_rotation = np.cross(turned, np.cross(match, translation))
    slope = np.concatenate((by_translation, by_rotation), axis=1) / divisor[:, None]
    weight = 1 / (1 + (residual / noise_px) ** 2 / _KERNEL) ** 2 / noise_px**2
    return (slope * weight[:, None]).T @ slope, slope.T @ (weight * residual), residual, basis


def _essential(rotation: NDArray[np.float64], translation: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = translation
    essential: NDArray[np.float64] = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation
    return essential
