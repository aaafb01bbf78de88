"""Whether a candidate fits what is known beside the two images: odometry, and the closures accepted just before."""

from __future__ import annotations

import math

import numpy as np

from vpr_ros.core import Candidate, LoopClosure, Pose
from vpr_ros.core.pose import rotation_log
from vpr_ros.detection.odometer import PredictedMotion
from vpr_ros.detection.policy import Thresholds
from vpr_ros.detection.stages import Context, Outcome, Verdict, skipped
from vpr_ros.geometry import Verification

# A pose may be off by this many of its standard deviations before it contradicts another.
_SIGMAS = 3.0
# Recent closures have a say from this many on: one alone may be the wrong one.
_LEAST_VOTES = 2


class OdometryStage:
    """A loop that odometry rules out, with all the drift it may have, is refused.

    The most wanted feature of the field: two rooms that look alike are told apart by the way between them.
    """

    name = "odometry"

    def __init__(self, thresholds: Thresholds) -> None:
        """Take what drift is granted."""
        self._thresholds = thresholds
        self._slack_rad = math.radians(thresholds.max_odometry_turn_deg)

    def judge(self, candidate: Candidate, context: Context) -> Verdict:
        """Ask whether the robot can be where the candidate puts it."""
        predicted = context.odometer.predict(candidate.query, candidate.match)
        if predicted is None:
            return skipped(_why_not_predicted(candidate))
        seen = context.verification(candidate)
        apart_m, bound_m = self._apart(predicted, seen)
        # The larger value is the better one in every stage: what is left of the grant.
        reserve_m, asked_m = bound_m - apart_m, self._thresholds.min_odometry_reserve_m
        outcome = Outcome.PASSED if reserve_m >= asked_m else Outcome.REFUSED
        reason = f"odometry puts the two cameras {apart_m:.1f} m away from that, granted {bound_m:.1f} m"
        figures = {"odometry": float(reserve_m >= 0)}
        turned_rad, granted_rad = _turned_apart_rad(predicted, seen), predicted.rotation_bound_rad + self._slack_rad
        if outcome is Outcome.PASSED and turned_rad > granted_rad:
            reason = f"odometry turns the two cameras {math.degrees(turned_rad):.0f} degrees away from that, "
            reason += f"granted {math.degrees(granted_rad):.0f}"
            return Verdict(Outcome.REFUSED, -turned_rad, -granted_rad, reason, figures)
        return Verdict(outcome, reserve_m, asked_m, reason, figures)

    def _apart(self, predicted: PredictedMotion, seen: Verification | None) -> tuple[float, float]:
        """Return how far the prediction is from what was seen, and how far it may be, in metres."""
        said = predicted.t_match_query.translation
        if seen is None or not seen.metric or seen.t_match_query is None or seen.covariance is None:
            bound_m = predicted.position_bound_m + self._thresholds.same_place_m
            return float(np.linalg.norm(said)), bound_m
        spread_m = _SIGMAS * math.sqrt(float(np.trace(seen.covariance[:3, :3])))
        apart_m = float(np.linalg.norm(said - seen.t_match_query.translation))
        return apart_m, predicted.position_bound_m + spread_m + self._thresholds.same_place_m / 2


def _turned_apart_rad(predicted: PredictedMotion, seen: Verification | None) -> float:
    """Return the angle between the turn that odometry says and the one that was seen, none where none was."""
    said, rotation = predicted.t_match_query.rotation, None if seen is None else seen.rotation
    return float(np.linalg.norm(rotation_log(said if rotation is None else said @ rotation.T)))


class AgreementStage:
    """A loop of loops must close: the recent closures, and the way between them, say where the robot is as well."""

    name = "agreement"

    def __init__(self, thresholds: Thresholds) -> None:
        """Take the window."""
        self._thresholds = thresholds

    def judge(self, candidate: Candidate, context: Context) -> Verdict:
        """Ask whether the recent closures put the robot near the match as well."""
        votes = [
            vote
            for closure in context.memory.recent_closures(candidate.query.id, self._thresholds.agreement_window)
            if (vote := self._vote(closure, candidate, context)) is not None
        ]
        if len(votes) < _LEAST_VOTES:
            return skipped(f"{len(votes)} recent closures to agree with, {_LEAST_VOTES} are asked for")
        share = sum(votes) / len(votes)
        outcome = Outcome.PASSED if share >= 0.5 else Outcome.REFUSED
        reason = (
            f"{sum(votes)} of {len(votes)} recent closures put the robot near keyframe {candidate.match.id}, asked half"
        )
        return Verdict(outcome, share, 0.5, reason)

    def _vote(self, closure: LoopClosure, candidate: Candidate, context: Context) -> bool | None:
        """Say whether one recent closure agrees; None if it can't tell."""
        if closure.match_session != candidate.match.session:
            return None
        if (by_odometry := self._vote_by_odometry(closure, candidate, context)) is not None:
            return by_odometry
        steps = abs(candidate.query.id - closure.query_id)
        reach = 2 * steps + self._thresholds.neighbour_keyframes
        return context.memory.are_near(candidate.match.id, closure.match_id, reach)

    def _vote_by_odometry(self, closure: LoopClosure, candidate: Candidate, context: Context) -> bool | None:
        """Go from match to earlier match, across the closure, and on to the query: the two ways must end together."""
        query_then = context.memory.keyframe(closure.query_id)
        if query_then is None:
            return None
        on = context.odometer.predict(candidate.query, query_then)
        back = context.odometer.predict(context.memory.place(closure.match_id), candidate.match)
        if on is None or back is None:
            return None
        seen = context.verification(candidate)
        seen_pose = seen.t_match_query if seen is not None and seen.metric else None
        across = closure.t_match_query if closure.metric else None
        predicted = back.t_match_query @ (across or Pose.identity()) @ on.t_match_query
        said = np.zeros(3) if seen_pose is None else seen_pose.translation
        apart_m = float(np.linalg.norm(predicted.translation - said))
        # Without metric poses the two cameras of a place stand within same_place_m of each other. A robot on one way
        # comes by at about the same distance each time: two such pairs differ by no more than that.
        slack_m = self._thresholds.same_place_m * (1.0 if seen_pose is None or across is None else 0.5)
        return apart_m <= on.position_bound_m + back.position_bound_m + slack_m


def _why_not_predicted(candidate: Candidate) -> str:
    if candidate.query.session != candidate.match.session:
        return "the match lies in an earlier session"
    return "no odometry"
