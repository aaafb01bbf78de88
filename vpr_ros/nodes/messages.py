"""Values to messages and back: the only place that knows the fields of both."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PoseWithCovariance, PoseWithCovarianceStamped, Quaternion
from geometry_msgs.msg import Pose as PoseMessage
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from vpr_msgs.msg import Decision as DecisionMessage
from vpr_msgs.msg import Keyframe as KeyframeMessage
from vpr_msgs.msg import LoopClosure as LoopClosureMessage
from vpr_ros.core import NS_PER_S, Camera, CameraError, Decision, Frame, FrameError, Keyframe, LoopClosure, Pose
from vpr_ros.nodes.assembly import Exposure
from vpr_ros.sources import SourceError
from vpr_ros.sources.image_codec import decode_compressed, decode_depth, decode_image

# What a covariance's first entry says where there is none (sensor_msgs/Imu has the same convention).
_UNKNOWN_COVARIANCE = -1.0


def stamp_ns_of(stamp: Time) -> int:
    """Return a stamp in ns."""
    return stamp.sec * NS_PER_S + stamp.nanosec


def stamp_of(stamp_ns: int) -> Time:
    """Return the message of a stamp in ns."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def header_of(stamp_ns: int, frame_id: str) -> Header:
    """Return a header."""
    return Header(stamp=stamp_of(stamp_ns), frame_id=frame_id)


def frame_of(exposure: Exposure, index: int, notice: Callable[[str, str], None]) -> Frame:
    """Decode an image and what arrived with it.

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


def image_of(message: Image | CompressedImage) -> NDArray[np.uint8]:
    """Return RGB, shape (height, width, 3), uint8.

    Raises:
        ImageCodecError: Corrupt, or of an unknown encoding.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed(message.format, bytes(message.data))
    if not message.data or not message.height or not message.width:
        raise FrameError(f"image message is empty ({message.width} x {message.height}, {len(message.data)} bytes)")
    return decode_image(
        message.encoding, message.height, message.width, message.step, bytes(message.data), bool(message.is_bigendian)
    )


def depth_of(message: Image) -> NDArray[np.float32]:
    """Return depth in metres, NaN = unknown, shape (height, width), float32.

    Raises:
        ImageCodecError: Corrupt, or neither 16UC1 nor 32FC1.
    """
    return decode_depth(
        message.encoding, message.height, message.width, message.step, bytes(message.data), bool(message.is_bigendian)
    )


def camera_of(message: CameraInfo) -> Camera | None:
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
        fx=fx,
        fy=fy,
        cx=cx,
        cy=cy,
        model=message.distortion_model or "plumb_bob",
        distortion=() if is_rectified else tuple(d),
    )


def pose_of(message: PoseMessage) -> Pose:
    """Return a pose.

    Raises:
        PoseError: NaN, or a quaternion that is none.
    """
    p, q = message.position, message.orientation
    return Pose.from_xyz_quaternion([p.x, p.y, p.z, q.x, q.y, q.z, q.w])


def odometry_of(message: KeyframeMessage) -> Pose | None:
    """Return where odometry had a keyframe's camera, None where there was none."""
    return None if math.isnan(message.odometry.position.x) else pose_of(message.odometry)


def image_message(image: NDArray[np.uint8], encoding: str, header: Header) -> Image:
    """Return the message of an array (height, width, channels) or (height, width) in that encoding."""
    return Image(
        header=header,
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        step=image[0].nbytes,
        data=_bytes_of(image),
    )


def depth_message(depth_m: NDArray[np.float32], header: Header) -> Image:
    """Return the 32FC1 message of depth in metres, NaN = unknown (REP 118)."""
    return image_message(depth_m, "32FC1", header)


def camera_info_message(camera: Camera | None, size: tuple[int, int], header: Header) -> CameraInfo:
    """Return the calibration's message; K = 0 says uncalibrated (REP 104).

    Args:
        camera: Calibration, None if there is none.
        size: Height and width of the image, in pixels.
        header: The image's own.
    """
    message = CameraInfo(header=header, height=size[0], width=size[1])
    if camera is not None:
        message.distortion_model = camera.model
        message.d = list(camera.distortion)
        message.k = camera.matrix.ravel()
        message.r = np.eye(3).ravel()
        message.p = np.hstack([camera.matrix, np.zeros((3, 1))]).ravel()
    return message


def odometry_message(t_odom_camera: Pose, header: Header, child_frame_id: str) -> Odometry:
    """Return the message of the pose of ``child_frame_id`` in the header's frame."""
    message = Odometry(header=header, child_frame_id=child_frame_id)
    message.pose.pose = pose_message(t_odom_camera)
    return message


def pose_message(pose: Pose | None) -> PoseMessage:
    """Return a pose's message; every number is NaN where there is none."""
    x, y, z, qx, qy, qz, qw = [math.nan] * 7 if pose is None else pose.xyz_quaternion.tolist()
    return PoseMessage(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def pose_with_covariance(pose: Pose | None, covariance: NDArray[np.float64] | None) -> PoseWithCovariance:
    """Return pose and covariance (6, 6); without a pose NaN, and -1 as the covariance's first entry."""
    entries = np.zeros(36) if covariance is None else np.asarray(covariance, dtype=np.float64).ravel()
    if pose is None:
        entries = np.zeros(36)
        entries[0] = _UNKNOWN_COVARIANCE
    return PoseWithCovariance(pose=pose_message(pose), covariance=entries)


def pose_stamped(
    pose: Pose | None, covariance: NDArray[np.float64] | None, header: Header
) -> PoseWithCovarianceStamped:
    """Return a stamped pose with covariance; see :func:`pose_with_covariance`."""
    return PoseWithCovarianceStamped(header=header, pose=pose_with_covariance(pose, covariance))


def loop_closure_message(closure: LoopClosure) -> LoopClosureMessage:
    """Return the message of a closure."""
    return LoopClosureMessage(
        header=header_of(closure.query_stamp_ns, closure.query_frame_id),
        query_id=closure.query_id,
        match_id=closure.match_id,
        match_stamp=stamp_of(closure.match_stamp_ns),
        match_session=closure.match_session,
        similarity=closure.similarity,
        probability=closure.probability,
        inliers=closure.inliers,
        metric=closure.metric,
        t_match_query=pose_with_covariance(closure.t_match_query, closure.covariance),
    )


def loop_closure_of(message: LoopClosureMessage) -> LoopClosure:
    """Return the closure of a message."""
    covariance = np.asarray(message.t_match_query.covariance, dtype=np.float64).reshape(6, 6)
    has_pose = covariance[0, 0] != _UNKNOWN_COVARIANCE
    return LoopClosure(
        query_id=message.query_id,
        query_stamp_ns=stamp_ns_of(message.header.stamp),
        query_frame_id=message.header.frame_id,
        match_id=message.match_id,
        match_stamp_ns=stamp_ns_of(message.match_stamp),
        match_session=message.match_session,
        similarity=message.similarity,
        probability=message.probability,
        inliers=message.inliers,
        metric=message.metric,
        t_match_query=pose_of(message.t_match_query.pose) if has_pose else None,
        covariance=covariance if has_pose else None,
    )


def decision_message(decision: Decision, frame_id: str) -> DecisionMessage:
    """Return the message of a decision; ``frame_id`` is the camera's."""
    return DecisionMessage(
        header=header_of(decision.query_stamp_ns, frame_id),
        query_id=decision.query_id,
        match_id=decision.match_id,
        match_stamp=stamp_of(decision.match_stamp_ns),
        match_session=decision.match_session,
        accepted=decision.accepted,
        stage=decision.stage,
        value=decision.value,
        threshold=decision.threshold,
        similarity=decision.similarity,
        probability=decision.probability,
        reason=decision.reason,
    )


def decision_of(message: DecisionMessage) -> Decision:
    """Return the decision of a message."""
    return Decision(
        query_id=message.query_id,
        query_stamp_ns=stamp_ns_of(message.header.stamp),
        match_id=message.match_id,
        match_stamp_ns=stamp_ns_of(message.match_stamp),
        match_session=message.match_session,
        accepted=message.accepted,
        stage=message.stage,
        value=message.value,
        threshold=message.threshold,
        similarity=message.similarity,
        probability=message.probability,
        reason=message.reason,
    )


def keyframe_message(keyframe: Keyframe, *, with_descriptor: bool) -> KeyframeMessage:
    """Return the message of a keyframe."""
    return KeyframeMessage(
        header=header_of(keyframe.stamp_ns, keyframe.frame_id),
        id=keyframe.id,
        session=keyframe.session,
        odometry=pose_message(keyframe.t_odom_camera),
        descriptor=array("f", keyframe.descriptor.tobytes()) if with_descriptor else array("f"),
    )


def _fitting_camera(
    message: CameraInfo | None, size: tuple[int, ...], notice: Callable[[str, str], None]
) -> Camera | None:
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
    message: Image | None, size: tuple[int, ...], notice: Callable[[str, str], None]
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


def _bytes_of(image: NDArray[np.generic]) -> array[int]:
    """Return an array's bytes as rclpy takes them at once; an ndarray or memoryview would cost 80 ms an image."""
    data = array("B")
    data.frombytes(memoryview(np.ascontiguousarray(image)).cast("B"))
    return data
