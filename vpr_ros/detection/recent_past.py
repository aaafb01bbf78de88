"""The recent past: places that a query may not close a loop with, because the robot has not left them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import NS_PER_S, Keyframe
from vpr_ros.detection.odometer import Odometer
from vpr_ros.detection.policy import Thresholds

# How many keyframes back a place is still watched for being left; it bounds the cost of a long session. A robot that
# stands longer than this leaves its first keyframes marked as they were last seen.
_WATCHED_KEYFRAMES = 64


class RecentPast:
    """Watches the places of the running session until they are left.

    A place is left out while it is younger than ``exclude_recent_s``, among the last ``exclude_recent_keyframes``, or
    not left. With odometry it is left once ``exclude_travel_m`` were travelled; without, once a keyframe since looked
    less like it than the query does: until then its likeness is the slope of the present and no return.

    Attributes:
        odometer: The way of the session so far.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        """Begin a session."""
        self._thresholds = thresholds
        self.odometer = Odometer(thresholds)
        self._ids = np.empty(0, np.int64)
        self._stamps_ns = np.empty(0, np.int64)
        self._least_since = np.empty(0, np.float32)
        self._watched = np.empty((0, 0), np.float32)

    def excluded(self, query: Keyframe) -> NDArray[np.int64]:
        """Return the ids of this session that ``query`` may not be matched with, ascending."""
        if not len(self._ids):
            return self._ids
        recent = np.zeros(len(self._ids), dtype=bool)
        recent[len(self._ids) - self._thresholds.exclude_recent_keyframes :] = True
        if len(self._ids) <= self._thresholds.exclude_recent_keyframes:
            recent[:] = True
        if query.timed:
            recent |= query.stamp_ns - self._stamps_ns < self._thresholds.exclude_recent_s * NS_PER_S
        if query.t_odom_camera is not None:
            since_m = self.odometer.travelled_to_m(query) - self.odometer.travelled_m
            recent |= since_m < self._thresholds.exclude_travel_m
        else:
            watched = slice(len(self._ids) - len(self._watched), None)
            recent[watched] |= ~self._is_left(watched, self._watched @ query.descriptor)
        return self._ids[recent]

    def has_left(self, query: Keyframe, place_id: int, similarity: float) -> bool:
        """Say whether a place that is not excluded was left before a query saw it with this similarity.

        Places of other sessions were; with odometry, ``excluded`` has asked already.
        """
        row = int(np.searchsorted(self._ids, place_id))
        if query.t_odom_camera is not None or row == len(self._ids) or self._ids[row] != place_id:
            return True
        return bool(self._is_left(slice(row, row + 1), np.array([similarity], np.float32))[0])

    def remember(self, keyframe: Keyframe) -> None:
        """Note a keyframe that was added to the map."""
        watched = slice(len(self._ids) - len(self._watched), None)
        if len(self._watched):
            self._least_since[watched] = np.minimum(self._least_since[watched], self._watched @ keyframe.descriptor)
        self.odometer.remember(keyframe)
        self._ids = np.append(self._ids, keyframe.id)
        self._stamps_ns = np.append(self._stamps_ns, keyframe.stamp_ns)
        self._least_since = np.append(self._least_since, np.float32(1.0))
        newest = keyframe.descriptor[None]
        self._watched = np.vstack([self._watched, newest])[-_WATCHED_KEYFRAMES:] if len(self._watched) else newest

    def _is_left(self, rows: slice, similarities: NDArray[np.float32]) -> NDArray[np.bool_]:
        least = self._least_since[rows]
        left: NDArray[np.bool_] = (least < self._thresholds.stay_similarity) & (
            least < similarities - self._thresholds.return_contrast
        )
        return left
