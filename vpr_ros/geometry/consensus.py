"""The one place that asks OpenCV's robust estimators: each answers with a model and inliers, or None, never throws."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_CONFIDENCE, _MOST_ITERATIONS = 0.999, 2000
# Fewer points than the minimal sample and one to test it with.
_LEAST_EPIPOLAR, _LEAST_HOMOGRAPHY, _LEAST_PNP = 9, 5, 5
_PNP_ITERATIONS = 200

# A homography of a pure rotation has a translation of rounding errors.
_LEAST_LENGTH = 1e-9

RotationAndDirection = tuple[NDArray[np.float64], NDArray[np.float64]]
Model = tuple[NDArray[np.float64], NDArray[np.bool_]]


def essential_matrix(query: NDArray[np.float64], match: NDArray[np.float64], *, tolerance: float) -> Model | None:
    """Return E with ``match^T E query = 0`` by MAGSAC++ (Barath et al. 2020), and the inliers.

    Args:
        query: Points on the plane z = 1, shape (n, 2).
        match: The same points in the other view, shape (n, 2).
        tolerance: Largest distance of an inlier, on the plane.
    """
    if len(query) < _LEAST_EPIPOLAR:
        return None
    return _model(cv2.findEssentialMat, query, match, np.eye(3), cv2.USAC_MAGSAC, _CONFIDENCE, tolerance)


def fundamental_matrix(query: NDArray[np.float32], match: NDArray[np.float32], *, tolerance: float) -> Model | None:
    """Return F with ``match^T F query = 0`` by MAGSAC++, and the inliers; pixels, shape (n, 2)."""
    if len(query) < _LEAST_EPIPOLAR:
        return None
    return _model(cv2.findFundamentalMat, query, match, cv2.USAC_MAGSAC, tolerance, _CONFIDENCE, _MOST_ITERATIONS)


def homography(query: NDArray[Any], match: NDArray[Any], *, tolerance: float) -> Model | None:
    """Return H with ``match ~ H query`` by MAGSAC++, and the inliers; any plane's units, shape (n, 2)."""
    if len(query) < _LEAST_HOMOGRAPHY:
        return None
    return _model(cv2.findHomography, query, match, cv2.USAC_MAGSAC, tolerance, None, _MOST_ITERATIONS, _CONFIDENCE)


def camera_pose(
    points: NDArray[np.float64], plane: NDArray[np.float64], *, tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]] | None:
    """Return rotation (3, 3), translation (3,) that carry points into the camera that sees them (PnP), and the inliers.

    Args:
        points: Known points, shape (n, 3).
        plane: Where the camera sees them on the plane z = 1, shape (n, 2).
        tolerance: Largest distance of an inlier, on the plane.
    """
    if len(points) < _LEAST_PNP:
        return None
    try:
        found, turn, translation, rows = cv2.solvePnPRansac(
            points,
            plane,
            np.eye(3),
            None,
            iterationsCount=_PNP_ITERATIONS,
            reprojectionError=tolerance,
            confidence=_CONFIDENCE,
            flags=cv2.SOLVEPNP_AP3P,
        )
    except cv2.error:  # OpenCV throws where a sample is degenerate
        return None
    if not found or rows is None or not np.isfinite(turn).all() or not np.isfinite(translation).all():
        return None
    inliers = np.zeros(len(points), np.bool_)
    inliers[rows.ravel()] = True
    rotation = np.asarray(cv2.Rodrigues(turn)[0], np.float64)
    return rotation, np.asarray(translation, np.float64).ravel(), inliers


def decomposed(
    essential: NDArray[np.float64], query: NDArray[np.float64], match: NDArray[np.float64]
) -> tuple[RotationAndDirection, ...]:
    """Return the rotation (3, 3) and unit translation (3,) of E that put most points in front of both cameras."""
    try:
        in_front, rotation, translation, _ = cv2.recoverPose(essential, query, match, np.eye(3))
    except cv2.error:
        return ()
    return ((np.asarray(rotation, np.float64), _unit(translation)),) if in_front else ()


def decomposed_plane(matrix: NDArray[np.float64]) -> tuple[RotationAndDirection, ...]:
    """Return the rotations and unit translations that a homography of the plane z = 1 may come from (up to four)."""
    count, rotations, translations, _ = cv2.decomposeHomographyMat(matrix, np.eye(3))
    sides = zip(rotations[:count], translations[:count], strict=True)
    moving = ((np.asarray(r, np.float64), t) for r, t in sides if np.linalg.norm(t) > _LEAST_LENGTH)
    return tuple((rotation, _unit(translation)) for rotation, translation in moving)


def _unit(translation: Any) -> NDArray[np.float64]:
    vector = np.asarray(translation, np.float64).ravel()
    unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
    return unit


def _model(estimator: Any, query: NDArray[Any], match: NDArray[Any], *arguments: Any) -> Model | None:
    try:
        matrix, mask = estimator(np.ascontiguousarray(query), np.ascontiguousarray(match), *arguments)
    except cv2.error:  # OpenCV throws where its last model is empty
        return None
    if matrix is None or mask is None or matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        return None
    return np.asarray(matrix, np.float64), mask.ravel() > 0
