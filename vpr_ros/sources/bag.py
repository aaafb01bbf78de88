"""ROS bags as a source: rosbag2 (MCAP and sqlite3) and rosbag1."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import cast

from vpr_ros.core import Frame, Trajectory
from vpr_ros.sources.assembly import Tolerances, tolerance_ns
from vpr_ros.sources.bag_frames import AnyImage, FramePass, Window
from vpr_ros.sources.bag_mounting import RecordedMounting, StaticTransforms, TransformsMessage
from vpr_ros.sources.bag_raw import RawMessage, RawPass
from vpr_ros.sources.bag_reader import BagDamagedError, BagError, BagMessageError, BagReader, Record, Topic
from vpr_ros.sources.bag_topics import ChosenTopics, choose_topics
from vpr_ros.sources.messages import CompressedImageMessage, ImageMessage
from vpr_ros.sources.source import SourceError, SourceOptions
from vpr_ros.sources.window import empty_window, window_ns

# As the node's settings odometry_tolerance_s and sync_wait_s: the same recording gives the same frames live.
ODOMETRY_TOLERANCE_S = 0.1
SYNC_WAIT_S = 0.5

_LOG = logging.getLogger(__name__)
_DEPTH_ENCODINGS = ("16UC1", "32FC1")
_DEFAULTS = SourceOptions()


@dataclass(frozen=True, slots=True, eq=False)
class _FirstImage:
    """Where a recording begins, and what its images are called."""

    stamp_ns: int
    frame_id: str


class BagSource:
    """Images of a bag in recorded order, each with the calibration, depth and odometry that the bag has for it.

    Attributes:
        uri: As the user gave it.
        truth: None: a topic does not say that it is exact, and odometry is not.
        drops: Causes and counts of the latest pass.
    """

    def __init__(self, uri: str, reader: BagReader, topics: ChosenTopics, options: SourceOptions) -> None:
        """Take an open bag; see :meth:`open`.

        Raises:
            BagError: Not one message of the image topic can be read.
        """
        self.uri = uri
        self.truth: Trajectory | None = None
        self.drops: Counter[str] = Counter()
        self._reader = reader
        self._topics = topics
        self._options = options
        first = _first_image(reader, topics.image)
        begin_ns, end_ns = window_ns(options)
        self._camera_frame = first.frame_id
        self._window = Window(first.stamp_ns + begin_ns, None if end_ns is None else first.stamp_ns + end_ns)

    @classmethod
    def open(cls, path: Path, uri: str, options: SourceOptions = _DEFAULTS) -> BagSource:
        """Open a bag: a rosbag2's folder, or one .mcap, .db3 or .bag file.

        Args:
            path: Where it is.
            uri: As the user gave it.
            options: Topics, part and tolerance.

        Raises:
            BagError: It can't be read, or it is not clear which topics are meant.
        """
        reader = BagReader.open(path)
        try:
            topics = choose_topics(reader.topics, options, lambda topic: _is_depth(reader, topic))
            return cls(uri, reader, topics, options)
        except BaseException:
            reader.close()
            raise

    @property
    def roles(self) -> tuple[str, ...]:
        """What of a robot its messages are: image, and camera_info, depth and odom where it has them."""
        topics = self._topics
        parts = {"image": topics.image, "camera_info": topics.info, "depth": topics.depth, "odom": topics.odom}
        return tuple(role for role, topic in parts.items() if topic is not None)

    @property
    def has_compressed_images(self) -> bool:
        """Whether its images are JPEG or PNG files."""
        return self._topics.image.msgtype.endswith("CompressedImage")

    def __len__(self) -> int:
        """Return the number of images in the part that is read, whole or not; counting a part reads through it once."""
        if self._options.from_s == 0 and self._options.to_s is None:
            return self._topics.image.count
        return self._images_in_window

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in recorded order; ``Frame.index`` counts all images of the topic.

        A stamp that goes back is a counted drop, and so is what follows a clock that was set back, until its stamps
        pass the newest one.

        Raises:
            SourceError: Not one image could be used, or none lies in the part that is asked for.
        """
        self._begin_pass()
        mounting = RecordedMounting(self._static_transforms(), _LOG.warning)
        tolerances = Tolerances(
            depth_ns=tolerance_ns(self._options.sync_tolerance_s),
            odometry_ns=tolerance_ns(ODOMETRY_TOLERANCE_S),
            wait_s=SYNC_WAIT_S,
        )
        one_pass = FramePass(self._topics, self._window, tolerances, mounting.camera_pose, self._drop)
        is_empty = True
        for frame in one_pass.frames(self._reader.records(self._topics.names)):
            is_empty = False
            yield frame
        if is_empty:
            raise self._why_empty(one_pass)

    def raw_messages(self) -> Iterator[RawMessage]:
        """Yield the messages of the chosen topics as a player publishes them, in recorded order.

        Stamps that go back are left as they are: who receives them counts them. Messages that are empty or cut off are
        counted in ``drops``. Depth and odometry begin a second before the part that is asked for.
        """
        self._begin_pass()
        one_pass = RawPass(self._topics, self._window, self._static_transforms(), self._camera_frame, self._drop)
        yield from one_pass.messages(self._reader.records(self._topics.names))

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def __enter__(self) -> BagSource:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    @cached_property
    def _images_in_window(self) -> int:
        count = 0
        try:
            for record in self._reader.records([self._topics.image.name]):
                count += self._window.holds(record.stamp_ns)
        except BagError:  # a pass over the frames counts and tells it
            pass
        return count

    def _begin_pass(self) -> None:
        self.drops.clear()
        if self._reader.damage:
            self._drop("cut-off recording", self._reader.damage)

    def _static_transforms(self) -> StaticTransforms:
        """Read all static transforms first: they hold for the whole recording, whenever they were recorded."""
        transforms = StaticTransforms()
        if self._topics.odom is None or not self._topics.static_transforms:
            return transforms
        try:
            for record in self._reader.records(self._topics.static_transforms):
                transforms.note_message(cast("TransformsMessage", record.message()), self._drop)
        except BagError as error:
            self._drop("bad static transform", str(error))
        return transforms

    def _why_empty(self, one_pass: FramePass) -> SourceError:
        if not one_pass.wanted:
            return SourceError(empty_window(self._options, one_pass.length_ns))
        causes = ", ".join(f"{count} {cause}" for cause, count in self.drops.items())
        return SourceError(
            f"none of the {one_pass.wanted} images of {self._topics.image.name} in {self.uri} can be used ({causes}); "
            "look at the first warning"
        )

    def _drop(self, cause: str, sentence: str) -> None:
        """Count, and say the first of each cause, then each doubling of it."""
        self.drops[cause] += 1
        count = self.drops[cause]
        if count & (count - 1) == 0:
            _LOG.warning("%s (%d so far): %s", cause, count, sentence)


def _first_image(reader: BagReader, topic: Topic) -> _FirstImage:
    """Return the first image whose message can be read.

    Raises:
        BagError: There is none.
    """
    reasons: list[str] = []
    try:
        first = next(filter(None, (_named_image(record, reasons) for record in reader.records([topic.name]))), None)
    except BagDamagedError as error:
        first = None
        reasons.append(str(error))
    if first is None:
        reason = reasons[0] if reasons else "there is none"
        raise BagError(f"no message of image topic {topic} can be read: {reason}; choose another, or record again")
    return first


def _named_image(record: Record, reasons: list[str]) -> _FirstImage | None:
    try:
        message = cast("AnyImage", record.message())
    except BagMessageError as error:
        reasons.append(str(error))
        return None
    return _FirstImage(record.stamp_ns, message.header.frame_id)


def _is_depth(reader: BagReader, topic: Topic) -> bool:
    """Look into the first message: depth and colour have the same type."""
    try:
        record = next(reader.records([topic.name]), None)
        message = None if record is None else record.message()
    except BagError:
        return False
    if hasattr(message, "format"):
        return cast("CompressedImageMessage", message).format.startswith(_DEPTH_ENCODINGS)
    return message is not None and cast("ImageMessage", message).encoding in _DEPTH_ENCODINGS
