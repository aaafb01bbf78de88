"""Which frames become keyframes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vpr_ros.core import NS_PER_S, Frame, Pose
from vpr_ros.core.settings import setting


@dataclass(frozen=True, slots=True)
class KeyframeRules:
    """When a frame is far enough from the last keyframe to be remembered.

    With odometry, travel and rotation decide; without it, time; without either, every frame is a keyframe.
    """

    keyframe_travel_m: float = setting(
        0.5, "With odometry: a keyframe each time the camera has moved this far.", low=0.0
    )
    keyframe_rotation_deg: float = setting(
        20.0, "With odometry: a keyframe each time the camera has turned this far.", low=0.0, high=180.0
    )
    keyframe_interval_s: float = setting(0.5, "Without odometry: a keyframe each time this long has passed.", low=0.0)


class KeyframeSelector:
    """Chooses keyframes from a stream of frames.

    Attributes:
        last: The frame last taken, None before the first.
    """

    def __init__(self, rules: KeyframeRules) -> None:
        """Start before the first frame, which is always a keyframe."""
        self._rules = rules
        self.last: Frame | None = None

    def is_keyframe(self, frame: Frame) -> bool:
        """Say whether ``frame`` is far enough from the one last taken."""
        last = self.last
        if last is None:
            return True
        if last.t_odom_camera is not None and frame.t_odom_camera is not None:
            return self._has_moved(last.t_odom_camera, frame.t_odom_camera)
        if not (last.timed and frame.timed):
            return True
        return frame.stamp_ns - last.stamp_ns >= self._rules.keyframe_interval_s * NS_PER_S

    def take(self, frame: Frame) -> None:
        """Measure the next frames against this one."""
        self.last = frame

    def _has_moved(self, last: Pose, now: Pose) -> bool:
        return (
            last.distance_m(now) >= self._rules.keyframe_travel_m
            or math.degrees(last.angle_rad(now)) >= self._rules.keyframe_rotation_deg
        )
