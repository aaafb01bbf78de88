"""What the node listens to: topics in, complete exposures out, and words for when nothing comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vpr_ros.core import Pose, PoseError
from vpr_ros.detection import Settings
from vpr_ros.nodes.mounting import Mounting, static_transform_type
from vpr_ros.nodes.qos import STATIC_TRANSFORMS, FollowingSubscription
from vpr_ros.nodes.vitals import Vitals
from vpr_ros.nodes.watchdog import InputFacts, Publisher, Watchdog, why_silent, why_unmatched
from vpr_ros.sources.assembly import Exposure, FrameAssembler, Order, StampOrder, Tolerances, tolerance_ns
from vpr_ros.sources.messages import pose_of, stamp_ns_of

# The executor's thread only hands on, but may have to wait for a processor: two seconds of images at 30 Hz. A shallow
# history loses what a reliable publisher sent, and nobody counts it; the node's own queue drops and counts.
_IMAGE_DEPTH = 64
_ODOMETRY_DEPTH = 100


class Inputs:
    """The subscriptions of an active node. Everything here runs in the executor's thread.

    Attributes:
        newest_image: The image that came last, None before the first.
        watchdog: Says what is wrong while nothing comes.
    """

    def __init__(
        self,
        node: Node,
        settings: Settings,
        vitals: Vitals,
        mounting: Mounting,
        release: Callable[[Exposure], None],
        clock_set_back: Callable[[], None],
    ) -> None:
        """Subscribe.

        Args:
            node: Who listens.
            settings: Transport and tolerances.
            vitals: Where drops are noted.
            mounting: Where the camera is on the robot.
            release: Called with each image and what belongs to it, in order.
            clock_set_back: Called when stamps begin again: what follows is a new session.
        """
        self._node = node
        self._vitals = vitals
        self._mounting = mounting
        self._clock_set_back = clock_set_back
        self._order = StampOrder()
        self._size: tuple[int, int] | None = None
        self._newest_ns: dict[str, int] = {}
        self._tolerances = Tolerances(
            depth_ns=tolerance_ns(settings.node.sync_tolerance_s),
            odometry_ns=tolerance_ns(settings.node.odometry_tolerance_s),
            wait_s=settings.node.sync_wait_s,
        )
        self._assembler = FrameAssembler(self._tolerances, mounting.camera_pose, release)
        self.newest_image: Image | CompressedImage | None = None
        self.watchdog = Watchdog(settings.node.silence_warning_s, node.get_logger().warning)
        self._image = self._subscribe_to_images(is_compressed=settings.node.image_transport == "compressed")
        self._info = FollowingSubscription(node, CameraInfo, "camera_info", self._on_info, depth=_IMAGE_DEPTH)
        self._depth = FollowingSubscription(node, Image, "depth", self._on_depth, depth=_IMAGE_DEPTH)
        self._odometry = FollowingSubscription(node, Odometry, "odom", self._on_odometry, depth=_ODOMETRY_DEPTH)
        self._static_transforms = self._subscribe_to_static_transforms()
        self.follow()

    def follow(self) -> None:
        """Ask for what the publishers offer now, and wait only for what somebody publishes."""
        self._image.follow()
        expected = self._assembler.expected
        expected.info = self._info.follow()
        expected.depth = self._depth.follow()
        expected.odometry = self._odometry.follow()

    def release_ready(self) -> None:
        """Let go of images that have waited long enough."""
        self._assembler.release_ready()

    def watch(self) -> None:
        """Say what is wrong, if something is."""
        image = self._facts("image", self._image)
        if self.watchdog.is_overdue():
            sentence = why_silent(image, self.watchdog.silent_s, self._topics_of(image.type_name))
            self.watchdog.complain("image", sentence)
            return
        unmatched = [facts for facts in self._other_inputs() if self._is_unmatched(facts)]
        for facts in unmatched:
            self.watchdog.complain(facts.name, why_unmatched(image, facts))
        if not unmatched:
            self.watchdog.be_content()

    def close(self) -> None:
        """Let go of all images and unsubscribe."""
        self._assembler.flush()
        for subscription in (self._image, self._info, self._depth, self._odometry):
            subscription.close()
        if self._static_transforms is not None:
            self._node.destroy_subscription(self._static_transforms)

    def _subscribe_to_images(self, *, is_compressed: bool) -> FollowingSubscription[Any]:
        if not is_compressed:
            return FollowingSubscription(self._node, Image, "image", self._on_image, depth=_IMAGE_DEPTH)
        # As image_transport does it: beside the topic that `image` is remapped to.
        topic = f"{self._node.resolve_topic_name('image')}/compressed"
        return FollowingSubscription(self._node, CompressedImage, topic, self._on_image, depth=_IMAGE_DEPTH)

    def _subscribe_to_static_transforms(self) -> Any:
        message_type = static_transform_type()
        if message_type is None:
            return None
        return self._node.create_subscription(message_type, "/tf_static", self._on_static_transforms, STATIC_TRANSFORMS)

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._vitals.note("images")
        self.watchdog.image_came()
        stamp_ns = stamp_ns_of(message.header.stamp)
        order = self._order.judge(stamp_ns)
        if order is Order.BACKWARD:
            newest_ns = self._newest_ns["image"]
            back_s = (newest_ns - stamp_ns) / 1e9
            self._vitals.drop("stamp backwards", f"an image is {back_s:.3f} s older than the one before it")
            return
        if order is Order.CLOCK_SET_BACK:
            self._node.get_logger().warning("image stamps begin again: the clock was set back, a new session begins")
            self._assembler.forget()
            self._clock_set_back()
        self._note_size(message)
        if self.newest_image is None:
            self.follow()  # who came with the first image is waited for from the first image on
        self._newest_ns["image"] = stamp_ns
        self.newest_image = message
        self._assembler.add_image(message, stamp_ns)

    def _on_info(self, message: CameraInfo) -> None:
        self._newest_ns["camera_info"] = stamp_ns_of(message.header.stamp)
        self._assembler.add_info(message)

    def _on_depth(self, message: Image) -> None:
        self._newest_ns["depth"] = stamp_ns_of(message.header.stamp)
        self._assembler.add_depth(message, self._newest_ns["depth"])

    def _on_odometry(self, message: Odometry) -> None:
        stamp_ns = stamp_ns_of(message.header.stamp)
        try:
            pose = pose_of(message.pose.pose)
        except PoseError as error:
            self._vitals.drop("bad odometry", str(error))
            return
        if not self._assembler.add_odometry(stamp_ns, pose, message.child_frame_id):
            self._vitals.drop("odometry stamp backwards", f"odometry at {stamp_ns} ns is not later than the one before")
            return
        self._newest_ns["odom"] = stamp_ns

    def _on_static_transforms(self, message: Any) -> None:
        for transform in message.transforms:
            t, q = transform.transform.translation, transform.transform.rotation
            try:
                t_parent_child = Pose.from_xyz_quaternion([t.x, t.y, t.z, q.x, q.y, q.z, q.w])
            except PoseError as error:
                self._vitals.drop("bad static transform", f"{transform.child_frame_id}: {error}")
                continue
            self._mounting.note_static_transform(transform.header.frame_id, transform.child_frame_id, t_parent_child)

    def _note_size(self, message: Image | CompressedImage) -> None:
        """Count a change of size. The encoder takes any, but a camera does not change by itself."""
        if isinstance(message, CompressedImage):
            return
        size = (message.width, message.height)
        if self._size not in (None, size):
            self._vitals.notice(
                "image size changed",
                f"images were {self._size[0]} x {self._size[1]} and are {size[0]} x {size[1]} now; they are still used",
            )
        self._size = size

    def _facts(self, name: str, subscription: FollowingSubscription[Any]) -> InputFacts:
        tolerance = {"depth": self._tolerances.depth_ns, "odom": self._tolerances.odometry_ns}.get(name)
        return InputFacts(
            name=name,
            topic=subscription.topic,
            type_name=subscription.type_name,
            is_reliable=subscription.reliability == ReliabilityPolicy.RELIABLE,
            received=subscription.received,
            publishers=tuple(
                Publisher(
                    node=f"{info.node_namespace.rstrip('/')}/{info.node_name}",
                    type_name=info.topic_type,
                    is_reliable=info.qos_profile.reliability == ReliabilityPolicy.RELIABLE,
                )
                for info in subscription.publishers()
            ),
            newest_ns=self._newest_ns.get(name),
            tolerance_s=None if tolerance is None else tolerance / 1e9,
        )

    def _other_inputs(self) -> list[InputFacts]:
        pairs = (("camera_info", self._info), ("depth", self._depth), ("odom", self._odometry))
        return [self._facts(name, subscription) for name, subscription in pairs]

    def _is_unmatched(self, facts: InputFacts) -> bool:
        """Say whether somebody publishes an input, and yet none of the last images found its part of it."""
        found = self._assembler.take_found(facts.name)
        return self.watchdog.is_unmatched(facts.name, has_match=found or not facts.publishers)

    def _topics_of(self, type_name: str) -> list[str]:
        """Return the topics of a type that somebody else publishes."""
        own = (self._node.get_name(), self._node.get_namespace())
        return [
            topic
            for topic, types in self._node.get_topic_names_and_types()
            if type_name in types
            and any(
                (info.node_name, info.node_namespace) != own for info in self._node.get_publishers_info_by_topic(topic)
            )
        ]
