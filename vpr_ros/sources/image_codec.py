"""ROS's image encodings as arrays; whatever is broken says so in one sentence."""

from __future__ import annotations

import re
import struct
from array import array
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.sources.source import SourceError

Buffer: TypeAlias = "bytes | bytearray | memoryview | array[int]"
Image8 = NDArray[np.uint8]

# OpenCV names a Bayer pattern by the second and third pixel of its second row, ROS by the first two rows from the
# corner: what ROS calls rggb is OpenCV's BG.
_BAYER: dict[str, int] = {
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
}
# Bytes a pixel, and OpenCV's way to RGB; None where the bytes are RGB already. Colours of YUV are BT.601 in video
# range, as cv_bridge takes them.
_PACKED: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "8UC3": (3, cv2.COLOR_BGR2RGB),  # has no colours of its own; OpenCV's order is what its users mean
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    **{pattern: (1, conversion) for pattern, conversion in _BAYER.items()},
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUY2),
}
_YUV_422_BYTES = 2
# Full-size luma, then half as many rows of interleaved chroma.
_SEMI_PLANAR = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
_MONO16 = "mono16"
IMAGE_ENCODINGS = (*_PACKED, *_SEMI_PLANAR, _MONO16)

_MM_PER_M = np.float32(1000)  # REP 118
_DEPTH_TYPES = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
DEPTH_ENCODINGS = tuple(_DEPTH_TYPES)

# compressed_depth_image_transport's ConfigHeader: the format's number, depthQuantA, depthQuantB.
_DEPTH_HEADER = struct.Struct("<iff")

_JPEG_START, _JPEG_END = b"\xff\xd8", 0xD9
# A marker that is neither a stuffed byte, a restart, nor fill (ITU-T T.81, B.1.1.2).
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
_PNG_CHUNK = struct.Struct(">I4s")
_PNG_CHECKSUM_BYTES = 4


class ImageCodecError(SourceError):
    """An image message that is broken, or in an encoding that is not known."""


def decode_image(encoding: str, height: int, width: int, step: int, data: Buffer, is_bigendian: bool) -> Image8:
    """Return the RGB image of a ``sensor_msgs/Image``, shape (height, width, 3), uint8.

    Grey gives three equal channels, alpha is left out. ``mono16`` is scaled from 0..65535 to 0..255, as cv_bridge
    does it: a fixed scale, so that a place keeps its brightness. An ``rgb8`` image is not copied if its rows are not
    padded, and is read-only where ``data`` is.

    Args:
        encoding: One of ``IMAGE_ENCODINGS``.
        height: In pixels.
        width: In pixels.
        step: Bytes from one row to the next.
        data: The rows.
        is_bigendian: Order of the bytes of a 16-bit pixel.

    Raises:
        ImageCodecError: No pixels, too few bytes for the size, or an unknown encoding.
    """
    _check_size(encoding, height, width)
    if encoding == _MONO16:
        grey = _to_8_bits(_rows(encoding, (height, width), step, data, _type("u2", is_bigendian)))
        return _converted(grey, cv2.COLOR_GRAY2RGB)
    if encoding in _SEMI_PLANAR:
        _check_even(encoding, height=height, width=width)
        rows = _rows(encoding, (height + height // 2, width), step, data, np.dtype(np.uint8))
        return _converted(rows, _SEMI_PLANAR[encoding])
    if encoding in _PACKED:
        return _decode_packed(encoding, height, width, step, data)
    hint = "; it is a depth encoding, give it as the depth topic" if encoding in _DEPTH_TYPES else ""
    raise ImageCodecError(f"image encoding is '{encoding}', expected one of {', '.join(IMAGE_ENCODINGS)}{hint}")


def decode_compressed(image_format: str, data: Buffer) -> Image8:
    """Return the RGB image of a ``sensor_msgs/CompressedImage``, shape (height, width, 3), uint8.

    What the bytes say counts, not the format: JPEG, PNG and whatever else OpenCV reads. Of the format matter only the
    order of colours that was compressed ("rgb8; png compressed rgb8" holds them swapped) and the Bayer pattern that a
    one-channel image may hold. 16 bits are scaled to 8 as in :func:`decode_image`, alpha is left out.

    Args:
        image_format: As the message says it, such as "jpeg" or "rgb8; jpeg compressed bgr8".
        data: The file.

    Raises:
        ImageCodecError: Empty, cut off, corrupt, or depth.
    """
    if "compressedDepth" in image_format:
        raise ImageCodecError(f"image format is '{image_format}', expected a colour image; give it as the depth topic")
    image = _to_8_bits(_decoded_file(image_format, data))
    original, _, compressed = image_format.partition(";")
    if image.ndim == 2:
        return _converted(image, _BAYER.get(original.strip(), cv2.COLOR_GRAY2RGB))
    if "compressed rgb" in compressed:  # the transport took RGB for BGR on its way in
        return np.ascontiguousarray(image[:, :, :3])
    return _converted(image, cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def decode_depth(
    encoding: str, height: int, width: int, step: int, data: Buffer, is_bigendian: bool
) -> NDArray[np.float32]:
    """Return the depth of a ``sensor_msgs/Image`` in metres, NaN = unknown, shape (height, width), float32.

    Args:
        encoding: ``16UC1`` or ``mono16`` (mm, 0 = unknown) or ``32FC1`` (m; not finite, 0 or less = unknown); REP 118.
        height: In pixels.
        width: In pixels.
        step: Bytes from one row to the next.
        data: The rows.
        is_bigendian: Order of the bytes of a pixel.

    Raises:
        ImageCodecError: No pixels, too few bytes for the size, or another encoding.
    """
    _check_size(encoding, height, width)
    if encoding not in _DEPTH_TYPES:
        raise ImageCodecError(f"depth encoding is '{encoding}', expected one of {', '.join(DEPTH_ENCODINGS)}")
    values = _rows(encoding, (height, width), step, data, _type(_DEPTH_TYPES[encoding], is_bigendian))
    return _metres(values.astype(np.float32) / _MM_PER_M if values.dtype.kind == "u" else values.astype(np.float32))


def decode_compressed_depth(image_format: str, data: Buffer) -> NDArray[np.float32]:
    """Return the depth of a ``compressedDepth`` message in metres, NaN = unknown, shape (height, width), float32.

    The bytes are a header of 12 bytes and a 16-bit PNG: of mm ("16UC1; compressedDepth png"), or of inverse depth
    ``q = depthQuantA / depth_m + depthQuantB`` ("32FC1; compressedDepth png"), 0 = unknown in both; see ROS's
    compressed_depth_image_transport. A 16-bit PNG of mm without the header ("16UC1; png compressed") is taken too.

    Args:
        image_format: As the message says it.
        data: Header and file.

    Raises:
        ImageCodecError: Too short, cut off, corrupt, RVL, or not of 16 bits and one channel.
    """
    content = bytes(data)
    encoding = image_format.partition(";")[0].strip()
    if encoding not in DEPTH_ENCODINGS or "rvl" in image_format.lower():
        raise ImageCodecError(
            f"depth format is '{image_format}', expected '16UC1; compressedDepth png' or '32FC1; compressedDepth png'; "
            "set the camera's compressedDepth format to png"
        )
    start = 0 if content.startswith(_PNG_START) else _DEPTH_HEADER.size
    units = _decoded_file(image_format, content[start:])
    if units.ndim != 2 or units.dtype != np.uint16:
        raise ImageCodecError(
            f"compressed depth has shape {units.shape} and type {units.dtype}, expected (height, width) uint16"
        )
    if encoding != "32FC1":
        return _metres(units.astype(np.float32) / _MM_PER_M)
    if start == 0:
        raise ImageCodecError(
            f"compressed depth '{image_format}' has no header with depthQuantA and depthQuantB; expected 12 bytes "
            "before the PNG, as compressed_depth_image_transport writes them"
        )
    _, quant_a, quant_b = _DEPTH_HEADER.unpack_from(content)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        depth_m = np.float32(quant_a) / (units.astype(np.float32) - np.float32(quant_b))
    depth_m[units == 0] = np.nan
    return _metres(depth_m)


def is_whole_file(content: bytes) -> bool:
    """Say whether a JPEG or PNG has its end (OpenCV fills up a cut one); of others, whether they hold anything."""
    if content.startswith(_JPEG_START):
        return _has_jpeg_end(content)
    return _has_png_end(content) if content.startswith(_PNG_START) else bool(content)


def _decode_packed(encoding: str, height: int, width: int, step: int, data: Buffer) -> Image8:
    channels, conversion = _PACKED[encoding]
    if channels == _YUV_422_BYTES:
        _check_even(encoding, width=width)
    rows = _rows(encoding, (height, width * channels), step, data, np.dtype(np.uint8))
    if channels == 1 and conversion is not None:
        return _converted(rows, conversion)
    pixels = rows.reshape(height, width, channels).view(np.uint8)  # a view, even of padded rows
    return np.ascontiguousarray(pixels) if conversion is None else _converted(pixels, conversion)


def _check_size(encoding: str, height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ImageCodecError(f"image of encoding '{encoding}' has {width} x {height} pixels, expected at least 1 x 1")


def _check_even(encoding: str, **sizes: int) -> None:
    for name, size in sizes.items():
        if size % 2:
            raise ImageCodecError(
                f"{encoding} image has {name} {size}, expected an even one: two pixels share a colour"
            )


def _type(code: str, is_bigendian: bool) -> np.dtype[np.generic]:
    return np.dtype(f"{'>' if is_bigendian else '<'}{code}")


def _rows(
    encoding: str, shape: tuple[int, int], step: int, data: Buffer, dtype: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """Return the rows without their padding, a view of ``data``. The last row need not be padded."""
    height, width = shape
    row_bytes = width * dtype.itemsize
    if step < row_bytes:
        raise ImageCodecError(
            f"{encoding} image has step {step}, expected at least {row_bytes} bytes for {width} values a row"
        )
    needed = step * (height - 1) + row_bytes
    seen = memoryview(data).nbytes
    if seen < needed:
        raise ImageCodecError(f"{encoding} image has {seen} bytes, expected {needed} for {height} rows of step {step}")
    rows: NDArray[np.generic] = np.ndarray(shape, dtype, data, strides=(step, dtype.itemsize))
    return rows


def _to_8_bits(image: NDArray[np.generic]) -> Image8:
    if image.dtype == np.uint8:
        return image.view(np.uint8)
    native = np.ascontiguousarray(image, dtype=np.uint16)  # OpenCV knows the machine's own byte order only
    return np.asarray(cv2.convertScaleAbs(native, alpha=255 / 65535), dtype=np.uint8)


def _converted(image: NDArray[np.generic], conversion: int) -> Image8:
    try:
        return np.asarray(cv2.cvtColor(image.view(np.uint8), conversion), dtype=np.uint8)
    except cv2.error as error:  # such as a Bayer image of one pixel
        raise ImageCodecError(
            f"OpenCV can't convert an image of shape {image.shape} ({_sentence(error)}); expected a whole image"
        ) from error


def _sentence(error: cv2.error) -> str:
    return " ".join(str(error).split())


def _metres(depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put NaN where nothing was measured, in place."""
    with np.errstate(invalid="ignore"):
        depth_m[~((depth_m > 0) & np.isfinite(depth_m))] = np.nan
    return depth_m


def _decoded_file(image_format: str, data: Buffer) -> NDArray[np.generic]:
    """Return the image of a file as OpenCV has it: (height, width[, 3 or 4]) uint8 or uint16, in the order BGR(A)."""
    content = bytes(data)
    try:
        whole = is_whole_file(content)
        # UNCHANGED also leaves the picture as the sensor saw it: an EXIF turn would not fit the calibration.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
    except cv2.error as error:  # more pixels than OpenCV allows, or than there is memory for
        raise ImageCodecError(
            f"can't decode an image of format '{image_format}' ({_sentence(error)}); expected JPEG or PNG"
        ) from error
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise ImageCodecError(
            f"compressed image of format '{image_format}' ({len(content)} bytes) is cut off, corrupt or no image; "
            "expected a whole JPEG or PNG"
        )
    decoded: NDArray[np.generic] = image
    return decoded if image.ndim == 2 or image.shape[2] != 1 else decoded[:, :, 0]


def _has_jpeg_end(content: bytes) -> bool:
    position = len(_JPEG_START)
    while marker := _JPEG_MARKER.search(content, position):
        if content[marker.start() + 1] == _JPEG_END:
            return True
        # A segment says its own length, so that the thumbnail inside one does not look like the end.
        position = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], "big")
    return False


def _has_png_end(content: bytes) -> bool:
    position = len(_PNG_START)
    while position + _PNG_CHUNK.size <= len(content):
        length, name = _PNG_CHUNK.unpack_from(content, position)
        position += _PNG_CHUNK.size + length + _PNG_CHECKSUM_BYTES
        if name == _PNG_END:
            return bool(position <= len(content))
    return False
