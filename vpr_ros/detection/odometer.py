"""How far the robot went between two keyframes of a session, and how far off odometry may be by then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Keyframe, Pose
from vpr_ros.detection.policy import Thresholds


@dataclass(frozen=True, slots=True, eq=False)
class PredictedMotion:
    """Where odometry says one keyframe's camera is in another's, and how far that may be off.

    Attributes:
        t_match_query: Query camera in the match camera.
        position_bound_m: Most that its translation may be off, in metres.
        rotation_bound_rad: Most that its rotation may be off.
    """

    t_match_query: Pose
    position_bound_m: float
    rotation_bound_rad: float


class Odometer:
    """Adds up the way and the turns of the running session as odometry tells them."""

    def __init__(self, thresholds: Thresholds) -> None:
        """Begin a session."""
        self._thresholds = thresholds
        self._ids = np.empty(0, np.int64)
        self._travelled_m = np.empty(0)
        self._turned_rad = np.empty(0)
        self._last: Pose | None = None

    @property
    def travelled_m(self) -> NDArray[np.float64]:
        """Length of the way from the session's start to each of its keyframes, in metres, shape (n,)."""
        return self._travelled_m

    def remember(self, keyframe: Keyframe) -> None:
        """Note the next keyframe of the session."""
        self._travelled_m = np.append(self._travelled_m, self.travelled_to_m(keyframe))
        self._turned_rad = np.append(self._turned_rad, self._turned_to_rad(keyframe))
        self._ids = np.append(self._ids, keyframe.id)
        self._last = keyframe.t_odom_camera or self._last

    def travelled_to_m(self, keyframe: Keyframe) -> float:
        """Return the length of the way from the session's start to a keyframe that comes next, in metres."""
        if not len(self._ids):
            return 0.0
        travelled_m, before, now = float(self._travelled_m[-1]), self._last, keyframe.t_odom_camera
        if before is None or now is None:  # a gap in odometry is bridged by the next keyframe that has it again
            return travelled_m
        return travelled_m + before.distance_m(now)

    def _turned_to_rad(self, keyframe: Keyframe) -> float:
        """Return the sum of all turns from the session's start to a keyframe that comes next."""
        if not len(self._ids):
            return 0.0
        turned_rad, before, now = float(self._turned_rad[-1]), self._last, keyframe.t_odom_camera
        return turned_rad if before is None or now is None else turned_rad + before.angle_rad(now)

    def rules_out(self, query: Keyframe, match: Keyframe) -> bool:
        """Say whether two keyframes lie too far apart to show one place, with all the drift odometry may have."""
        rows = self._rows(query, match)
        if rows is None or query.t_odom_camera is None or match.t_odom_camera is None:
            return False
        apart_m = query.t_odom_camera.distance_m(match.t_odom_camera)
        return apart_m > self._bound(self._travelled_m, rows) + self._thresholds.same_place_m

    def predict(self, query: Keyframe, match: Keyframe) -> PredictedMotion | None:
        """Return where odometry puts the query in the match's camera; None if it can't tell.

        It can't across sessions, and not for a keyframe without odometry.
        """
        rows = self._rows(query, match)
        if rows is None or query.t_odom_camera is None or match.t_odom_camera is None:
            return None
        return PredictedMotion(
            t_match_query=match.t_odom_camera.inverse() @ query.t_odom_camera,
            position_bound_m=self._bound(self._travelled_m, rows),
            rotation_bound_rad=self._bound(self._turned_rad, rows),
        )

    def _rows(self, query: Keyframe, match: Keyframe) -> NDArray[np.int64] | None:
        """Return where match and query stand among the session's keyframes; None if one is of another session."""
        rows = np.searchsorted(self._ids, [match.id, query.id])
        is_here = query.session == match.session and rows.max(initial=0) < len(self._ids)
        return rows if is_here and self._ids[rows].tolist() == [match.id, query.id] else None

    def _bound(self, so_far: NDArray[np.float64], rows: NDArray[np.int64]) -> float:
        return self._thresholds.odometry_drift * abs(float(so_far[rows[1]] - so_far[rows[0]]))
