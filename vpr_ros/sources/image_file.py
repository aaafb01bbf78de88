"""Image and depth files as arrays; what is broken says so instead of giving half an image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.sources.image_codec import ImageCodecError, decode_compressed, is_whole_file
from vpr_ros.sources.source import SourceError

# What OpenCV reads everywhere, lower case.
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"})


class ImageFileError(SourceError):
    """A file that holds no whole image."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return RGB, shape (height, width, 3), uint8, by the same rules as a ``sensor_msgs/CompressedImage``.

    Grey images get three equal channels, alpha is left out, and 16 bits are scaled to 8. The EXIF orientation is not
    applied: robots' cameras write none, and depth and calibration belong to the pixels as they are stored.

    Raises:
        ImageFileError: Empty, cut off, corrupt, or not an image.
        OSError: The file can't be read.
    """
    try:
        return decode_compressed(path.suffix, _content(path))
    except ImageCodecError as error:
        raise ImageFileError(f"{path}: {error}") from error


def read_depth(path: Path, scale: float) -> NDArray[np.float32]:
    """Return depth in metres, NaN = unknown, shape (height, width), float32.

    Args:
        path: 16-bit image; 0 says that nothing was measured.
        scale: Units a metre.

    Raises:
        ImageFileError: Empty, cut off, corrupt, or not a 16-bit image of one channel.
        OSError: The file can't be read.
    """
    content = _content(path)
    try:
        units = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if is_whole_file(content) else None
    except cv2.error as error:  # more pixels than OpenCV allows, or than there is memory for
        raise ImageFileError(f"can't decode {path}: {error}; expected a 16-bit PNG") from error
    if units is None or units.ndim != 2 or units.dtype != np.uint16:
        seen = f"is cut off or corrupt ({len(content)} bytes)" if units is None else f"is {units.dtype} {units.shape}"
        raise ImageFileError(f"depth image {path} {seen}, expected (height, width) uint16; write it as a 16-bit PNG")
    depth_m: NDArray[np.float32] = units.astype(np.float32) / np.float32(scale)
    depth_m[units == 0] = np.nan
    return depth_m


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
        raise ImageFileError(f"{path} is not a file, expected an image")
    return path.read_bytes()
