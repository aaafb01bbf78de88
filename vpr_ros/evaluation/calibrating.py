"""Calibrating on a labelled recording: every candidate is looked at by every stage, and truth says which are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vpr_ros.core import Decision, Recipe
from vpr_ros.detection.calibration import Label, LabelledCandidate, ReliabilityBin, fit_to_queries, reliability
from vpr_ros.detection.policy import Policy
from vpr_ros.evaluation.recording import Recording
from vpr_ros.scoring import PairLabel, Truth

_LABELS = {PairLabel.RIGHT: Label.RIGHT, PairLabel.WRONG: Label.WRONG, PairLabel.IGNORED: Label.IGNORED}


@dataclass(frozen=True, slots=True)
class Calibration:
    """What came of it.

    Attributes:
        policy: The fitted policy.
        right: Queries whose best candidate is right.
        wrong: Queries whose best candidate is wrong.
        bins: How well the probability agrees with the truth, on the same pairs.
    """

    policy: Policy
    right: int
    wrong: int
    bins: tuple[ReliabilityBin, ...]

    @property
    def reachable_precision(self) -> float:
        """The highest precision that the pairs vouch for, a little below 1 even where all are right; 0 if none."""
        return max((precision for _, precision in self.policy.accepted), default=0.0)


def calibrate(judged: Sequence[tuple[Recording, Truth]], recipe: Recipe, name: str) -> Calibration:
    """Fit a policy to recordings that ran under ``calibration.all_seen``, without the stages in ``SWITCHED_OFF``.

    Raises:
        PolicyError: Too few right or wrong pairs.
    """
    queries = [query for recording, truth in judged for query in _queries(recording, truth)]
    policy, pairs = fit_to_queries(queries, recipe, name)
    right = int(pairs.is_same_place.sum())
    return Calibration(policy, right, len(pairs.is_same_place) - right, reliability(policy, pairs))


def _queries(recording: Recording, truth: Truth) -> list[list[LabelledCandidate]]:
    by_query: dict[int, list[LabelledCandidate]] = {}
    for decision in recording.decisions:
        if (label := _label(recording, decision, truth)) is not None and "inliers" in decision.figures:
            by_query.setdefault(decision.query_id, []).append(LabelledCandidate(decision.figures, label))
    return list(by_query.values())


def _label(recording: Recording, decision: Decision, truth: Truth) -> Label | None:
    """Return what truth says of a pair, None for a match of another session."""
    match = recording.match_of(decision)
    return None if match is None else _LABELS[truth.label(recording.query_of(decision).frame, match.frame)]
