"""From pixels to the plane one metre in front of the camera, with the lens's distortion taken out."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Camera

# Farther from the axis (80 degrees) the plane stretches without end.
_WIDEST_TANGENT = 5.7
# A point that does not come back to its pixel within this lies where the lens model has no inverse.
_MOST_ROUND_TRIP_PX = 0.1


def undistort(pixels: NDArray[np.float32], camera: Camera) -> NDArray[np.float64]:
    """Return where pixels lie on the plane z = 1 of the optical frame.

    Args:
        pixels: x, y in pixels of the camera's image, shape (n, 2).
        camera: Intrinsics and lens: plumb_bob, rational_polynomial or equidistant (Kannala and Brandt 2006).

    Returns:
        Shape (n, 2), float64; NaN where the lens model has no inverse or the ray is farther than 80 degrees off axis.
    """
    if not len(pixels):
        return np.zeros((0, 2))
    points = pixels.astype(np.float64).reshape(-1, 1, 2)
    lens = np.array(camera.distortion or (0.0,) * 4)
    if camera.model == "equidistant":
        plane = cv2.fisheye.undistortPoints(points, camera.matrix, lens)
    else:
        iterations = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-9)
        plane = _undistort_accurately(points, camera, lens, iterations)
    plane = np.asarray(plane, np.float64).reshape(-1, 2)
    back = distort(np.nan_to_num(plane, posinf=0.0, neginf=0.0), camera)
    is_sound = np.linalg.norm(back - pixels, axis=1) < _MOST_ROUND_TRIP_PX
    is_sound &= np.linalg.norm(plane, axis=1) < _WIDEST_TANGENT
    return np.where(is_sound[:, None], plane, np.nan)


def distort(plane: NDArray[np.float64], camera: Camera) -> NDArray[np.float64]:
    """Return the pixels of points on the plane z = 1, shape (n, 2); the inverse of :func:`undistort`."""
    if not len(plane):
        return np.zeros((0, 2))
    lens = np.array(camera.distortion or (0.0,) * 4)
    if camera.model == "equidistant":
        pixels = cv2.fisheye.distortPoints(plane.reshape(-1, 1, 2), camera.matrix, lens)
    else:
        rays = np.column_stack((plane, np.ones(len(plane))))
        pixels, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), camera.matrix, lens)
    return np.asarray(pixels, np.float64).reshape(-1, 2)


def _undistort_accurately(
    points: NDArray[np.float64], camera: Camera, lens: NDArray[np.float64], iterations: tuple[int, int, float]
) -> NDArray[np.float64]:
    # OpenCV's default of five iterations leaves a pixel and more at the corners of a wide lens. The function with
    # criteria has two names: undistortPointsIter up to 4.x, undistortPoints(criteria=) from 5 on.
    if hasattr(cv2, "undistortPointsIter"):
        return np.asarray(cv2.undistortPointsIter(points, camera.matrix, lens, None, None, iterations))
    return np.asarray(cv2.undistortPoints(points, camera.matrix, lens, None, None, None, iterations))
