"""What a pinhole camera sees in an equirectangular panorama."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Look:
    """Where a pinhole camera in the middle of a panorama looks.

    Attributes:
        yaw_rad: To the right of the panorama's middle.
        pitch_rad: Upward.
        roll_rad: Clockwise, as the camera turns.
        fov_rad: Horizontal field of view.
    """

    yaw_rad: float
    pitch_rad: float = 0.0
    roll_rad: float = 0.0
    fov_rad: float = math.radians(80)


def crop_panorama(panorama: NDArray[np.uint8], look: Look, width: int, height: int) -> NDArray[np.uint8]:
    """Return the view, RGB (height, width, 3).

    Args:
        panorama: Equirectangular, RGB, shape (h, 2 h, 3), uint8; its middle column is yaw 0, its left edge -pi.
        look: Where to.
        width: In pixels.
        height: In pixels.
    """
    rays = _rays(look, width, height)
    longitude = np.arctan2(rays[..., 0], rays[..., 2]) + look.yaw_rad
    latitude = np.arctan2(rays[..., 1], np.hypot(rays[..., 0], rays[..., 2]))
    rows, columns = panorama.shape[:2]
    x = ((longitude / (2 * math.pi) + 0.5) % 1 * columns - 0.5).astype(np.float32)
    y = ((latitude / math.pi + 0.5) * rows - 0.5).astype(np.float32)
    return np.asarray(cv2.remap(panorama, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.uint8)


def _rays(look: Look, width: int, height: int) -> NDArray[np.float64]:
    """Return each pixel's ray before the yaw, (height, width, 3): x right, y down, z forward."""
    focal = width / 2 / math.tan(look.fov_rad / 2)
    x, y = np.meshgrid((np.arange(width) + 0.5 - width / 2) / focal, (np.arange(height) + 0.5 - height / 2) / focal)
    cos, sin = math.cos(look.roll_rad), math.sin(look.roll_rad)
    roll = np.array(((cos, -sin, 0), (sin, cos, 0), (0, 0, 1)))
    cos, sin = math.cos(look.pitch_rad), math.sin(look.pitch_rad)
    pitch = np.array(((1, 0, 0), (0, cos, -sin), (0, sin, cos)))
    rays: NDArray[np.float64] = np.stack((x, y, np.ones_like(x)), axis=-1) @ (pitch @ roll).T
    return rays
