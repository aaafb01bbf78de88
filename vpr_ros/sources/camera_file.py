"""Camera calibration files as ROS's camera_calibration writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from vpr_ros.core import Camera, CameraError
from vpr_ros.sources.source import SourceError

_EXPECTED = "a ROS camera calibration with image_width, image_height, camera_matrix, distortion_model and _coefficients"


class CameraFileError(SourceError):
    """A calibration file that can't be read, or describes no camera."""


def read_camera_file(path: Path) -> Camera | None:
    """Return the camera of a ROS calibration file; None if it says uncalibrated (``camera_matrix`` is 0).

    A file of rectified images has zero distortion and its intrinsics in ``projection_matrix``, as ``CameraInfo`` has.

    Raises:
        CameraFileError: It can't be read, a value is missing or of the wrong kind, or no camera has such values.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _camera(document)
    # A YAML file can nest deeper than Python's stack.
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError, CameraError) as error:
        reason = " ".join(str(error).split())
        raise CameraFileError(f"can't use camera calibration {path}: {reason}; expected {_EXPECTED}") from error


def _camera(document: object) -> Camera | None:
    if not isinstance(document, Mapping):
        raise ValueError("it is not a table of names and values")  # noqa: TRY004  # wrong content, not a wrong call
    k = _numbers(document, "camera_matrix", 9)
    distortion = _numbers(document, "distortion_coefficients", None)
    p = _numbers(document, "projection_matrix", 12) if "projection_matrix" in document else (0.0,) * 12
    if not k[0] and not p[0]:
        return None
    is_rectified = not any(distortion) and p[0] > 0
    fx, fy, cx, cy = (p[0], p[5], p[2], p[6]) if is_rectified else (k[0], k[4], k[2], k[5])
    return Camera(
        width=_whole_number(document, "image_width"),
        height=_whole_number(document, "image_height"),
        fx=fx,
        fy=fy,
        cx=cx,
        cy=cy,
        model=document.get("distortion_model") or "plumb_bob",
        distortion=() if is_rectified else distortion,
    )


def _numbers(document: Mapping[object, object], key: str, count: int | None) -> tuple[float, ...]:
    """Return the ``data`` of a matrix; None for any count."""
    matrix = document.get(key)
    values = matrix.get("data") if isinstance(matrix, Mapping) else None
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"{key} has no list of numbers 'data'")
    if count is not None and len(values) != count:
        raise ValueError(f"{key} has {len(values)} numbers, not {count}")
    return tuple(float(value) for value in values)


def _whole_number(document: Mapping[object, object], key: str) -> int:
    value = document.get(key)
    if type(value) is not int:
        raise ValueError(f"{key} is {value!r}, not a whole number")
    return value
