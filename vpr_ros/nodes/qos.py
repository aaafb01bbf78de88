"""Quality of service: what outputs offer, and subscriptions that ask for what their publisher offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

Message = TypeVar("Message")

# What a late subscriber gets of closures and keyframes.
LATCHED = QoSProfile(
    depth=1000,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
STATIC_TRANSFORMS = QoSProfile(
    depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
# A player that loses nothing keeps each message until every subscriber has it.
COMPLETE = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)


def reliable(depth: int) -> QoSProfile:
    """Return the profile of an output that late subscribers need not get."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE)


def reliability_to_ask(publishers: Sequence[TopicEndpointInfo]) -> ReliabilityPolicy:
    """Return best effort if every publisher offers only that, else reliable.

    Reliable is what brings images whole: the default Fast DDS drops nearly every best-effort image above 512 KiB,
    whatever the publisher offers.
    """
    offers = {publisher.qos_profile.reliability for publisher in publishers}
    return ReliabilityPolicy.BEST_EFFORT if offers == {ReliabilityPolicy.BEST_EFFORT} else ReliabilityPolicy.RELIABLE


class FollowingSubscription(Generic[Message]):
    """A subscription that is made anew when its publisher offers another reliability.

    Attributes:
        topic: Full name, remappings applied.
        type_name: Such as ``sensor_msgs/msg/Image``.
        reliability: What it asks for now.
        received: Messages so far.
    """

    def __init__(
        self,
        node: Node,
        message_type: type[Message],
        topic: str,
        callback: Callable[[Message], None],
        *,
        depth: int,
    ) -> None:
        """Subscribe, reliably until a publisher is known."""
        self._node = node
        self._message_type = message_type
        self._name = topic
        self._callback = callback
        self._depth = depth
        self.received = 0
        self.reliability = ReliabilityPolicy.RELIABLE
        self._subscription: Any = self._subscribe()
        self.topic: str = self._subscription.topic_name
        package, _, kind = message_type.__module__.partition(".")
        self.type_name = f"{package}/{kind.split('.')[0]}/{message_type.__name__}"

    def publishers(self) -> list[TopicEndpointInfo]:
        """Return who publishes the topic, of whatever type."""
        return list(self._node.get_publishers_info_by_topic(self.topic))

    def follow(self) -> bool:
        """Ask for what the publishers offer now; True if somebody publishes the topic with the right type."""
        fitting = [publisher for publisher in self.publishers() if publisher.topic_type == self.type_name]
        wanted = reliability_to_ask(fitting) if fitting else self.reliability
        if wanted != self.reliability:
            self.close()
            self.reliability = wanted
            self._subscription = self._subscribe()
            self._node.get_logger().info(f"{self.topic} is published {wanted.name.lower()} now; subscribed accordingly")
        return bool(fitting)

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self) -> Any:
        profile = QoSProfile(depth=self._depth, reliability=self.reliability)
        return self._node.create_subscription(self._message_type, self._name, self._receive, profile)

    def _receive(self, message: Message) -> None:
        self.received += 1
        self._callback(message)
