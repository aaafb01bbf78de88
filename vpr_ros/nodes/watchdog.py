"""Why nothing arrives, in words: the most common complaint about a node that listens."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Where best-effort images above 512 KiB get lost, and the setting under which they did not (docs/robot.md).
_LARGE_DATA_ADVICE = (
    "the default Fast DDS loses nearly every best-effort image above 512 KiB; set "
    "FASTDDS_BUILTIN_TRANSPORTS='LARGE_DATA?max_msg_size=2MB&sockets_size=4MB' for every process of the robot, "
    "or send compressed images (image_transport: compressed)"
)


_FIGURES = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who publishes a topic.

    Attributes:
        node: Full name.
        type_name: Such as ``sensor_msgs/msg/Image``.
        is_reliable: What it offers.
    """

    node: str
    type_name: str
    is_reliable: bool


@dataclass(frozen=True, slots=True)
class InputFacts:
    """One input as the node sees it.

    Attributes:
        name: Short name, such as ``image``.
        topic: Full name, remappings applied.
        type_name: Type the node expects.
        is_reliable: What the node asks for.
        received: Messages so far.
        publishers: Who publishes it.
        newest_ns: Stamp of the newest message, None before the first.
        tolerance_s: How far from the image's its stamps may be, None for no bound.
    """

    name: str
    topic: str
    type_name: str
    is_reliable: bool
    received: int
    publishers: tuple[Publisher, ...]
    newest_ns: int | None = None
    tolerance_s: float | None = None


def why_silent(image: InputFacts, silent_s: float, alternatives: Sequence[str]) -> str:
    """Return one sentence on why no image arrives.

    Args:
        image: The image topic.
        silent_s: For how long none has come.
        alternatives: Topics of the expected type that somebody publishes.
    """
    seen = f"no image on {image.topic} for {silent_s:.0f} s: "
    fitting = [publisher for publisher in image.publishers if publisher.type_name == image.type_name]
    if not image.publishers:
        there = f"published are {', '.join(alternatives)}" if alternatives else "nobody publishes any"
        return f"{seen}nobody publishes it. Of type {image.type_name} {there}; set the argument image:=TOPIC"
    if not fitting:
        other = image.publishers[0]
        return (
            f"{seen}{other.node} publishes it as {other.type_name}, expected {image.type_name}; "
            "choose another topic, or image_transport: compressed for compressed images"
        )
    return seen + _why_lost(image, fitting)


def why_unmatched(image: InputFacts, other: InputFacts) -> str:
    """Return one sentence on why nothing of another input belongs to the images that came."""
    if not other.received:
        best_effort = other.publishers and not any(publisher.is_reliable for publisher in other.publishers)
        cause = f"; {_LARGE_DATA_ADVICE}" if best_effort else ""
        return f"images come, but nothing on {other.topic}, which {_names(other.publishers)} publishes{cause}"
    if image.newest_ns is None or other.newest_ns is None:
        return f"images come, but nothing usable on {other.topic}"
    apart_s = (other.newest_ns - image.newest_ns) / 1e9
    allowed = f", at most {other.tolerance_s:g} s is allowed" if other.tolerance_s is not None else ""
    return (
        f"nothing on {other.topic} belongs to the images: the newest stamps are {abs(apart_s):.3f} s apart "
        f"({other.name} is {'later' if apart_s > 0 else 'earlier'}){allowed}; "
        "check that both use one clock, and sync_tolerance_s"
    )


def _why_lost(image: InputFacts, publishers: Sequence[Publisher]) -> str:
    names = _names(publishers)
    asked = "reliable" if image.is_reliable else "best effort"
    if not any(publisher.is_reliable for publisher in publishers):
        return f"{names} publishes it best effort ({asked} is asked for); {_LARGE_DATA_ADVICE}"
    if image.is_reliable:
        return (
            f"{names} publishes it reliably and the subscription fits (reliable), but sends nothing; it may be paused, "
            "or FASTDDS_BUILTIN_TRANSPORTS differs between the two processes"
        )
    return f"{names} publishes it, {asked} is asked for"


def _names(publishers: Sequence[Publisher]) -> str:
    return ", ".join(dict.fromkeys(publisher.node for publisher in publishers))


class Watchdog:
    """Watches whether images arrive and find what belongs to them; says what is wrong, again each minute.

    Attributes:
        complaint: What is wrong now, empty if nothing is.
    """

    def __init__(
        self,
        patience_s: float,
        say: Callable[[str], None],
        steady_s: Callable[[], float] = time.monotonic,
        again_after_s: float = 60.0,
    ) -> None:
        """Begin to wait for the first image now.

        Args:
            patience_s: How long a silence is no reason to speak.
            say: Called with a warning.
            steady_s: The steady clock: sim time stands still without /clock.
            again_after_s: When the same complaint is repeated.
        """
        self._patience_s = patience_s
        self._say = say
        self._steady_s = steady_s
        self._again_after_s = again_after_s
        self._last_image_s = steady_s()
        self._matched_s: dict[str, float] = {}
        self._said_s: dict[tuple[str, str], float] = {}
        self.complaint = ""

    @property
    def silent_s(self) -> float:
        """For how long no image has come."""
        return self._steady_s() - self._last_image_s

    def image_came(self) -> None:
        """Note an image."""
        self._last_image_s = self._steady_s()

    def is_overdue(self) -> bool:
        """Say whether images have stayed away too long."""
        return self.silent_s >= self._patience_s

    def is_unmatched(self, name: str, *, has_match: bool) -> bool:
        """Say whether images have come without a match of input ``name`` for too long."""
        now_s = self._steady_s()
        if has_match:
            self._matched_s[name] = now_s
        return now_s - self._matched_s.setdefault(name, now_s) >= self._patience_s

    def complain(self, about: str, sentence: str) -> None:
        """Set the complaint and say it, unless the same, figures apart, was said of late."""
        self.complaint = sentence
        now_s = self._steady_s()
        complaint = (about, _FIGURES.sub("", sentence))
        if now_s - self._said_s.get(complaint, -self._again_after_s) >= self._again_after_s:
            self._said_s[complaint] = now_s
            self._say(sentence)

    def be_content(self) -> None:
        """Nothing is wrong: the next complaint is said at once."""
        self.complaint = ""
        self._said_s.clear()
