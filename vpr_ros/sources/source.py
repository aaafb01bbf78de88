"""What every source is: a stream of frames, with the truth it may carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from vpr_ros.core import Frame, Trajectory, VprError


class SourceError(VprError):
    """A recording that can't be opened or read."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How a source is to be read; each has a default that suits a well-formed recording.

    Attributes:
        rate_hz: Stamps a folder or video by this rate instead of its own times.
        depth_scale: Units a metre of a folder's 16-bit depth images; None takes the layout's own.
        image_topic: Image topic of a bag; None takes the only one, or the one with a camera_info beside it.
        info_topic: CameraInfo topic of a bag; None derives it from the image topic.
        depth_topic: Depth topic of a bag; None takes the only one there is.
        odom_topic: Odometry topic of a bag; None takes the only one there is.
        sync_tolerance_s: How far depth may be from its image in time.
        from_s: Skip what lies earlier than this, in seconds after the first stamp.
        to_s: Skip what lies later than this, in seconds after the first stamp; None for all.
    """

    rate_hz: float | None = None
    depth_scale: float | None = None
    image_topic: str | None = None
    info_topic: str | None = None
    depth_topic: str | None = None
    odom_topic: str | None = None
    sync_tolerance_s: float = 0.02
    from_s: float = 0.0
    to_s: float | None = None


class Source(Protocol):
    """A recording or robot as a stream of frames.

    Attributes:
        uri: As the user gave it.
        truth: Exact or reference poses of the camera that the source carries for judging, never odometry; None if none.
        drops: What could not be used, counted by cause ("corrupt image": 3). Grows while frames are read.
    """

    uri: str
    truth: Trajectory | None
    drops: Counter[str]

    def __len__(self) -> int:
        """Return the number of frames, as far as it is known before reading (for progress)."""

    def frames(self) -> Iterator[Frame]:
        """Yield frames in order, decoded one at a time; a frame that can't be decoded is counted in ``drops``.

        ``Frame.index`` is the position in the source, so a dropped frame leaves a gap. Can be called again.
        """

    def close(self) -> None:
        """Release files and processes."""

    def __enter__(self) -> Source:
        """Return self."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
