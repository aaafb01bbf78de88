"""Values to messages and back: the only place that knows the fields of both."""

from __future__ import annotations

import math
from array import array

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PoseWithCovariance, PoseWithCovarianceStamped, Quaternion
from geometry_msgs.msg import Pose as PoseMessage
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from vpr_msgs.msg import Decision as DecisionMessage
from vpr_msgs.msg import Keyframe as KeyframeMessage
from vpr_msgs.msg import LoopClosure as LoopClosureMessage
from vpr_ros.core import NS_PER_S, Camera, Decision, Keyframe, LoopClosure, Pose
from vpr_ros.sources.messages import pose_of, stamp_ns_of

# What a covariance's first entry says where there is none (sensor_msgs/Imu has the same convention).
_UNKNOWN_COVARIANCE = -1.0


def stamp_of(stamp_ns: int) -> Time:
    """Return the message of a stamp in ns."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def header_of(stamp_ns: int, frame_id: str) -> Header:
    """Return a header."""
    return Header(stamp=stamp_of(stamp_ns), frame_id=frame_id)


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


def _bytes_of(image: NDArray[np.generic]) -> array[int]:
    """Return an array's bytes as rclpy takes them at once; an ndarray or memoryview would cost 80 ms an image."""
    data = array("B")
    data.frombytes(memoryview(np.ascontiguousarray(image)).cast("B"))
    return data
