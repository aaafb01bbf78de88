"""Fields of ROS messages as values, for messages of any library that names the fields as ROS does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import NS_PER_S, Camera, CameraError, Frame, FrameError, Pose
from vpr_ros.core.camera import DistortionModel
from vpr_ros.sources.image_codec import (
    Buffer,
    decode_compressed,
    decode_compressed_depth,
    decode_depth,
    decode_image,
)
from vpr_ros.sources.source import SourceError

Notice = Callable[[str, str], None]


class StampMessage(Protocol):
    """``builtin_interfaces/Time``."""

    sec: int
    nanosec: int


class HeaderMessage(Protocol):
    """``std_msgs/Header``."""

    stamp: StampMessage
    frame_id: str


class ImageMessage(Protocol):
    """``sensor_msgs/Image``."""

    header: HeaderMessage
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Buffer


class CompressedImageMessage(Protocol):
    """``sensor_msgs/CompressedImage``."""

    header: HeaderMessage
    format: str
    data: Buffer


class CameraInfoMessage(Protocol):
    """``sensor_msgs/CameraInfo``."""

    header: HeaderMessage
    height: int
    width: int
    distortion_model: str
    d: Iterable[float]
    k: Iterable[float]
    p: Iterable[float]


class XyzMessage(Protocol):
    """``geometry_msgs/Point`` or ``Vector3``."""

    x: float
    y: float
    z: float


class QuaternionMessage(XyzMessage, Protocol):
    """``geometry_msgs/Quaternion``."""

    w: float


class PoseMessage(Protocol):
    """``geometry_msgs/Pose``."""

    position: XyzMessage
    orientation: QuaternionMessage


class ExposureMessages(Protocol):
    """An image and what belongs to it, not yet decoded; each part but the image may be None."""

    @property
    def image(self) -> ImageMessage | CompressedImageMessage:
        """The image."""

    @property
    def info(self) -> CameraInfoMessage | None:
        """Its calibration."""

    @property
    def depth(self) -> ImageMessage | CompressedImageMessage | None:
        """Depth of the same moment."""

    @property
    def t_odom_camera(self) -> Pose | None:
        """Camera at the image's stamp."""


def stamp_ns_of(stamp: StampMessage) -> int:
    """Return a stamp in ns."""
    return stamp.sec * NS_PER_S + stamp.nanosec


def frame_of(exposure: ExposureMessages, index: int, notice: Notice) -> Frame:
    """Decode an image and what belongs to it.

    Depth or a calibration that is broken or of another size than the image is left out, and the frame is still good.

    Args:
        exposure: Image, and what belongs to it.
        index: Its number.
        notice: Called with a cause and a sentence for each part that is left out.

    Raises:
        ImageCodecError: The image is corrupt, or its encoding is unknown.
        FrameError: The image is empty.
    """
    image = image_of(exposure.image)
    return Frame(
        index=index,
        stamp_ns=stamp_ns_of(exposure.image.header.stamp),
        image=image,
        frame_id=exposure.image.header.frame_id or "camera",
        camera=_fitting_camera(exposure.info, image.shape[:2], notice),
        depth_m=_fitting_depth(exposure.depth, image.shape[:2], notice),
        t_odom_camera=exposure.t_odom_camera,
    )


def image_of(message: ImageMessage | CompressedImageMessage) -> NDArray[np.uint8]:
    """Return RGB, shape (height, width, 3), uint8.

    Raises:
        ImageCodecError: Corrupt, or of an unknown encoding.
        FrameError: Empty.
    """
    if _is_compressed(message):
        compressed = cast("CompressedImageMessage", message)
        return decode_compressed(compressed.format, compressed.data)
    image = cast("ImageMessage", message)
    if not len(image.data) or not image.height or not image.width:
        raise FrameError(
            f"image message is empty ({image.width} x {image.height}, {len(image.data)} bytes), expected pixels; "
            "look at the camera's driver"
        )
    return decode_image(image.encoding, image.height, image.width, image.step, image.data, bool(image.is_bigendian))


def depth_of(message: ImageMessage | CompressedImageMessage) -> NDArray[np.float32]:
    """Return depth in metres, NaN = unknown, shape (height, width), float32.

    Raises:
        ImageCodecError: Corrupt, or neither 16UC1 nor 32FC1 nor their ``compressedDepth``.
    """
    if _is_compressed(message):
        compressed = cast("CompressedImageMessage", message)
        return decode_compressed_depth(compressed.format, compressed.data)
    depth = cast("ImageMessage", message)
    return decode_depth(depth.encoding, depth.height, depth.width, depth.step, depth.data, bool(depth.is_bigendian))


def camera_of(message: CameraInfoMessage) -> Camera | None:
    """Return the calibration, None where K is 0 (REP 104: uncalibrated).

    A rectified topic has zero D and its intrinsics in P.

    Raises:
        CameraError: Unknown lens model, or values that no camera has.
    """
    k, d, p = list(message.k), [float(value) for value in message.d], list(message.p)
    if not k[0] and not p[0]:
        return None
    is_rectified = not any(d) and p[0] > 0
    fx, fy, cx, cy = (p[0], p[5], p[2], p[6]) if is_rectified else (k[0], k[4], k[2], k[5])
    return Camera(
        width=message.width,
        height=message.height,
        fx=float(fx),
        fy=float(fy),
        cx=float(cx),
        cy=float(cy),
        model=cast("DistortionModel", message.distortion_model or "plumb_bob"),
        distortion=() if is_rectified else tuple(d),
    )


def pose_of(message: PoseMessage) -> Pose:
    """Return a pose.

    Raises:
        PoseError: NaN, or a quaternion that is none.
    """
    return pose_of_parts(message.position, message.orientation)


def pose_of_parts(xyz: XyzMessage, quaternion: QuaternionMessage) -> Pose:
    """Return the pose of a translation and a rotation.

    Raises:
        PoseError: NaN, or a quaternion that is none.
    """
    q = quaternion
    return Pose.from_xyz_quaternion([xyz.x, xyz.y, xyz.z, q.x, q.y, q.z, q.w])


def _is_compressed(message: ImageMessage | CompressedImageMessage) -> bool:
    return hasattr(message, "format")


def _fitting_camera(message: CameraInfoMessage | None, size: tuple[int, ...], notice: Notice) -> Camera | None:
    try:
        camera = None if message is None else camera_of(message)
    except CameraError as error:
        notice("bad calibration", str(error))
        return None
    if camera is not None and (camera.height, camera.width) != size:
        seen = f"camera_info is for {camera.width} x {camera.height}, the image has {size[1]} x {size[0]}"
        notice("calibration of another size", f"{seen}; it is used without")
        return None
    return camera


def _fitting_depth(
    message: ImageMessage | CompressedImageMessage | None, size: tuple[int, ...], notice: Notice
) -> NDArray[np.float32] | None:
    try:
        depth_m = None if message is None else depth_of(message)
    except SourceError as error:
        notice("bad depth", str(error))
        return None
    if depth_m is not None and depth_m.shape != size:
        seen = f"depth is {depth_m.shape[1]} x {depth_m.shape[0]}, the image {size[1]} x {size[0]}"
        notice("depth of another size", f"{seen}; depth must be registered to the image, it is used without")
        return None
    return depth_m
