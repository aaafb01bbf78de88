"""Epipolar geometry of rays: Sampson distances, their minimisation over the five unknowns, and the best rotation.

Many starts are refined at once: arrays begin with one row a start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Turn
from vpr_ros.geometry.correspondences import Correspondences, cross_matrices
from vpr_ros.geometry.rules import GeometryRules

_ITERATIONS, _CONVERGED_RAD = 12, 1e-4
_LEAST_NOISE_PX = 0.2
# Keeps a start whose matches fix nothing from being singular, and a step from leaving the neighbourhood.
_DAMPING, _LONGEST_STEP = 1e-6, 0.5
_KERNEL = 4.0
# A distance to an epipolar line is one normal coordinate: sigma = 1.4826 * median of its size.
_NORMAL_MAD = 1.4826
_ROTATION_ROUNDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class EpipolarFits:
    """Refined poses up to scale, the best first.

    Attributes:
        rotation: Query camera in the match camera, shape (m, 3, 3).
        translation: Its direction, unit length, shape (m, 3).
        agrees: Which matches lie near their epipolar lines and in front of both cameras, shape (m, n).
        residual_px: Distance to the epipolar line (Sampson), working pixels, shape (m, n).
        cost: Robust sum of squares (an outlier costs 1), to compare fits of the same matches, shape (m,).
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    agrees: NDArray[np.bool_]
    residual_px: NDArray[np.float64]
    cost: NDArray[np.float64]


def refine_epipolar(
    seen: Correspondences, rotation: NDArray[np.float64], translation: NDArray[np.float64], rules: GeometryRules
) -> EpipolarFits:
    """Minimise robust Sampson distances by Gauss-Newton, from each start.

    Args:
        seen: All matches, with outliers.
        rotation: Starts, shape (m, 3, 3).
        translation: Starts, unit length, shape (m, 3).
        rules: What counts as near.
    """
    noise_px = np.full(len(rotation), rules.epipolar_px)
    for _ in range(_ITERATIONS):
        normal, gradient, residual, basis = _normal_equations(seen, rotation, translation, noise_px)
        step = np.asarray(-np.linalg.solve(normal + _DAMPING * np.eye(5), gradient[:, :, None])[:, :, 0], np.float64)
        step *= np.minimum(1, _LONGEST_STEP / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-12))
        rotation = _turned_by(step[:, 2:], rotation)
        translation = translation + (basis @ step[:, :2, None])[:, :, 0]
        translation = translation / np.linalg.norm(translation, axis=1, keepdims=True)
        noise_px = _noise(residual, rules)
        if np.abs(step).max() < _CONVERGED_RAD:
            break
    return _ranked(seen, rotation, translation, rules)


def _ranked(
    seen: Correspondences, rotation: NDArray[np.float64], translation: NDArray[np.float64], rules: GeometryRules
) -> EpipolarFits:
    residual_px = np.abs(sampson(essential_of(rotation, translation), seen)[0])
    near = residual_px < rules.epipolar_px
    in_front = _in_front(seen, rotation, translation)
    behind = _in_front(seen, rotation, -translation)
    turn_round = (near & behind).sum(axis=1) > (near & in_front).sum(axis=1)
    translation = np.where(turn_round[:, None], -translation, translation)
    in_front = np.where(turn_round[:, None], behind, in_front)
    # What lies behind a camera costs as much as an outlier.
    cost = np.where(in_front, np.minimum((residual_px / rules.epipolar_px) ** 2, 1), 1).sum(axis=1)
    order = np.argsort(cost, kind="stable")
    return EpipolarFits(rotation[order], translation[order], (near & in_front)[order], residual_px[order], cost[order])


def covariance_of(
    seen: Correspondences, rotation: NDArray[np.float64], translation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the covariance (6, 6) of one pose from the residuals: x y z in units of the baseline, then rotation.

    It is singular along the baseline, whose length is 1 by definition.
    """
    residual, _ = sampson(essential_of(rotation[None], translation[None]), seen)
    # The root mean square, not the median: residuals of real images have longer tails than normal ones.
    noise_px = np.maximum(np.sqrt((residual**2).sum(axis=1) / max(1, len(seen) - 5)), _LEAST_NOISE_PX)
    normal, _, _, basis = _normal_equations(seen, rotation[None], translation[None], noise_px)
    tangent = np.zeros((6, 5))
    tangent[:3, :2], tangent[3:, 2:] = basis[0], np.eye(3)
    covariance: NDArray[np.float64] = tangent @ np.linalg.pinv(normal[0], hermitian=True) @ tangent.T
    return covariance


def sampson(essential: NDArray[np.float64], seen: Correspondences) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return signed Sampson distances in working pixels, and what divides the algebraic error, each of shape (m, n).

    Hartley and Zisserman 2004, section 11.4.3. ``essential`` has shape (m, 3, 3).
    """
    query, match = seen.query.rays, seen.match.rays
    to_match, to_query = query @ essential.transpose(0, 2, 1), match @ essential
    pixel = np.sqrt(seen.query.pixel * seen.match.pixel)
    divisor = np.sqrt((to_match[..., :2] ** 2).sum(axis=2) + (to_query[..., :2] ** 2).sum(axis=2)) * pixel
    divisor = np.maximum(divisor, 1e-12)
    return (match * to_match).sum(axis=2) / divisor, divisor


def essential_of(rotation: NDArray[np.float64], translation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return E with ``match^T E query = 0``, shape (m, 3, 3)."""
    essential: NDArray[np.float64] = cross_matrices(translation) @ rotation
    return essential


def rotation_between(seen: Correspondences) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rotation (3, 3) that best turns the query's rays into the match's, and what it leaves.

    Returns:
        The rotation, and the angle left at each match in working pixels, shape (n,).
    """
    query, match = _unit_rays(seen)
    rotation, left_px, weight = np.eye(3), np.zeros(len(query)), np.ones(len(query))
    for _ in range(_ROTATION_ROUNDS):
        u, _, vt = np.linalg.svd((match * weight[:, None]).T @ query)
        rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        left_px = _left_px(seen, rotation)
        weight = 1 / (1 + left_px**2 / _KERNEL)
    return rotation, left_px


def turn_between(seen: Correspondences, agrees: NDArray[np.bool_], tolerance_px: float) -> Turn:
    """Return the rotation of two views from one spot, with the covariance of its least squares.

    Those that agree with an epipolar geometry, which pure rotation does not fix, agree with one of many and lean to its
    side. So they only say about which rotation it is; all matches that it leaves within the tolerance tell it exactly.
    """
    rotation, _ = rotation_between(seen.chosen(agrees))
    near = seen.chosen(_left_px(seen, rotation) < tolerance_px)
    rotation, left_px = rotation_between(near)
    rays = _unit_rays(near)[1]
    variance = np.square(_pixel_rad(near) * max(_LEAST_NOISE_PX, float(np.median(left_px))))
    # Each ray tells the two angles across it.
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    return Turn(rotation, np.linalg.inv((across / variance[:, None, None]).sum(axis=0)))


def _unit_rays(seen: Correspondences) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    query, match = (rays / np.linalg.norm(rays, axis=1, keepdims=True) for rays in (seen.query.rays, seen.match.rays))
    return query, match


def _pixel_rad(seen: Correspondences) -> NDArray[np.float64]:
    """Return what a working pixel on the plane is as an angle from the camera, shape (n,)."""
    angle: NDArray[np.float64] = np.sqrt(seen.query.pixel * seen.match.pixel) / (1 + (seen.match.plane**2).sum(axis=1))
    return angle


def _left_px(seen: Correspondences, rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angle that a rotation leaves at each match in working pixels, shape (n,)."""
    query, match = _unit_rays(seen)
    left: NDArray[np.float64] = np.linalg.norm(match - query @ rotation.T, axis=1) / _pixel_rad(seen)
    return left


def _noise(residual: NDArray[np.float64], rules: GeometryRules) -> NDArray[np.float64]:
    """Return the standard deviation of the near residuals of each start, shape (m,)."""
    size = np.abs(residual)
    is_near = size < 2 * rules.epipolar_px
    ordered = np.sort(np.where(is_near, size, np.inf), axis=1)
    middle = np.take_along_axis(ordered, is_near.sum(axis=1, keepdims=True) // 2, axis=1)[:, 0]
    return np.clip(_NORMAL_MAD * middle, _LEAST_NOISE_PX, 2 * rules.epipolar_px)


def _normal_equations(
    seen: Correspondences,
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
    noise_px: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return normal matrix (m, 5, 5), gradient (m, 5), residuals (m, n) and two directions across t (m, 3, 2)."""
    basis = np.linalg.svd(translation[:, None, :])[2][:, 1:].transpose(0, 2, 1)
    residual, divisor = sampson(essential_of(rotation, translation), seen)
    turned, match = seen.query.rays @ rotation.transpose(0, 2, 1), seen.match.rays
    # match . (t x turned) = t . (turned x match); a small turn w moves turned by w x turned.
    across = np.cross(turned, match[None])
    by_rotation = np.cross(turned, np.cross(match[None], translation[:, None]))
    slope = np.concatenate((across @ basis, by_rotation), axis=2) / divisor[:, :, None]
    weight = 1 / (1 + (residual / noise_px[:, None]) ** 2 / _KERNEL) ** 2 / noise_px[:, None] ** 2
    weighted = (slope * weight[:, :, None]).transpose(0, 2, 1)
    return weighted @ slope, (weighted @ residual[:, :, None])[:, :, 0], residual, basis


def _in_front(
    seen: Correspondences, rotation: NDArray[np.float64], translation: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which matches lie in front of both cameras, shape (m, n)."""
    turned, match = seen.query.rays @ rotation.transpose(0, 2, 1), seen.match.rays[None]
    across = np.cross(turned, match)
    # z_match * match = z_query * turned + t; crossed with either ray, the other depth remains.
    in_match = (np.cross(turned, translation[:, None]) * across).sum(axis=2)
    in_query = (np.cross(match, translation[:, None]) * across).sum(axis=2)
    in_front: NDArray[np.bool_] = np.minimum(in_match, in_query) > 0
    return in_front


def _turned_by(turn: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return exp(turn) @ rotation for each start (Rodrigues)."""
    angle = np.linalg.norm(turn, axis=1)[:, None, None]
    cross = cross_matrices(turn)
    exponential = np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / 2 / np.pi) ** 2 * (cross @ cross)
    turned: NDArray[np.float64] = exponential @ rotation
    return turned
