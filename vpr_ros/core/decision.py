"""What is judged and what was said: candidates, decisions, closures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.keyframe import Keyframe
from vpr_ros.core.pose import Pose


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A pair of keyframes under judgement.

    Attributes:
        query: The keyframe just seen.
        match: The remembered place it may show again.
        similarity: Cosine of the two global descriptors, in [-1, 1].
        rank: 0 for the most similar place of this query.
    """

    query: Keyframe
    match: Keyframe
    similarity: float
    rank: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one candidate.

    Attributes:
        query_id: Keyframe that asked.
        query_stamp_ns: Its stamp in ns.
        match_id: Place that was judged.
        match_stamp_ns: Its stamp in ns.
        match_session: Its session.
        accepted: Whether it became a loop closure.
        stage: The stage that decided; for an accepted candidate the last one.
        value: What that stage saw.
        threshold: What it asked for.
        similarity: Cosine of the two global descriptors.
        probability: That the two show the same place, in [0, 1].
        reason: One sentence for people.
        figures: What the stages saw, by name, as the probability is computed from it.
    """

    query_id: int
    query_stamp_ns: int
    match_id: int
    match_stamp_ns: int
    match_session: int
    accepted: bool
    stage: str
    value: float
    threshold: float
    similarity: float
    probability: float
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """The rotation between two views whose translation can't be told: two cameras at one spot.

    Attributes:
        rotation: Turns the query camera's axes into the match camera's, shape (3, 3).
        covariance: Of its error about the match camera's x y z, rad, shape (3, 3).
    """

    rotation: NDArray[np.float64]
    covariance: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LoopClosure:
    """An accepted candidate, as a SLAM back end takes it.

    Attributes:
        query_id: Keyframe that closed the loop.
        query_stamp_ns: Its stamp in ns.
        query_frame_id: Optical frame of its camera.
        match_id: Place it shows again.
        match_stamp_ns: Its stamp in ns.
        match_session: Its session.
        similarity: Cosine of the two global descriptors.
        probability: That the two show the same place, in [0, 1].
        inliers: Feature matches that agree with the relative pose; 0 where no geometry was computed.
        metric: Whether the translation is in metres; otherwise it has unit length.
        t_match_query: Query camera in the match camera, None where no geometry was computed.
        covariance: (6, 6): x y z in metres (of the baseline where not metric), rotation about x y z in rad, both along
            the match camera's axes. None exactly where ``t_match_query`` is.
        turn: How the query camera is turned where nothing tells how far it was moved, None elsewhere.
    """

    query_id: int
    query_stamp_ns: int
    query_frame_id: str
    match_id: int
    match_stamp_ns: int
    match_session: int
    similarity: float
    probability: float
    inliers: int = 0
    metric: bool = False
    t_match_query: Pose | None = None
    covariance: NDArray[np.float64] | None = None
    turn: Turn | None = None


@dataclass(frozen=True, slots=True)
class Relocalization:
    """One hypothesis of where the camera is in a map.

    Attributes:
        match_id: Place it shows.
        match_stamp_ns: Its stamp in ns.
        similarity: Cosine of the two global descriptors.
        probability: That it shows this place, in [0, 1].
        t_map_camera: Camera in the map frame, None where the place or the geometry gives no pose.
        covariance: (6, 6) of ``t_map_camera`` as nested tuples, None exactly where the pose is.
    """

    match_id: int
    match_stamp_ns: int
    similarity: float
    probability: float
    t_map_camera: Pose | None = None
    covariance: tuple[tuple[float, ...], ...] | None = None
