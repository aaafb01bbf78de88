"""What one run over a recording gave: every decision, every closure, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Decision, LoopClosure, Pose, seconds

# A keyframe takes the pose of a truth nearest in time, if that is no farther than this; design.md, section 6.
POSE_TOLERANCE_NS = 20_000_000


@dataclass(frozen=True, slots=True, eq=False)
class SeenFrames:
    """Frames of a source, as truth is asked about them.

    Attributes:
        frames: 0-based positions in the source, ascending, shape (n,), int64.
        stamps_ns: Their stamps in ns, shape (n,), int64.
        timed: Whether the stamps say anything about time.
    """

    frames: NDArray[np.int64]
    stamps_ns: NDArray[np.int64]
    timed: bool


@dataclass(frozen=True, slots=True)
class StageTiming:
    """How long one stage took over a run.

    Attributes:
        p50_ms: Median, in ms.
        p95_ms: 95 % of the calls took at most this, in ms.
    """

    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class SeenKeyframe:
    """A keyframe as a result refers to it.

    Attributes:
        id: Its id in the map.
        frame: 0-based position of its image in the source.
        stamp_ns: Its stamp in ns.
        t_odom_camera: Camera in the odometry frame, None without odometry.
        t_world_camera: Camera in the frame of the source's own truth, None without one. Only for drawing.
    """

    id: int
    frame: int
    stamp_ns: int
    t_odom_camera: Pose | None = None
    t_world_camera: Pose | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The standing of one run of the detector over one source.

    Attributes:
        source: The source as the user named it.
        encoder: Registered name of the encoder.
        engine: What ran it.
        frames: Images read.
        keyframes: Keyframes of this run, in order.
        decisions: The verdict on every candidate, in the order they fell.
        closures: What was accepted, in the order it was accepted.
        timing: By stage, in the order of the path.
        peak_memory_mib: Largest resident memory of the process that detected, in MiB.
        seconds: Wall clock of the run.
        drops: Images that could not be used, counted by cause.
        timed: Whether stamps say anything about time.
    """

    source: str
    encoder: str
    engine: str
    frames: int
    keyframes: tuple[SeenKeyframe, ...]
    decisions: tuple[Decision, ...]
    closures: tuple[LoopClosure, ...]
    timing: Mapping[str, StageTiming]
    peak_memory_mib: float
    seconds: float
    drops: Mapping[str, int] = field(default_factory=dict)
    timed: bool = True
    _by_id: dict[int, SeenKeyframe] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Index the keyframes once."""
        self._by_id.update((keyframe.id, keyframe) for keyframe in self.keyframes)

    @property
    def refused(self) -> dict[str, int]:
        """Refused candidates, counted by the stage that refused."""
        counts: dict[str, int] = {}
        for decision in self.decisions:
            if not decision.accepted:
                counts[decision.stage] = counts.get(decision.stage, 0) + 1
        return counts

    @property
    def seen(self) -> SeenFrames:
        """The keyframes as truth is asked about them."""
        frames = np.array([keyframe.frame for keyframe in self.keyframes], np.int64)
        stamps_ns = np.array([keyframe.stamp_ns for keyframe in self.keyframes], np.int64)
        return SeenFrames(frames, stamps_ns, self.timed)

    @property
    def closed_pairs(self) -> NDArray[np.int64]:
        """Query and match of each closure within this run, as frames, shape (n, 2)."""
        pairs = [
            (self.query_of(closure).frame, match.frame)
            for closure in self.closures
            if (match := self.match_of(closure)) is not None
        ]
        return np.array(pairs, np.int64).reshape(-1, 2)

    def query_of(self, judged: LoopClosure | Decision) -> SeenKeyframe:
        """Return the keyframe that asked."""
        return self._by_id[judged.query_id]

    def match_of(self, judged: LoopClosure | Decision) -> SeenKeyframe | None:
        """Return the place it was compared with, None where that lies in an earlier session."""
        return self._by_id.get(judged.match_id)

    def when(self, keyframe: SeenKeyframe) -> str:
        """Return when a keyframe was seen, in words: seconds after the first one where stamps tell, and its frame."""
        if not self.timed:
            return f"frame {keyframe.frame}"
        return f"{seconds(keyframe.stamp_ns - self.keyframes[0].stamp_ns):.1f} s, frame {keyframe.frame}"

    def where(self, judged: LoopClosure | Decision) -> str:
        """Return the place a query was compared with, in words."""
        match = self.match_of(judged)
        return f"place {judged.match_id} of session {judged.match_session}" if match is None else self.when(match)
