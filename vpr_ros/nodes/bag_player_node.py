"""The player: any recording or the simulated robot as topics, with its own stamps, and nothing lost."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any, TextIO

from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vpr_ros.core import Frame, VprError, share_path
from vpr_ros.nodes.messages import (
    camera_info_message,
    depth_message,
    header_of,
    image_message,
    odometry_message,
    stamp_of,
)
from vpr_ros.nodes.qos import COMPLETE, reliable
from vpr_ros.nodes.running import core_log_on, own_arguments, ros
from vpr_ros.sources import Source, SourceOptions, open_source

IMAGE, INFO, DEPTH, ODOMETRY = "camera/image_raw", "camera/camera_info", "camera/depth", "odom"
COMPRESSED = f"{IMAGE}/compressed"
_TYPES: dict[str, type[Any]] = {
    IMAGE: Image,
    COMPRESSED: CompressedImage,
    INFO: CameraInfo,
    DEPTH: Image,
    ODOMETRY: Odometry,
}
_ROLES = {"image": IMAGE, "camera_info": INFO, "depth": DEPTH, "odom": ODOMETRY}
_ODOMETRY_FRAME = "odom"
# Who subscribes to images and to more besides shows up on all topics within this time.
_OTHER_TOPICS_S = 1.0
_ASK_AGAIN_S = 0.05
_SAY_AGAIN_S = 5.0
_ACKNOWLEDGED_S = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """A message and when it is due.

    Attributes:
        topic: One of the player's topics.
        stamp_ns: When it is due, by the recording's clock.
        message: ROS message, or its CDR bytes.
    """

    topic: str
    stamp_ns: int
    message: Any


def messages_of(frame: Frame) -> Iterator[Timed]:
    """Yield a frame's messages, the image last: whoever gets it has what belongs to it."""
    header = header_of(frame.stamp_ns, frame.frame_id)
    size = frame.image.shape[:2]
    yield Timed(INFO, frame.stamp_ns, camera_info_message(frame.camera, size, header))
    if frame.depth_m is not None:
        yield Timed(DEPTH, frame.stamp_ns, depth_message(frame.depth_m, header))
    if frame.t_odom_camera is not None:
        odometry_header = header_of(frame.stamp_ns, _ODOMETRY_FRAME)
        odometry = odometry_message(frame.t_odom_camera, odometry_header, frame.frame_id)
        yield Timed(ODOMETRY, frame.stamp_ns, odometry)
    yield Timed(IMAGE, frame.stamp_ns, image_message(frame.image, "rgb8", header))


def recorded_messages(source: Source) -> tuple[set[str], Iterator[Timed]] | None:
    """Return a bag's topics and its messages as they were recorded, not decoded; None where the source is no bag."""
    from vpr_ros.sources.bag import BagSource  # rosbags takes long to load

    if not isinstance(source, BagSource):
        return None
    image = COMPRESSED if source.has_compressed_images else IMAGE
    roles = _ROLES | {"image": image}
    messages = (Timed(roles[raw.topic_role], raw.stamp_ns, raw.cdr) for raw in source.raw_messages())
    return {roles[role] for role in source.roles}, messages


class Player:
    """Publishes what is due, in order and at its pace."""

    def __init__(self, node: Node, stop: Event, rate: float, topics: Collection[str]) -> None:
        """Make the topics.

        Args:
            node: Who publishes.
            stop: Ends the play when it is set.
            rate: 2 plays twice as fast as recorded.
            topics: What the source has; whoever listens would wait for any other in vain.
        """
        self._node = node
        self._stop = stop
        self._rate = rate
        self._publishers: dict[str, Publisher[Any]] = {
            topic: node.create_publisher(_TYPES[topic], topic, COMPLETE) for topic in topics
        }
        self._clock = node.create_publisher(Clock, "/clock", reliable(10))
        self.images = 0

    def wait_for_subscribers(self, topics: list[str]) -> None:
        """Wait until each of ``topics`` has a subscriber, then a moment for the other topics to get theirs.

        The image topic stands for the compressed one as well; what the source does not have is not waited for.
        """
        if IMAGE in topics and COMPRESSED in self._publishers:
            topics = [*topics, COMPRESSED]
        for topic in topics:
            if topic in self._publishers:
                self._wait_for(topic)
        soon_s = time.monotonic() + _OTHER_TOPICS_S
        others = [publisher for topic, publisher in self._publishers.items() if topic not in topics]
        while time.monotonic() < soon_s and not all(p.get_subscription_count() for p in others):
            if self._stop.wait(_ASK_AGAIN_S):
                return

    def play(self, timed: Iterator[Timed]) -> None:
        """Publish everything, until the end or the stop."""
        first_ns: int | None = None
        began_s = time.monotonic()
        for item in timed:
            if first_ns is None:
                first_ns, began_s = item.stamp_ns, time.monotonic()
            due_s = began_s + (item.stamp_ns - first_ns) / 1e9 / self._rate
            if self._stop.wait(max(0.0, due_s - time.monotonic())):
                return
            self._clock.publish(Clock(clock=stamp_of(item.stamp_ns)))
            self._publisher(item.topic).publish(item.message)
            self.images += item.topic in (IMAGE, COMPRESSED)

    def wait_until_received(self) -> bool:
        """Wait until every subscriber has every message; False if one does not take them."""
        patience = Duration(seconds=_ACKNOWLEDGED_S)
        return all(publisher.wait_for_all_acked(patience) for publisher in self._publishers.values())

    def _publisher(self, topic: str) -> Publisher[Any]:
        """Return a topic's publisher; odometry that sets in later than the first image gets its own then."""
        if topic not in self._publishers:
            self._publishers[topic] = self._node.create_publisher(_TYPES[topic], topic, COMPLETE)
        return self._publishers[topic]

    def _wait_for(self, topic: str) -> None:
        publisher = self._publishers[topic]
        say_s = time.monotonic() + _SAY_AGAIN_S
        while not publisher.get_subscription_count() and not self._stop.wait(_ASK_AGAIN_S):
            if time.monotonic() > say_s:
                say_s += _SAY_AGAIN_S
                self._node.get_logger().info(f"waiting for a subscriber of {publisher.topic_name}")


def main(arguments: list[str] | None = None) -> int:
    """Play a source; return the exit status: 0 played, 1 not all received, 2 the source can't be read."""
    given = sys.argv if arguments is None else [sys.argv[0], *arguments]
    options = own_arguments(_parser(), given)
    # Read by Fast DDS when the node is made; the user's own profile stays, and other middleware does not look at it.
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(share_path("config/bag_player_fastdds.xml")))
    with ros(given) as stop:
        node = Node("bag_player_node")
        try:
            with core_log_on(node), open_source(options.source, source_options(options)) as source:
                return _play(source, node, stop, options)
        except (VprError, OSError) as error:
            node.get_logger().error(str(error))
            return 2
        finally:
            node.destroy_node()


def _play(source: Source, node: Node, stop: Event, options: argparse.Namespace) -> int:
    say = node.get_logger()
    with ExitStack() as at_end:
        log = at_end.enter_context(options.played.open("w", encoding="ascii")) if options.played else None
        recorded = None if options.decoded or log else recorded_messages(source)
        topics, messages = _decoded_messages(source, log) if recorded is None else recorded
        player = Player(node, stop, options.rate, topics)
        if options.wait_for_subscribers:
            player.wait_for_subscribers(options.wait_for_subscribers)
        player.play(messages)
    is_whole = player.wait_until_received()
    drops = "".join(f", {count} {cause}" for cause, count in source.drops.items())
    say.info(f"played {player.images} images of {source.uri}{drops}")
    if not is_whole:
        say.error(f"a subscriber has not taken all messages within {_ACKNOWLEDGED_S:.0f} s; it may be overloaded")
    return 0 if is_whole else 1


def _decoded_messages(source: Source, log: TextIO | None) -> tuple[set[str], Iterator[Timed]]:
    """Return the topics that the first frame has, and all messages."""
    frames = source.frames()
    first = next(frames, None)
    if first is None:
        return {IMAGE}, iter(())
    return {timed.topic for timed in messages_of(first)}, _logged_messages(chain([first], frames), log)


def _logged_messages(frames: Iterable[Frame], log: TextIO | None) -> Iterator[Timed]:
    """Yield all messages; each frame is noted when its last message is taken."""
    for frame in frames:
        yield from messages_of(frame)
        if log is not None:
            log.write(f"{frame.index} {frame.stamp_ns}\n")


def frames_played(log: Path) -> dict[int, int]:
    """Return frame index by stamp in ns from what ``--played`` wrote."""
    pairs = (line.split() for line in log.read_text(encoding="ascii").splitlines())
    return {int(stamp_ns): int(frame) for frame, stamp_ns in pairs}


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how a source is read, as the command line has it."""
    parser.add_argument("--rate-hz", type=_positive, help="stamp a folder or video by this rate")
    parser.add_argument("--depth-scale", type=_positive, help="units a metre of a folder's 16-bit depth images")
    parser.add_argument("--from-s", type=float, default=0.0, help="skip what is earlier")
    parser.add_argument("--to-s", type=float, help="skip what is later")
    for topic in ("image", "info", "depth", "odom"):
        parser.add_argument(f"--{topic}-topic", help=f"{topic} topic of a bag")


def source_options(options: argparse.Namespace) -> SourceOptions:
    """Return how the source is to be read."""
    return SourceOptions(
        rate_hz=options.rate_hz,
        depth_scale=options.depth_scale,
        image_topic=options.image_topic,
        info_topic=options.info_topic,
        depth_topic=options.depth_topic,
        odom_topic=options.odom_topic,
        from_s=options.from_s,
        to_s=options.to_s,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bag_player_node", description=__doc__)
    parser.add_argument("source", help="bag, folder, video or sim:ROUTE")
    parser.add_argument("--rate", type=_positive, default=1.0, help="2 plays twice as fast as recorded (default 1)")
    parser.add_argument(
        "--wait-for-subscribers",
        nargs="*",
        choices=tuple(_TYPES),
        default=[IMAGE],
        metavar="TOPIC",
        help=f"begin when these have one; none given begins at once (default {IMAGE}; there are {', '.join(_TYPES)})",
    )
    parser.add_argument(
        "--decoded",
        action="store_true",
        help="send a bag's images decoded, as rgb8, with the camera's own odometry; without it as they were recorded",
    )
    parser.add_argument(
        "--played",
        type=Path,
        metavar="FILE",
        help="write a line 'frame stamp_ns' for each image that was played; they are decoded then",
    )
    add_source_arguments(parser)
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return value


if __name__ == "__main__":
    sys.exit(main())
