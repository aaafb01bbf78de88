"""The stages a candidate passes, cheapest first: each looks at one thing and says what it saw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np

from vpr_ros.core import Candidate
from vpr_ros.core.pose import rotation_log
from vpr_ros.detection.evidence import Evidence
from vpr_ros.detection.memory import UNSEEN, Memory
from vpr_ros.detection.odometer import Odometer
from vpr_ros.detection.policy import Policy, Thresholds
from vpr_ros.detection.sequence import Run, astray_m, best_run, best_view, support
from vpr_ros.geometry import Degeneracy, Verification

# A run that is worse than this says no more than that it is bad.
_LEAST_RUN = -0.1


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
        figures: Further numbers that the probability is computed from, by the names of ``policy.FIGURES``.
        rank_value: What ranks the candidates of one query that all pass, None where the stage has nothing to say of it.
    """

    outcome: Outcome
    value: float
    threshold: float
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict)
    rank_value: float | None = None


def skipped(why: str) -> Verdict:
    """Return the verdict of a stage that lets a candidate pass unseen."""
    return Verdict(Outcome.SKIPPED, 0.0, 0.0, why)


@dataclass(slots=True)
class Context:
    """What a stage may look at beside the candidate.

    Attributes:
        memory: The map, the last sightings and closures.
        odometer: The way of the running session.
        evidence: Patches and local features of the two images.
        is_over: Whether no keyframe will come any more.
        found: Verdicts of the stages before this one, by name.
    """

    memory: Memory
    odometer: Odometer
    evidence: Evidence
    is_over: bool = False
    found: dict[str, Verdict] = field(default_factory=dict)

    def verification(self, candidate: Candidate) -> Verification | None:
        """Return what geometry said of a candidate, None where that stage did not run."""
        stage = self.found.get("geometry")
        return None if stage is None or stage.outcome is Outcome.SKIPPED else self.compared(candidate)

    def compared(self, candidate: Candidate) -> Verification | None:
        """Return the same, and also where an image was too blank for the stage to say anything."""
        return self.evidence.verification(candidate.query, candidate.match)


class Stage(Protocol):
    """One check on the way from candidate to closure."""

    name: str

    def judge(self, candidate: Candidate, context: Context) -> Verdict:
        """Judge a candidate by what the detector knows."""


class SkippedStage:
    """Stands where a stage is switched off or can't run, and says so in the decision."""

    def __init__(self, name: str, why: str) -> None:
        """Name the stage and why it does not run."""
        self.name = name
        self._why = why

    def judge(self, candidate: Candidate, context: Context) -> Verdict:  # noqa: ARG002
        """Let everything pass, unseen."""
        return skipped(self._why)


class SimilarityStage:
    """Cosine of the two global descriptors against its threshold."""

    name = "similarity"

    def __init__(self, thresholds: Thresholds) -> None:
        """Take the threshold."""
        self._threshold = thresholds.min_similarity

    def judge(self, candidate: Candidate, context: Context) -> Verdict:  # noqa: ARG002
        """Ask whether the two images look alike at all."""
        value = candidate.similarity
        outcome = Outcome.PASSED if value >= self._threshold else Outcome.REFUSED
        reason = f"similarity {value:.3f}, asked {self._threshold:.3f}"
        return Verdict(outcome, value, self._threshold, reason, {"similarity": value})


class MarginStage:
    """Similarity over that of the best distinct rival: two places that look alike close no loop."""

    name = "margin"

    def __init__(self, thresholds: Thresholds, *, is_shared: bool = True) -> None:
        """Take the threshold, and whether a place shares the similarity of those just beside it.

        Which of such neighbours is the spot is no question of rivals: patches, geometry and the keyframes around the
        query tell. A single image has only its own.
        """
        self._threshold = thresholds.min_margin
        self._is_shared = is_shared

    def judge(self, candidate: Candidate, context: Context) -> Verdict:
        """Ask whether another place looks as much like the query."""
        sighting = context.memory.sighting(candidate.query.id)
        rival = context.memory.best_rival(sighting, candidate.match.id)
        own = candidate.similarity
        if self._is_shared:
            own = max(own, context.memory.similarity_beside(sighting, candidate.match.id))
        value = own - rival.similarity
        outcome = Outcome.PASSED if value >= self._threshold else Outcome.REFUSED
        other = (
            "no other place" if rival.id is None else f"keyframe {rival.id}, another place, has {rival.similarity:.3f}"
        )
        where = f" beside keyframe {candidate.match.id}" if own > candidate.similarity else ""
        reason = f"similarity {own:.3f}{where} and {other}: margin {value:.3f}, asked {self._threshold:.3f}"
        return Verdict(outcome, value, self._threshold, reason, {"margin": value})


class RerankStage:
    """Patch-NetVLAD's spatial score; only the best few places of a query go on to the costly stages behind."""

    name = "rerank"

    def __init__(self, thresholds: Thresholds) -> None:
        """Take threshold and number."""
        self._threshold = thresholds.min_rerank_score
        self._most = thresholds.verify_candidates

    def judge(self, candidate: Candidate, context: Context) -> Verdict:
        """Ask whether the patches of the two images lie alike, and whether those of other places do so more."""
        score = context.evidence.rerank_score(candidate.query, candidate.match)
        if score is None:
            return skipped(context.evidence.why_no_score(candidate.query, candidate.match))
        figures = {"rerank": score}
        if score < self._threshold:
            reason = f"patches agree to {score:.3f}, asked {self._threshold:.3f}"
            return Verdict(Outcome.REFUSED, score, self._threshold, reason, figures)
        # Copies of the place that odometry rules out take nobody's turn.
        rivals = (
            place
            for place in context.memory.judged(candidate.query.id)
            if place.id == candidate.match.id or not context.odometer.rules_out(candidate.query, place)
        )
        scores = (context.evidence.rerank_score(candidate.query, place) for place in rivals)
        ranked = sorted((other for other in scores if other is not None), reverse=True)
        least = max(self._threshold, ranked[: self._most][-1])
        outcome = Outcome.PASSED if score >= least else Outcome.REFUSED
        asked = (
            f"the {self._most} best of this query reach {least:.3f}"
            if least > self._threshold
            else f"asked {least:.3f}"
        )
        return Verdict(outcome, score, least, f"patches agree to {score:.3f}, {asked}", figures)


class GeometryStage:
    """One rigid scene seen twice: how many local features agree, how widely they lie, and the relative pose."""

    name = "geometry"

    def __init__(self, thresholds: Thresholds) -> None:
        """Take the thresholds."""
        self._threshold = thresholds.min_inliers
        self._most_turned_rad = math.radians(thresholds.max_view_angle_deg)
        self._most_apart_m = thresholds.same_place_m

    def judge(self, candidate: Candidate, context: Context) -> Verdict:
        """Ask whether the two images can be two views of one scene."""
        seen = context.evidence.verification(candidate.query, candidate.match)
        if seen is None:
            return skipped(context.evidence.why_no_verification(candidate.query, candidate.match))
        if seen.degeneracy is Degeneracy.NEAR_BLANK:
            return skipped(seen.reason)
        figures = {
            "inliers": math.log1p(seen.inliers),
            "inlier_ratio": seen.inlier_ratio,
            "coverage": seen.coverage,
            "zoom": seen.zoom,
        }
        turned_rad = _turned_rad(seen)
        if turned_rad > self._most_turned_rad:
            reason = f"the views are turned by {math.degrees(turned_rad):.0f} degrees, "
            reason += f"at most {math.degrees(self._most_turned_rad):.0f} are one place"
            return Verdict(Outcome.REFUSED, -turned_rad, -self._most_turned_rad, reason, figures)
        apart_m = _apart_m(seen)
        if apart_m > self._most_apart_m:
            reason = f"the cameras stand {apart_m:.1f} m apart, at most {self._most_apart_m:.1f} m are one place"
            return Verdict(Outcome.REFUSED, -apart_m, -self._most_apart_m, reason, figures)
        outcome = Outcome.PASSED if seen.inliers >= self._threshold else Outcome.REFUSED
        return Verdict(outcome, seen.inliers, self._threshold, f"{seen.reason}; asked {self._threshold}", figures)


def _turned_rad(seen: Verification) -> float:
    """Return by how much the two views are turned from each other, 0 where geometry can't tell."""
    return 0.0 if seen.rotation is None else float(np.linalg.norm(rotation_log(seen.rotation)))


def _apart_m(seen: Verification) -> float:
    """Return how far the two cameras stand from each other, 0 where geometry can't tell."""
    return float(np.linalg.norm(seen.t_match_query.translation)) if seen.metric and seen.t_match_query else 0.0


class SequenceStage:
    """The same loop seen by consecutive keyframes, in an order that a robot can drive.

    Where odometry speaks for a candidate, the match may be seen better from no keyframe that is farther on or back: a
    place comes into view before the robot is there. And the keyframes around the query must see the same loop, not one
    a few metres beside it: textures repeat, and then a metric pose is off by their period.

    Where nothing but looks speaks for it, more is asked: that its own geometry fixes a pose, that geometry holds
    between the keyframes around it as well, and that no other place looks as much like all of them. A metric pose may
    do without that margin; then the probability stage asks for more.
    """

    name = "sequence"

    def __init__(self, thresholds: Thresholds) -> None:
        """Take window and thresholds."""
        self._length = thresholds.sequence_length
        self._threshold = thresholds.min_sequence_margin
        self._inliers = thresholds.min_lone_inliers
        self._support = thresholds.min_support
        self._best_view_m = thresholds.best_view_m

    def judge(self, candidate: Candidate, context: Context) -> Verdict:
        """Ask whether the keyframes around the query see the places around the match, and geometry agrees there."""
        run = best_run(candidate, context.memory, self._length)
        figures = {
            "sequence": max(run.value, _LEAST_RUN),
            "support": support(candidate, context.memory, context.evidence, self._length),
            "sequence_is_final": float(run.is_final),
        }
        reason = f"mean margin {run.value:.3f} over {self._length} keyframes in a row"
        if run.value == UNSEEN:
            reason = f"fewer than {self._length} keyframes to look at"
        passed = Verdict(Outcome.PASSED, run.value, UNSEEN, reason, figures, rank_value=run.alignment)
        odometry = context.found.get("odometry")
        if odometry is None or odometry.outcome is not Outcome.PASSED:
            return self._alone(candidate, context, run, reason, figures)
        return self._by_odometry(candidate, context, run, figures) or passed

    def _by_odometry(
        self, candidate: Candidate, context: Context, run: Run, figures: Mapping[str, float]
    ) -> Verdict | None:
        """Refuse a candidate whose place is seen better from elsewhere, or that lies astray; let it wait until then.

        A session may end before the keyframes come that would tell. Amid places that are known on either side, the
        nearest of them is the match all the same. Where the stored way begins, nothing nearer stands for what is seen.
        """
        best = best_view(candidate, context.memory, context.evidence, self._length)
        reason = f"keyframe {best.query_id}, {best.away_m:.1f} m away, sees it best"
        if best.away_m > self._best_view_m:
            reason = f"{reason}, asked within {self._best_view_m:.1f} m"
            return Verdict(Outcome.REFUSED, -best.away_m, -self._best_view_m, reason, figures)
        apart_m = astray_m(candidate, context.memory, context.evidence, self._length)
        is_told = apart_m is not None and context.memory.lies_amid(candidate, self._length - 1)
        if not run.is_final and not (context.is_over and is_told):
            reason += " so far; keyframes to come will tell whether one sees it better"
            return Verdict(Outcome.WAITING, -best.away_m, -self._best_view_m, reason, figures)
        if apart_m is not None and apart_m > self._best_view_m:
            reason = f"the keyframes around it see a loop that lies {apart_m:.1f} m from this one by odometry, "
            reason += f"asked within {self._best_view_m:.1f} m"
            return Verdict(Outcome.REFUSED, -apart_m, -self._best_view_m, reason, figures)
        return None

    def _alone(
        self, candidate: Candidate, context: Context, run: Run, reason: str, figures: Mapping[str, float]
    ) -> Verdict:
        """Judge a candidate that only its looks speak for."""
        may_grow = Outcome.REFUSED if run.is_final else Outcome.WAITING
        seen, alone = context.compared(candidate), "where nothing else vouches for it"
        if seen is not None and seen.inliers < self._inliers:
            reason = f"{seen.inliers} features agree, asked {self._inliers} {alone}"
            return Verdict(Outcome.REFUSED, seen.inliers, self._inliers, reason, figures)
        found, least = figures["support"], self._support
        if seen is not None and found < least:
            reason = f"geometry of the keyframes around it supports it by {found:.2f}, asked {least:.2f} {alone}"
            return Verdict(may_grow, found, least, reason, figures)
        if run.value < self._threshold:
            if seen is not None and seen.metric:
                # Its size agrees, too. What the probability means without a margin is known, and asked.
                figures = {**figures, "without_margin": 1.0}
                return Verdict(Outcome.PASSED, run.value, UNSEEN, reason, figures, rank_value=run.alignment)
            reason = f"{reason}, asked {self._threshold:.3f} {alone}"
            return Verdict(may_grow, run.value, self._threshold, reason, figures)
        return Verdict(Outcome.PASSED, run.value, self._threshold, reason, figures, rank_value=run.alignment)


class ProbabilityStage:
    """All that was seen, weighed: the calibrated probability against the precision that the user asks for."""

    name = "probability"

    def __init__(self, policy: Policy, target_precision: float) -> None:
        """Take the weights and the threshold.

        Args:
            policy: Turns what the stages saw into a probability.
            target_precision: Share of accepted closures that shall be right.
        """
        self._policy = policy
        self._target_precision = target_precision

    def judge(self, candidate: Candidate, context: Context) -> Verdict:  # noqa: ARG002
        """Ask whether everything together is sure enough; may wait for more keyframes."""
        figures = figures_of(context.found)
        value = self._policy.probability(figures)
        asked = self._policy.threshold(self._target_precision, figures)
        # Keyframes to come can only help where the sequence is looked at and not at its end.
        may_grow = figures.get("sequence_is_final") == 0.0
        outcome = Outcome.PASSED if value >= asked else Outcome.WAITING if may_grow else Outcome.REFUSED
        reason = f"probability {value:.3f} of {self._policy.explain(figures)}, asked {asked:.3f}"
        if asked > (highest := self._policy.highest(figures)):
            reason += f", but this policy gives {highest:.4f} at most: lower target_precision or calibrate anew"
        return Verdict(outcome, value, asked, reason, rank_value=place_precision(figures))


def place_precision(figures: Mapping[str, float]) -> float:
    """Return how exactly a match is the same spot, to rank the candidates of one query that are all sure enough.

    The probability saturates, and the neighbours of the best match have it too; patches, inliers that cover the image,
    and the scale at which they see the scene tell them apart (docs/thresholds.md).
    """
    alike = figures.get("rerank", figures.get("similarity", 0.0))
    return alike + figures.get("coverage", 0.0) - figures.get("zoom", 0.0)


def figures_of(found: Mapping[str, Verdict]) -> dict[str, float]:
    """Return all figures that the stages gave."""
    return {name: value for verdict in found.values() for name, value in verdict.figures.items()}
