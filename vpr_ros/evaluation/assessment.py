"""What truth says of a recording's closures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vpr_ros.evaluation.recording import Recording

if TYPE_CHECKING:
    from vpr_ros.scoring import LoopFigures

Mark = Literal["right", "wrong", "unscored"]
# sound: none wrong. missed: none wrong, but none found where truth has some.
Standing = Literal["sound", "wrong", "missed", "unjudged"]


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


def standing_of(recording: Recording, assessment: Assessment | None) -> Standing:
    """Return the run in one word."""
    if assessment is None:
        return "unjudged"
    if assessment.figures.wrong:
        return "wrong"
    found_none = not assessment.figures.correct and assessment.figures.queries_with_revisit > 0
    return "missed" if found_none else "sound"
