"""One pass over a bag: records in, frames out, with what belongs to each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

from vpr_ros.core import CameraError, Frame, FrameError, Pose, PoseError, VprError, seconds
from vpr_ros.sources.assembly import Exposure, FrameAssembler, Order, StampOrder, Tolerances
from vpr_ros.sources.bag_reader import BagDamagedError, BagMessageError, Record
from vpr_ros.sources.bag_topics import ChosenTopics
from vpr_ros.sources.messages import (
    CameraInfoMessage,
    CompressedImageMessage,
    HeaderMessage,
    ImageMessage,
    Notice,
    PoseMessage,
    frame_of,
    pose_of,
    stamp_ns_of,
)

AnyImage = ImageMessage | CompressedImageMessage


class _PoseHolder(Protocol):
    pose: PoseMessage


class OdometryMessage(Protocol):
    """``nav_msgs/Odometry``."""

    header: HeaderMessage
    child_frame_id: str
    pose: _PoseHolder


@dataclass(frozen=True, slots=True)
class Window:
    """The wanted part of a recording, both ends included.

    Attributes:
        begin_ns: Stamp of its begin.
        end_ns: Stamp of its end, None for all.
    """

    begin_ns: int
    end_ns: int | None

    def holds(self, stamp_ns: int, margin_ns: int = 0) -> bool:
        """Say whether a stamp lies inside, or not farther outside than the margin."""
        return stamp_ns >= self.begin_ns - margin_ns and not self.is_over(stamp_ns, margin_ns)

    def is_over(self, stamp_ns: int, margin_ns: int = 0) -> bool:
        """Say whether a stamp lies behind the end by more than the margin."""
        return self.end_ns is not None and stamp_ns > self.end_ns + margin_ns


class FramePass:
    """Turns the records of one pass into frames, as the node turns what it receives into frames.

    The wait for what belongs to an image goes by the times of recording, which is how a player plays them.

    Attributes:
        wanted: Images of the window so far that were in order, whole or not.
    """

    def __init__(
        self,
        topics: ChosenTopics,
        window: Window,
        tolerances: Tolerances,
        camera_pose: Callable[[Pose, str, str], Pose],
        drop: Notice,
    ) -> None:
        """Begin before the first record.

        Args:
            topics: Who is who.
            window: Which images are wanted.
            tolerances: What belongs together.
            camera_pose: Gives the camera's pose from odometry's, its child frame and the image's frame.
            drop: Called with cause and sentence of all that can't be used.
        """
        self._window = window
        self._tolerances = tolerances
        self._drop = drop
        self._order = StampOrder()
        self._is_set_back = False
        self._first_ns: int | None = None
        self._newest_ns: int | None = None
        self._now_s = 0.0
        self.wanted = 0
        self._images = 0
        self._indexes: deque[int] = deque()
        self._released: deque[Exposure[AnyImage, CameraInfoMessage, AnyImage]] = deque()
        self._assembler: FrameAssembler[AnyImage, CameraInfoMessage, AnyImage] = FrameAssembler(
            tolerances, camera_pose, self._released.append, lambda: self._now_s
        )
        self._assembler.expected.info = bool(topics.info and topics.info.count)
        self._assembler.expected.depth = bool(topics.depth and topics.depth.count)
        self._assembler.expected.odometry = bool(topics.odom and topics.odom.count)
        self._take = {topics.image.name: self._take_image}
        for topic, take in (
            (topics.info, self._take_info),
            (topics.depth, self._take_depth),
            (topics.odom, self._take_odometry),
        ):
            if topic is not None:
                self._take[topic.name] = take

    def frames(self, records: Iterator[Record]) -> Iterator[Frame]:
        """Yield the frames of the window, in order; where ``records`` breaks off, those that were before it."""
        try:
            for record in records:
                self._now_s = seconds(record.recorded_ns)
                self._take_record(record)
                yield from self._decoded()
                if self._is_over:
                    return
        except BagDamagedError as error:
            self._drop("unreadable rest of the bag", str(error))
        self._assembler.flush()
        yield from self._decoded()

    @property
    def length_ns(self) -> int:
        """From the first image to the newest so far, in ns."""
        return 0 if self._first_ns is None or self._newest_ns is None else self._newest_ns - self._first_ns

    @property
    def _is_over(self) -> bool:
        return self._newest_ns is not None and self._window.is_over(self._newest_ns) and not self._indexes

    def _take_record(self, record: Record) -> None:
        try:
            self._take[record.topic](record)
        except BagMessageError as error:
            self._drop("corrupt message", str(error))
        self._assembler.release_ready()

    def _take_image(self, record: Record) -> None:
        index = self._images
        self._images += 1
        stamp_ns = record.stamp_ns
        if not self._is_in_order(stamp_ns):
            return
        if not self._window.holds(stamp_ns):
            return
        self.wanted += 1
        message = cast("AnyImage", record.message())
        self._indexes.append(index)
        self._assembler.add_image(message, stamp_ns)

    def _is_in_order(self, stamp_ns: int) -> bool:
        """Say whether a stamp is not older than the newest; until then nothing is used, and it is counted and told."""
        order = self._order.judge(stamp_ns)
        if self._newest_ns is None or stamp_ns >= self._newest_ns:
            self._first_ns = stamp_ns if self._first_ns is None else self._first_ns
            self._newest_ns = stamp_ns
            self._is_set_back = False
            return True
        back_s = seconds(self._newest_ns - stamp_ns)
        self._is_set_back |= order is Order.CLOCK_SET_BACK
        if self._is_set_back:
            self._drop(
                "clock set back",
                f"image stamps begin again {back_s:.3f} s earlier: the clock was set back while recording; images are "
                "left out until their stamps pass the newest one, split the bag there to use them",
            )
        else:
            self._drop("stamp backwards", f"an image is {back_s:.3f} s older than the one before it")
        return False

    def _take_info(self, record: Record) -> None:
        self._assembler.add_info(cast("CameraInfoMessage", record.message()))

    def _take_depth(self, record: Record) -> None:
        stamp_ns = record.stamp_ns
        if self._window.holds(stamp_ns, margin_ns=self._tolerances.depth_ns):
            self._assembler.add_depth(cast("AnyImage", record.message()), stamp_ns)

    def _take_odometry(self, record: Record) -> None:
        message = cast("OdometryMessage", record.message())
        stamp_ns = stamp_ns_of(message.header.stamp)
        try:
            pose = pose_of(message.pose.pose)
        except PoseError as error:
            self._drop("bad odometry", str(error))
            return
        if not self._assembler.add_odometry(stamp_ns, pose, message.child_frame_id):
            self._drop("odometry stamp backwards", f"odometry at {stamp_ns} ns is not later than the one before")

    def _decoded(self) -> Iterator[Frame]:
        while self._released:
            exposure, index = self._released.popleft(), self._indexes.popleft()
            try:
                yield frame_of(exposure, index, self._drop)
            except VprError as error:
                self._drop(_cause_of(error), str(error))


def _cause_of(error: VprError) -> str:
    """Return what a drop is called, in the node's words."""
    return "bad frame" if isinstance(error, (FrameError, CameraError)) else "corrupt image"
