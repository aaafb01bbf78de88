"""Where is the camera? One image against the whole map, without any hint of a pose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Frame, Keyframe, LoopClosure, Pose, Relocalization
from vpr_ros.detection.evidence import Evidence
from vpr_ros.detection.judgement import Judgement, closure_of, judge
from vpr_ros.detection.memory import Memory
from vpr_ros.detection.odometer import Odometer
from vpr_ros.detection.path import build_stages
from vpr_ros.detection.policy import policy_for
from vpr_ros.detection.settings import Settings
from vpr_ros.detection.stages import Context, Outcome
from vpr_ros.encoders import Encoder
from vpr_ros.place_map import PlaceMap

_NOTHING_EXCLUDED = np.empty(0, np.int64)
# A single image has no neighbours in time, and no way that odometry could tell.
_WITHOUT = ("sequence", "odometry", "agreement")


@dataclass(frozen=True, slots=True)
class RelocalizationAnswer:
    """The places an image may show.

    Attributes:
        known: Whether the best one is sure enough; otherwise the place is unknown and there are no hypotheses.
        reason: One sentence for people.
        hypotheses: The most probable first; empty where the place is unknown.
        damage: A sentence for each place that could not be compared because what the map holds of it is damaged.
    """

    known: bool
    reason: str
    hypotheses: tuple[Relocalization, ...] = ()
    damage: tuple[str, ...] = ()


class Relocalizer:
    """Answers with places of the map, or with "unknown place".

    A query goes the same way as a loop closure's, without the stages that ask its neighbours in time. It never falls
    back on an earlier answer or a default pose.
    """

    def __init__(self, encoder: Encoder, place_map: PlaceMap, settings: Settings) -> None:
        """Answer from a map with an encoder of the same recipe.

        Raises:
            PolicyError: The policy can't be read.
        """
        self._encoder = encoder
        self._place_map = place_map
        self._settings = settings = settings.of_encoder(encoder.recipe)
        self._policy = policy_for(encoder.recipe, settings.choice.policy).of_single_images()
        # No other place may look as much like it.
        thresholds = replace(settings.thresholds, min_margin=settings.thresholds.single_image_margin)
        self._stages = build_stages(thresholds, self._policy, _WITHOUT)

    def locate(self, frame: Frame, max_hypotheses: int = 1) -> RelocalizationAnswer:
        """Say which places a frame shows, and where its camera is in the map.

        Raises:
            EncoderError: The image can't be encoded.
        """
        if not len(self._place_map):
            return RelocalizationAnswer(known=False, reason="unknown place: the map is empty")
        judged, damage = self._judged(frame)
        passed = [judgement for judgement in judged if judgement.outcome is Outcome.PASSED]
        if not passed:
            best = max(judged, key=lambda judgement: (len(judgement.verdicts), judgement.probability))
            stage, verdict = best.deciding
            seen = f"keyframe {best.candidate.match.id} is most alike, but {stage}: {verdict.reason}"
            return RelocalizationAnswer(known=False, reason=f"unknown place: {seen}", damage=damage)
        # The probability saturates: of equally sure places one with a pose is worth more, then the nearer one.
        passed.sort(key=lambda j: (j.probability, _has_pose(closure_of(j)), j.strength), reverse=True)
        best = passed[0]
        reason = f"keyframe {best.candidate.match.id} is seen again: {best.deciding[1].reason}"
        same_place_m = self._settings.thresholds.same_place_m
        hypotheses = tuple(
            relocalization_of(closure_of(judgement), self._place_map, same_place_m)
            for judgement in passed[: max(1, max_hypotheses)]
        )
        return RelocalizationAnswer(known=True, reason=reason, hypotheses=hypotheses, damage=damage)

    def _judged(self, frame: Frame) -> tuple[list[Judgement], tuple[str, ...]]:
        """Return the judged candidates, the most alike first, and a sentence for each place that is damaged."""
        thresholds = self._settings.thresholds
        evidence = Evidence(self._encoder.recipe, self._place_map, self._settings.geometry, patches=True, features=True)
        query = self._query(frame, evidence)
        memory = Memory(self._place_map, thresholds)
        sighting = memory.look(query, _NOTHING_EXCLUDED)
        memory.note(sighting)
        context = Context(memory, Odometer(thresholds), evidence)
        candidates = memory.candidates_of(sighting, thresholds.top_k)
        return [judge(each, self._stages, context, self._policy) for each in candidates], evidence.new_damage()

    def _query(self, frame: Frame, evidence: Evidence) -> Keyframe:
        encoding = self._encoder.encode(frame.image)
        patches, features = evidence.patches_of(encoding), evidence.features_of(frame)
        return Keyframe(
            id=self._place_map.next_id,
            session=self._place_map.session + 1,
            stamp_ns=frame.stamp_ns,
            descriptor=encoding.descriptor,
            patches=None if patches is None else patches.to_bytes(),
            features=None if features is None else features.to_bytes(),
            frame_id=frame.frame_id,
            camera=frame.camera,
        )


def _has_pose(closure: LoopClosure) -> bool:
    return closure.covariance is not None or closure.turn is not None


def relocalization_of(closure: LoopClosure, place_map: PlaceMap, same_place_m: float) -> Relocalization:
    """Return where a closure puts the camera in the map.

    Without a pose where the closure has none, where the match has no odometry, and where the match belongs to a session
    whose frame is not the map's (a later session has a frame of its own until it is aligned). Without scale, and where
    only the turn is known, the camera is put where the match's was, turned as it is, and half of ``same_place_m``
    uncertain along each axis.

    Args:
        closure: An accepted closure with a place of the map.
        place_map: The map.
        same_place_m: How far apart the two cameras of a closure may stand.
    """
    match, sessions = place_map.place(closure.match_id), place_map.sessions
    relative = _relative(closure, same_place_m)
    is_in_map_frame = sessions[match.session].map_frame == sessions[0].map_frame
    pose, covariance = None, None
    if match.t_odom_camera is not None and is_in_map_frame and relative is not None:
        pose = match.t_odom_camera @ relative[0]
        turn = np.kron(np.eye(2), match.t_odom_camera.rotation)  # from the match camera's axes to the map's
        covariance = turn @ relative[1] @ turn.T
    return Relocalization(
        match_id=match.id,
        match_stamp_ns=match.stamp_ns,
        similarity=closure.similarity,
        probability=closure.probability,
        t_map_camera=pose,
        covariance=None if covariance is None else tuple(map(tuple, covariance.tolist())),
    )


def _relative(closure: LoopClosure, same_place_m: float) -> tuple[Pose, NDArray[np.float64]] | None:
    """Return the query camera in the match camera in metres, and its covariance (6, 6); None where neither is known."""
    if closure.t_match_query is not None and closure.covariance is not None and closure.metric:
        return closure.t_match_query, closure.covariance
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = np.eye(3) * (same_place_m / 2) ** 2
    if closure.t_match_query is not None and closure.covariance is not None:
        rotation, covariance[3:, 3:] = closure.t_match_query.rotation, closure.covariance[3:, 3:]
    elif closure.turn is not None:
        rotation, covariance[3:, 3:] = closure.turn.rotation, closure.turn.covariance
    else:
        return None
    return Pose.from_rotation_translation(rotation, np.zeros(3)), covariance
