"""What the simulated robot's sensors add to the truth: noise of camera and depth camera, drift of the odometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Pose
from vpr_ros.sources.simulator_drive import level_camera

# Odometry motion model of Thrun, Burgard, Fox, Probabilistic Robotics (2005), section 5.4: noise grows with distance
# and turn, to which each run adds its own constant errors. The values were chosen to resemble a differential drive
# without a gyroscope, not measured on one; what they add up to over two laps is in docs/simulator.md.
_DISTANCE_M_PER_ROOT_M = 0.02  # standard deviation
_YAW_RAD_PER_ROOT_M = np.deg2rad(0.3)
_YAW_RAD_PER_ROOT_RAD = np.deg2rad(0.6)
_HEIGHT_M_PER_ROOT_M = 0.005
_SCALE_BIAS = 0.01  # standard deviation over runs: wheels larger or smaller than thought
_YAW_BIAS_RAD_PER_M = np.deg2rad(0.03)  # standard deviation over runs: one wheel larger than the other

# Axial noise of a structured-light depth camera: Nguyen, Izadi, Lovell, "Modeling Kinect sensor noise for improved 3D
# reconstruction and tracking" (3DIMPVT 2012), equation 3. It matches windows, so that neighbouring pixels err together.
_DEPTH_NOISE_M, _DEPTH_NOISE_PER_M, _DEPTH_NOISE_FROM_M = 0.0012, 0.0019, 0.4
_DEPTH_RANGE_M = (0.4, 8.0)
_DEPTH_WINDOW_PIXELS = 4
_DEPTH_EDGE = 1.05  # beside a jump of this ratio one of the two eyes sees nothing

_BANK_PIXELS = 64  # how far the stored noise is larger than an image, to be cut out at ever other places


@dataclass(frozen=True, slots=True)
class Exposure:
    """How the camera records light.

    Attributes:
        noise: Standard deviation in grey levels of 255, independent in each pixel and channel.
        cast: Factors on red, green and blue.
    """

    noise: float
    cast: tuple[float, float, float]


class CameraNoise:
    """Adds noise that depends on seed and frame alone, so a frame is the same in each reading."""

    def __init__(self, exposure: Exposure, shape: tuple[int, int], seed: int) -> None:
        """Draw the noise once: a bank somewhat larger than an image of this height and width."""
        self._seed = seed
        levels = np.arange(256)[:, None, None] * np.array(exposure.cast)
        self._cast = np.round(levels).astype(np.uint8).reshape(1, 256, 3)
        bank = (shape[0] + _BANK_PIXELS, shape[1] + _BANK_PIXELS, 3)
        self._bank = np.round(np.random.default_rng((seed, 1)).normal(0, exposure.noise, bank)).astype(np.int16)

    def expose(self, image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """Return a frame's image as the sensor records it, RGB, same shape, uint8."""
        row, column = np.random.default_rng((self._seed, 2, index)).integers(_BANK_PIXELS, size=2)
        noise = self._bank[row : row + image.shape[0], column : column + image.shape[1]]
        recorded = cv2.add(cv2.LUT(image, self._cast), noise, dtype=cv2.CV_8U)  # saturates
        return np.asarray(recorded, dtype=np.uint8)


def sensed_depth(depth_m: NDArray[np.float32], seed: int, index: int) -> NDArray[np.float32]:
    """Return a frame's depth as a depth camera has it: noise that grows with distance, nothing at edges or far away.

    Args:
        depth_m: The truth, shape (height, width), metres, NaN where there is none.
        seed: With the frame's number it decides the noise.
        index: Of the frame.
    """
    height, width = depth_m.shape
    windows = (-(-height // _DEPTH_WINDOW_PIXELS), -(-width // _DEPTH_WINDOW_PIXELS))
    drawn = np.random.default_rng((seed, 4, index)).standard_normal(windows, np.float32)
    noise = np.repeat(np.repeat(drawn, _DEPTH_WINDOW_PIXELS, axis=0), _DEPTH_WINDOW_PIXELS, axis=1)[:height, :width]
    deviation_m = _DEPTH_NOISE_M + _DEPTH_NOISE_PER_M * (depth_m - _DEPTH_NOISE_FROM_M) ** 2
    whole = np.where(np.isfinite(depth_m), depth_m, np.float32(1e3))
    around = np.ones((3, 3), np.uint8)
    is_edge = cv2.dilate(whole, around) > _DEPTH_EDGE * cv2.erode(whole, around)
    is_seen = (whole >= _DEPTH_RANGE_M[0]) & (whole <= _DEPTH_RANGE_M[1]) & ~is_edge
    return np.where(is_seen, depth_m + noise * deviation_m, np.float32(np.nan))


def drifting_odometry(poses: Sequence[Pose], seed: int) -> tuple[Pose, ...]:
    """Return ``t_odom_camera`` of each frame as wheel odometry would have it.

    The odometry frame has z up and its origin at the first camera, whose heading is its x axis.

    Args:
        poses: Exact poses of an upright camera, ``t_level_camera``, metres.
        seed: Noise and constant errors depend on it.
    """
    rng = np.random.default_rng((seed, 3))
    positions = np.array([pose.translation for pose in poses])
    yaw_rad = np.array([np.arctan2(pose.rotation[1, 2], pose.rotation[0, 2]) for pose in poses])
    moves = np.diff(positions, axis=0)
    turns_rad = (np.diff(yaw_rad) + np.pi) % (2 * np.pi) - np.pi
    forward_m = moves[:, 0] * np.cos(yaw_rad[:-1]) + moves[:, 1] * np.sin(yaw_rad[:-1])
    left_m = moves[:, 1] * np.cos(yaw_rad[:-1]) - moves[:, 0] * np.sin(yaw_rad[:-1])
    distance_m = np.hypot(forward_m, left_m)

    noise = rng.normal(size=(3, len(moves)))
    scale, yaw_bias_rad = 1 + rng.normal(0, _SCALE_BIAS), rng.normal(0, _YAW_BIAS_RAD_PER_M)
    forward_m = forward_m * scale + noise[0] * _DISTANCE_M_PER_ROOT_M * np.sqrt(distance_m)
    yaw_variance = _YAW_RAD_PER_ROOT_M**2 * distance_m + _YAW_RAD_PER_ROOT_RAD**2 * np.abs(turns_rad)
    turns_rad = turns_rad + yaw_bias_rad * distance_m + noise[1] * np.sqrt(yaw_variance)
    climbs_m = moves[:, 2] + noise[2] * _HEIGHT_M_PER_ROOT_M * np.sqrt(distance_m)

    said_yaw_rad = np.concatenate([[0], np.cumsum(turns_rad)])
    cosine, sine = np.cos(said_yaw_rad[:-1]), np.sin(said_yaw_rad[:-1])
    steps = np.stack([forward_m * cosine - left_m * sine, forward_m * sine + left_m * cosine, climbs_m], axis=1)
    said = np.vstack([np.zeros(3), np.cumsum(steps, axis=0)])
    return tuple(level_camera(yaw, position) for yaw, position in zip(said_yaw_rad, said, strict=True))
