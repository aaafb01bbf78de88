"""A calibrated camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.errors import VprError

DistortionModel = Literal["plumb_bob", "rational_polynomial", "equidistant"]
# How many coefficients each model takes (ROS REP 104 and OpenCV's order); fewer are padded with zeros.
_COEFFICIENTS: dict[DistortionModel, tuple[int, ...]] = {
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (0, 4),
}


class CameraError(VprError):
    """A calibration that no image can have."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Intrinsics and lens of a camera, as REP 104's ``CameraInfo`` gives them.

    An uncalibrated camera (``K = 0``) is not a Camera but None.

    Attributes:
        width: Image width in pixels.
        height: Image height in pixels.
        fx: Focal length along x in pixels.
        fy: Focal length along y in pixels.
        cx: Principal point, x, in pixels.
        cy: Principal point, y, in pixels.
        model: Lens model. ``equidistant`` is the fisheye of Kannala and Brandt (2006).
        distortion: Coefficients in ROS's order (plumb_bob: k1 k2 p1 p2 k3); empty for rectified images.

    Raises:
        CameraError: Not finite, focal length or size not positive, unknown model, or a wrong number of coefficients.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    model: DistortionModel = "plumb_bob"
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the values once."""
        if not np.isfinite([self.fx, self.fy, self.cx, self.cy, *self.distortion]).all():
            raise CameraError("camera calibration holds NaN or infinite values")
        if min(self.fx, self.fy) <= 0 or min(self.width, self.height) <= 0:
            raise CameraError(
                f"camera has fx {self.fx:g}, fy {self.fy:g}, size {self.width} x {self.height}; expected all positive"
            )
        if self.model not in get_args(DistortionModel):
            raise CameraError(f"lens model is '{self.model}', expected one of {', '.join(get_args(DistortionModel))}")
        if len(self.distortion) not in _COEFFICIENTS[self.model]:
            raise CameraError(
                f"lens model {self.model} has {len(self.distortion)} coefficients, "
                f"expected one of {_COEFFICIENTS[self.model]}"
            )

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The matrix K, shape (3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])
