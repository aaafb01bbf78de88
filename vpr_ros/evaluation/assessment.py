"""What truth says of a recording's closures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vpr_ros.evaluation.recording import Recording
from vpr_ros.scoring import LoopFigures, PairLabel, Truth, score_closures

Mark = Literal["right", "wrong", "unscored"]
# sound: none wrong. missed: none wrong, but none found where truth has some.
Standing = Literal["sound", "wrong", "missed", "unjudged"]
_MARKS: dict[int, Mark] = {PairLabel.RIGHT: "right", PairLabel.WRONG: "wrong", PairLabel.IGNORED: "unscored"}


@dataclass(frozen=True, slots=True)
class Assessment:
    """Closures against truth.

    Attributes:
        marks: One a closure, in the recording's order; what truth leaves open is ``unscored``.
        figures: The counts.
        truth: Where the truth comes from and what counts as right, one sentence.
    """

    marks: tuple[Mark, ...]
    figures: LoopFigures
    truth: str


def assess(recording: Recording, truth: Truth) -> Assessment:
    """Return what truth says of a run. A closure with an earlier session, which truth does not cover, is not scored."""
    queries, matches = recording.closed_pairs.T
    labels = iter(truth.labels(queries, matches).tolist())
    has_match = (recording.match_of(closure) is not None for closure in recording.closures)
    return Assessment(
        marks=tuple(_MARKS[next(labels)] if known else "unscored" for known in has_match),
        figures=score_closures(recording.closed_pairs, recording.seen.frames, truth),
        truth=truth.about,
    )


def standing_of(assessment: Assessment | None) -> Standing:
    """Return a run in one word."""
    if assessment is None:
        return "unjudged"
    if assessment.figures.wrong:
        return "wrong"
    found_none = not assessment.figures.correct and assessment.figures.queries_with_revisit > 0
    return "missed" if found_none else "sound"
