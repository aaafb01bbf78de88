"""Calibrating on a labelled recording: every candidate is looked at by every stage, and truth says which are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vpr_ros.core import Decision, Recipe
from vpr_ros.detection import Settings
from vpr_ros.detection.calibration import LabelledPairs, ReliabilityBin, fit_policy, reliability
from vpr_ros.detection.policy import Policy
from vpr_ros.evaluation.recording import Recording
from vpr_ros.scoring import PairLabel, Truth

# Nothing is refused for what it looks like, so that all is seen; odometry and agreement do not weigh in the policy.
LOOKING_AT_ALL: Mapping[str, object] = {
    "min_similarity": -1.0,
    "min_margin": -2.0,
    "min_lone_margin": -2.0,
    "min_sequence_margin": -1.0,
    "min_rerank_score": 0.0,
    "min_inliers": 0,
    "target_precision": 0.9999,
}
SWITCHED_OFF = ("odometry", "agreement")
# The candidate of a query that is judged is the one the policy likes best, which depends on the policy: so often the
# choice and the fit follow each other.
_ROUNDS = 4


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


@dataclass(frozen=True, slots=True)
class _Candidate:
    figures: Mapping[str, float]
    label: int


def all_seen(settings: Settings) -> Settings:
    """Return settings under which every candidate is looked at by every stage."""
    return replace(
        settings,
        thresholds=replace(settings.thresholds, **LOOKING_AT_ALL),  # type: ignore[arg-type]  # names of its fields
    )


def calibrate(judged: Sequence[tuple[Recording, Truth]], recipe: Recipe, name: str) -> Calibration:
    """Fit a policy to recordings that ran under :func:`all_seen`, without the stages in ``SWITCHED_OFF``.

    Raises:
        PolicyError: Too few right or wrong pairs.
    """
    queries = [query for recording, truth in judged for query in _queries(recording, truth)]

    score = _score_by_hand
    for _ in range(_ROUNDS):
        best = [max(query, key=lambda candidate: score(candidate.figures)) for query in queries]
        scored = [candidate for candidate in best if candidate.label != PairLabel.IGNORED]
        labels = np.array([candidate.label == PairLabel.RIGHT for candidate in scored], np.bool_)
        pairs = LabelledPairs([candidate.figures for candidate in scored], labels)
        policy = fit_policy(pairs, recipe, name)
        score = policy.log_odds
    return Calibration(policy, int(labels.sum()), int((~labels).sum()), reliability(policy, pairs))


def _score_by_hand(figures: Mapping[str, float]) -> float:
    """Rank the candidates of a query until there is a policy."""
    return figures.get("inliers", 0.0) + 5 * figures.get("rerank", 0.0)


def _queries(recording: Recording, truth: Truth) -> list[list[_Candidate]]:
    by_query: dict[int, list[_Candidate]] = {}
    for decision in recording.decisions:
        if (label := _label(recording, decision, truth)) is not None and "inliers" in decision.figures:
            by_query.setdefault(decision.query_id, []).append(_Candidate(decision.figures, label))
    return list(by_query.values())


def _label(recording: Recording, decision: Decision, truth: Truth) -> int | None:
    """Return what truth says of a pair, None for a match of another session."""
    match = recording.match_of(decision)
    return None if match is None else int(truth.label(recording.query_of(decision).frame, match.frame))
