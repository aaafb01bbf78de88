"""One image as it comes from any source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.camera import Camera
from vpr_ros.core.errors import VprError
from vpr_ros.core.pose import Pose


class FrameError(VprError):
    """An image or depth map whose shape or type the house does not take."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image with what came beside it.

    Attributes:
        index: 0-based position in the source's order.
        stamp_ns: Time of exposure in ns. Where ``timed`` is False it only numbers the frames.
        image: RGB, shape (height, width, 3), uint8.
        frame_id: Name of the camera's optical frame (z forward, x right).
        camera: Calibration, None if uncalibrated.
        depth_m: Depth registered to the image, shape (height, width), float32, metres, NaN = unknown; None if absent.
        t_odom_camera: Pose of the camera in the odometry frame, None if absent.
        timed: Whether ``stamp_ns`` says anything about time.

    Raises:
        FrameError: Wrong shape or type; names both.
    """

    index: int
    stamp_ns: int
    image: NDArray[np.uint8]
    frame_id: str = "camera"
    camera: Camera | None = None
    depth_m: NDArray[np.float32] | None = None
    t_odom_camera: Pose | None = None
    timed: bool = True

    def __post_init__(self) -> None:
        """Check shapes and types once."""
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8 or self.image.size == 0:
            raise FrameError(
                f"image has shape {self.image.shape} and type {self.image.dtype}, "
                "expected (height, width, 3) uint8, not empty"
            )
        if self.depth_m is not None and (self.depth_m.ndim != 2 or self.depth_m.dtype != np.float32):
            raise FrameError(
                f"depth has shape {self.depth_m.shape} and type {self.depth_m.dtype}, expected (height, width) float32"
            )
