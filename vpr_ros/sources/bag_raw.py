"""One pass over a bag for a player: messages of ROS 2 in recorded order, as they are wherever that serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from vpr_ros.core import NS_PER_S, PoseError
from vpr_ros.sources.bag_frames import OdometryMessage, Window
from vpr_ros.sources.bag_mounting import StaticTransforms
from vpr_ros.sources.bag_reader import STORE, BagDamagedError, BagMessageError, Record, Topic
from vpr_ros.sources.bag_topics import COMPRESSED, IMAGE, ODOMETRY, ChosenTopics
from vpr_ros.sources.messages import CompressedImageMessage, Notice, depth_of, pose_of
from vpr_ros.sources.source import SourceError

if TYPE_CHECKING:
    from rosbags.typesys.store import Msg

Role = Literal["image", "camera_info", "depth", "odom"]

# Odometry and depth so far outside the window may still belong to its images.
_MARGIN_NS = NS_PER_S


@dataclass(frozen=True, slots=True, eq=False)
class RawMessage:
    """One message as a player publishes it.

    Attributes:
        topic_role: What it is of the robot.
        msgtype: As ROS 2 writes it, such as "sensor_msgs/msg/Image".
        stamp_ns: When it was recorded, in ns, which is when it is due; its header keeps its own stamp.
        cdr: The message, serialized.
    """

    topic_role: Role
    msgtype: str
    stamp_ns: int
    cdr: bytes


class RawPass:
    """Turns the records of one pass into messages to publish.

    Two are not the recorded bytes: ``compressedDepth`` becomes a 32FC1 ``Image``, because the node takes no other, and
    odometry becomes the camera's where the bag knows the mounting, because a player has no /tf_static.
    """

    def __init__(
        self, topics: ChosenTopics, window: Window, transforms: StaticTransforms, camera_frame: str, drop: Notice
    ) -> None:
        """Begin before the first record.

        Args:
            topics: Who is who.
            window: Which images are wanted.
            transforms: Where the camera is on the robot.
            camera_frame: Frame of the images.
            drop: Called with cause and sentence of all that can't be used.
        """
        chosen: tuple[tuple[Role, Topic | None], ...] = (
            ("image", topics.image),
            ("camera_info", topics.info),
            ("depth", topics.depth),
            ("odom", topics.odom),
        )
        self._roles: dict[str, Role] = {topic.name: role for role, topic in chosen if topic is not None}
        self._window = window
        self._transforms = transforms
        self._camera_frame = camera_frame
        self._drop = drop
        self._info: RawMessage | None = None

    def messages(self, records: Iterator[Record]) -> Iterator[RawMessage]:
        """Yield what is to be published, in recorded order."""
        try:
            for record in records:
                try:
                    stamp_ns = record.stamp_ns
                    yield from self._messages_of(record, self._roles[record.topic], stamp_ns)
                except BagMessageError as error:
                    self._drop("corrupt message", str(error))
                    continue
                if self._roles[record.topic] == "image" and self._window.is_over(stamp_ns, _MARGIN_NS):
                    return
        except BagDamagedError as error:
            self._drop("unreadable rest of the bag", str(error))

    def _messages_of(self, record: Record, role: Role, stamp_ns: int) -> Iterator[RawMessage]:
        if role == "camera_info" and not self._window.holds(stamp_ns):
            self._info = RawMessage(role, record.msgtype, record.recorded_ns, record.cdr())
            return
        if not self._window.holds(stamp_ns, 0 if role == "image" else _MARGIN_NS):
            return
        if role == "image" and self._info is not None:  # the calibration that held when the window began
            yield replace(self._info, stamp_ns=record.recorded_ns)
            self._info = None
        if role == "depth" and record.msgtype == COMPRESSED:
            yield from self._plain_depth(record)
        elif role == "odom":
            yield RawMessage(role, record.msgtype, record.recorded_ns, self._odometry_of_camera(record))
        else:
            yield RawMessage(role, record.msgtype, record.recorded_ns, record.cdr())

    def _plain_depth(self, record: Record) -> Iterator[RawMessage]:
        message = cast("CompressedImageMessage", record.message())
        try:
            depth_m = depth_of(message)
        except SourceError as error:
            self._drop("bad depth", str(error))
            return
        height, width = depth_m.shape
        image = STORE.types[IMAGE](
            header=cast("Msg", message.header),
            height=height,
            width=width,
            encoding="32FC1",
            is_bigendian=0,
            step=4 * width,
            data=np.ascontiguousarray(depth_m, dtype="<f4").view(np.uint8).ravel(),
        )
        yield RawMessage("depth", IMAGE, record.recorded_ns, bytes(STORE.serialize_cdr(image, IMAGE)))

    def _odometry_of_camera(self, record: Record) -> bytes:
        message = cast("OdometryMessage", record.message())
        t_child_camera = self._transforms.t_child_camera(message.child_frame_id, self._camera_frame)
        if t_child_camera is None or message.child_frame_id.lstrip("/") == self._camera_frame.lstrip("/"):
            return record.cdr()
        try:
            t_odom_camera = pose_of(message.pose.pose) @ t_child_camera
        except PoseError:  # whoever receives it counts it
            return record.cdr()
        place, turn = message.pose.pose.position, message.pose.pose.orientation
        place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w = t_odom_camera.xyz_quaternion.tolist()
        message.child_frame_id = self._camera_frame
        return bytes(STORE.serialize_cdr(message, ODOMETRY))
