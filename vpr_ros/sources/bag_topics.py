"""Which topics of a bag are the image, its calibration, its depth and the odometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vpr_ros.sources.bag_reader import BagError, Topic
from vpr_ros.sources.source import SourceOptions

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO, ODOMETRY, TRANSFORMS = "sensor_msgs/msg/CameraInfo", "nav_msgs/msg/Odometry", "tf2_msgs/msg/TFMessage"

# What image_transport puts behind a topic's name.
_TRANSPORTS = ("compressed", "compressedDepth")
_STATIC = "tf_static"


@dataclass(frozen=True, slots=True)
class ChosenTopics:
    """What is read of a bag; None where there is none.

    Attributes:
        image: The camera.
        info: Its calibration.
        depth: Its depth.
        odom: The robot's odometry.
        static_transforms: Names of the topics with the frames that do not move.
    """

    image: Topic
    info: Topic | None = None
    depth: Topic | None = None
    odom: Topic | None = None
    static_transforms: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the topics that are read message by message."""
        return [topic.name for topic in (self.image, self.info, self.depth, self.odom) if topic is not None]


def choose_topics(topics: Sequence[Topic], options: SourceOptions, is_depth: Callable[[Topic], bool]) -> ChosenTopics:
    """Return the topics that the options name, or else the only ones there are.

    Args:
        topics: All of the bag.
        options: Names of topics; None looks for the only one, an empty name wants none.
        is_depth: Looks into an image topic and says whether it is depth.

    Raises:
        BagError: A name is not there or is of another type, or there are several to choose from; lists them.
    """
    filled = [topic for topic in topics if topic.count]
    pictures = [topic for topic in filled if topic.msgtype in (IMAGE, COMPRESSED)]
    depths = {topic.name for topic in pictures if is_depth(topic)}
    image = _image(topics, [topic for topic in pictures if topic.name not in depths], options.image_topic)
    return ChosenTopics(
        image=image,
        info=_info(topics, pictures, image, options.info_topic),
        depth=_only(
            topics, [t for t in pictures if t.name in depths], "depth", options.depth_topic, (IMAGE, COMPRESSED)
        ),
        odom=_only(topics, [t for t in filled if t.msgtype == ODOMETRY], "odom", options.odom_topic, (ODOMETRY,)),
        static_transforms=tuple(t.name for t in filled if t.msgtype == TRANSFORMS and _last(t.name) == _STATIC),
    )


def _image(topics: Sequence[Topic], found: list[Topic], wanted: str | None) -> Topic:
    if wanted is not None:
        return _named(topics, "image", wanted, (IMAGE, COMPRESSED))
    found = _without_copies(found)
    if not found:
        raise BagError(f"the bag holds no images, expected {IMAGE} or {COMPRESSED}; it has {_listed(topics)}")
    calibrated = {_namespace(topic.name) for topic in topics if topic.msgtype == INFO}
    beside = [topic for topic in found if _namespace(_plain(topic.name)) in calibrated]
    best = found if len(found) == 1 else beside
    if len(best) != 1:
        raise BagError(f"the bag has several image topics, expected one; choose with --image-topic: {_listed(found)}")
    return best[0]


def _info(topics: Sequence[Topic], pictures: list[Topic], image: Topic, wanted: str | None) -> Topic | None:
    """Return the calibration beside the image, or else the next above it, or else the only one, if it is no other's."""
    if wanted is not None:
        return _named(topics, "info", wanted, (INFO,)) if wanted else None
    found = [topic for topic in topics if topic.msgtype == INFO]
    namespace = _namespace(_plain(image.name))
    while True:
        beside = [topic for topic in found if _namespace(topic.name) == namespace]
        if len(beside) == 1:
            return beside[0]
        if beside or not namespace:
            break
        namespace = _namespace(namespace)
    others = {_namespace(_plain(topic.name)) for topic in pictures if topic != image}
    return found[0] if len(found) == 1 and _namespace(found[0].name) not in others else None


def _only(
    topics: Sequence[Topic], found: list[Topic], kind: str, wanted: str | None, types: tuple[str, ...]
) -> Topic | None:
    if wanted is not None:
        return _named(topics, kind, wanted, types) if wanted else None
    found = _without_copies(found)
    if len(found) > 1:
        raise BagError(
            f"the bag has several {kind} topics, expected one; choose with --{kind}-topic ('' for none): "
            f"{_listed(found)}"
        )
    return found[0] if found else None


def _named(topics: Sequence[Topic], kind: str, wanted: str, types: tuple[str, ...]) -> Topic:
    name = f"/{wanted.lstrip('/')}"
    of_name = [topic for topic in topics if topic.name in (name, wanted)]
    fitting = [topic for topic in of_name if topic.msgtype in types]
    if fitting:
        return fitting[0]
    expected = " or ".join(types)
    if of_name:
        raise BagError(
            f"--{kind}-topic {wanted} is a {of_name[0].msgtype}, expected {expected}; "
            f"there are: {_listed([t for t in topics if t.msgtype in types])}"
        )
    raise BagError(
        f"the bag has no topic {wanted}, expected one of type {expected} as --{kind}-topic; it has {_listed(topics)}"
    )


def _without_copies(found: list[Topic]) -> list[Topic]:
    """Leave out a compressed topic where its raw one, or a compressed twin, is there: they show the same."""
    best = {_plain(topic.name): topic for topic in sorted(found, key=lambda t: t.msgtype == IMAGE)}
    return [topic for topic in found if best[_plain(topic.name)] is topic]


def _plain(name: str) -> str:
    """Return the topic's name without its transport."""
    return _namespace(name) if _last(name) in _TRANSPORTS else name


def _namespace(name: str) -> str:
    return name.rpartition("/")[0]


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _listed(topics: Sequence[Topic]) -> str:
    return ", ".join(map(str, topics)) or "none"
