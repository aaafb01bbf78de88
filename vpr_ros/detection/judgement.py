"""From the verdicts of the stages to one decision a candidate, with a sentence for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Candidate, Decision, LoopClosure, Pose, Turn
from vpr_ros.detection.policy import Policy
from vpr_ros.detection.stages import Context, Outcome, Stage, Verdict, figures_of, place_precision
from vpr_ros.geometry import Verification


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A candidate and what the stages that looked at it said.

    Attributes:
        candidate: The pair.
        verdicts: Name and verdict of each stage, in order, up to the first that did not let it pass.
        probability: That the two show the same place by what was seen so far, in [0, 1].
        verification: What geometry found, None where it did not run.
    """

    candidate: Candidate
    verdicts: tuple[tuple[str, Verdict], ...]
    probability: float = 0.0
    verification: Verification | None = None

    @property
    def outcome(self) -> Outcome:
        """Refused or waiting if a stage said so, else passed."""
        last = self.verdicts[-1][1].outcome
        return last if last in (Outcome.REFUSED, Outcome.WAITING) else Outcome.PASSED

    @property
    def deciding(self) -> tuple[str, Verdict]:
        """The last stage that ran."""
        ran = [item for item in self.verdicts if item[1].outcome is not Outcome.SKIPPED]
        return ran[-1] if ran else self.verdicts[-1]

    @property
    def strength(self) -> float:
        """What the passed candidates of one query are ranked by: the last stage's rank value, else the similarity."""
        ranks = (verdict.rank_value for _, verdict in reversed(self.verdicts) if verdict.rank_value is not None)
        return next(ranks, self.candidate.similarity)


def judge(candidate: Candidate, stages: Iterable[Stage], context: Context, policy: Policy) -> Judgement:
    """Take a candidate through the stages until one does not let it pass."""
    context.found = {}
    for stage in stages:
        verdict = stage.judge(candidate, context)
        context.found[stage.name] = verdict
        if verdict.outcome in (Outcome.REFUSED, Outcome.WAITING):
            break
    return Judgement(
        candidate,
        tuple(context.found.items()),
        policy.probability(figures_of(context.found)),
        context.verification(candidate),
    )


def accept(judgement: Judgement) -> tuple[Decision, LoopClosure]:
    """Return the decision and the closure of the best candidate of a query."""
    passed = "; ".join(
        f"{name}: {verdict.reason}" for name, verdict in judgement.verdicts if verdict.outcome is Outcome.PASSED
    )
    skipped = ", ".join(
        f"{name} ({verdict.reason})" for name, verdict in judgement.verdicts if verdict.outcome is Outcome.SKIPPED
    )
    reason = f"same place: {passed or 'no stage is switched on'}" + (f"; not looked at: {skipped}" if skipped else "")
    stage, verdict = judgement.deciding
    return _decision(judgement, stage, verdict.value, verdict.threshold, reason, accepted=True), closure_of(judgement)


def closure_of(judgement: Judgement) -> LoopClosure:
    """Return the closure that a candidate is once it is accepted."""
    candidate = judgement.candidate
    return LoopClosure(
        query_id=candidate.query.id,
        query_stamp_ns=candidate.query.stamp_ns,
        query_frame_id=candidate.query.frame_id,
        match_id=candidate.match.id,
        match_stamp_ns=candidate.match.stamp_ns,
        match_session=candidate.match.session,
        similarity=candidate.similarity,
        probability=judgement.probability,
        **_pose_of(judgement.verification),
    )


class _PoseFields(TypedDict, total=False):
    inliers: int
    metric: bool
    t_match_query: Pose | None
    covariance: NDArray[np.float64] | None
    turn: Turn | None


def _pose_of(seen: Verification | None) -> _PoseFields:
    if seen is None:
        return {}
    return {
        "inliers": seen.inliers,
        "metric": seen.metric,
        "t_match_query": seen.t_match_query,
        "covariance": seen.covariance,
        "turn": seen.turn,
    }


def refuse(judgement: Judgement) -> Decision:
    """Return the decision of a candidate that a stage stopped."""
    stage, verdict = judgement.verdicts[-1]
    return _decision(judgement, stage, verdict.value, verdict.threshold, f"{stage}: {verdict.reason}")


def refuse_unfinished(judgement: Judgement) -> Decision:
    """Return the decision of a candidate that waited for keyframes that did not come."""
    stage, verdict = judgement.verdicts[-1]
    reason = f"{stage}: the session ended before enough keyframes came; {verdict.reason}"
    return _decision(judgement, stage, verdict.value, verdict.threshold, reason)


def refuse_outdone(judgement: Judgement, best: Judgement) -> Decision:
    """Return the decision of a candidate whose query already closes a better loop."""
    reason = f"keyframe {best.candidate.match.id} is the better match of the same query"
    value, least = (place_precision(figures_of(dict(j.verdicts))) for j in (judgement, best))
    return _decision(judgement, "best", value, least, reason)


def strongest(judgements: Sequence[Judgement]) -> Judgement | None:
    """Return the best of those that passed every stage, None if none did."""
    return max((j for j in judgements if j.outcome is Outcome.PASSED), key=lambda j: j.strength, default=None)


def agrees_better(best: Judgement, judgements: Sequence[Judgement]) -> Judgement | None:
    """Return a candidate of the same query whose patches, inliers, coverage and scale are all better, else None.

    That place is nearer to where the robot is, even if it is not sure enough to be a loop; then the other is none.
    """
    asked = _agreement(best)
    if asked is None:
        return None
    others = ((judgement, _agreement(judgement)) for judgement in judgements if judgement is not best)
    return next(
        (other for other, seen in others if seen and all(a > b for a, b in zip(seen, asked, strict=True))), None
    )


def _agreement(judgement: Judgement) -> tuple[float, float, float, float] | None:
    figures = figures_of(dict(judgement.verdicts))
    if "inliers" not in figures or "rerank" not in figures:
        return None
    return figures["rerank"], figures["inliers"], figures["coverage"], -figures["zoom"]


def _decision(
    judgement: Judgement, stage: str, value: float, threshold: float, reason: str, *, accepted: bool = False
) -> Decision:
    candidate = judgement.candidate
    return Decision(
        query_id=candidate.query.id,
        query_stamp_ns=candidate.query.stamp_ns,
        match_id=candidate.match.id,
        match_stamp_ns=candidate.match.stamp_ns,
        match_session=candidate.match.session,
        accepted=accepted,
        stage=stage,
        value=value,
        threshold=threshold,
        similarity=candidate.similarity,
        probability=judgement.probability,
        reason=reason,
        figures=figures_of(dict(judgement.verdicts)),
    )
