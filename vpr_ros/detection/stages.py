"""The stages a candidate passes, cheapest first: each looks at one thing and says what it saw."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from vpr_ros.core import Candidate
from vpr_ros.detection.memory import Memory
from vpr_ros.detection.policy import Thresholds
from vpr_ros.detection.sequence import best_run


class Outcome(Enum):
    """What a stage says of a candidate."""

    PASSED = "passed"
    REFUSED = "refused"
    WAITING = "waiting"  # the keyframes that follow will tell
    SKIPPED = "skipped"  # the stage is switched off or can't run


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one stage found.

    Attributes:
        outcome: The stage's answer.
        value: What it saw; 0 where it was skipped.
        threshold: What it asked for; 0 where it was skipped.
        reason: One clause for people: what was seen against what was asked, or why the stage did not run.
        rank_value: What ranks the candidates of one query that all pass, None where the stage has nothing to say of it.
    """

    outcome: Outcome
    value: float
    threshold: float
    reason: str
    rank_value: float | None = None


class Stage(Protocol):
    """One check on the way from candidate to closure."""

    name: str

    def judge(self, candidate: Candidate, memory: Memory) -> Verdict:
        """Judge a candidate by what the detector remembers."""


class SkippedStage:
    """Stands where a stage is switched off or can't run, and says so in the decision."""

    def __init__(self, name: str, why: str) -> None:
        """Name the stage and why it does not run."""
        self.name = name
        self._why = why

    def judge(self, candidate: Candidate, memory: Memory) -> Verdict:  # noqa: ARG002
        """Let everything pass, unseen."""
        return Verdict(Outcome.SKIPPED, 0.0, 0.0, self._why)


class SimilarityStage:
    """Cosine of the two global descriptors against its threshold."""

    name = "similarity"

    def __init__(self, thresholds: Thresholds) -> None:
        """Take the threshold."""
        self._threshold = thresholds.min_similarity

    def judge(self, candidate: Candidate, memory: Memory) -> Verdict:  # noqa: ARG002
        """Ask whether the two images look alike at all."""
        value = candidate.similarity
        outcome = Outcome.PASSED if value >= self._threshold else Outcome.REFUSED
        return Verdict(outcome, value, self._threshold, f"similarity {value:.3f}, asked {self._threshold:.3f}")


class MarginStage:
    """Similarity over that of the best distinct rival: two places that look alike close no loop."""

    name = "margin"

    def __init__(self, thresholds: Thresholds) -> None:
        """Take the threshold."""
        self._threshold = thresholds.min_margin

    def judge(self, candidate: Candidate, memory: Memory) -> Verdict:
        """Ask whether another place looks as much like the query."""
        sighting = memory.sighting(candidate.query.id)
        rival = memory.best_rival(sighting, candidate.match.id)
        value = candidate.similarity - rival.similarity
        outcome = Outcome.PASSED if value >= self._threshold else Outcome.REFUSED
        other = (
            "no other place" if rival.id is None else f"keyframe {rival.id}, another place, has {rival.similarity:.3f}"
        )
        return Verdict(
            outcome,
            value,
            self._threshold,
            f"similarity {candidate.similarity:.3f} and {other}: margin {value:.3f}, asked {self._threshold:.3f}",
        )


class SequenceStage:
    """The same loop seen by consecutive keyframes, in an order that a robot can drive."""

    name = "sequence"

    def __init__(self, thresholds: Thresholds) -> None:
        """Take window and threshold."""
        self._length = thresholds.sequence_length
        self._threshold = thresholds.min_sequence_margin

    def judge(self, candidate: Candidate, memory: Memory) -> Verdict:
        """Ask whether the keyframes around the query see the places around the match; may wait for more of them."""
        run = best_run(candidate, memory, self._length)
        is_run = run.value >= self._threshold
        outcome = Outcome.PASSED if is_run else Outcome.REFUSED if run.is_final else Outcome.WAITING
        seen = f"mean margin {run.value:.3f} over {self._length} keyframes in a row, asked {self._threshold:.3f}"
        return Verdict(outcome, run.value, self._threshold, seen, rank_value=run.alignment)


# Every stage there is, in the order of the path.
STAGE_NAMES = ("similarity", "margin", "rerank", "sequence", "geometry", "odometry", "agreement")


def build_stages(thresholds: Thresholds, without: tuple[str, ...] = ()) -> tuple[Stage, ...]:
    """Return the stages in order; those named in ``without`` are switched off."""
    stages: tuple[Stage, ...] = (
        SimilarityStage(thresholds),
        MarginStage(thresholds),
        SkippedStage("rerank", "not built yet"),
        SequenceStage(thresholds),
        SkippedStage("geometry", "not built yet"),
        SkippedStage("odometry", "not built yet"),
        SkippedStage("agreement", "not built yet"),
    )
    return tuple(SkippedStage(stage.name, "switched off") if stage.name in without else stage for stage in stages)
