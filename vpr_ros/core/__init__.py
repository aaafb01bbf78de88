"""The values that flow through the house."""

from vpr_ros.core.camera import Camera, CameraError
from vpr_ros.core.decision import Candidate, Decision, LoopClosure, Relocalization, Turn
from vpr_ros.core.errors import VprError
from vpr_ros.core.frame import Frame, FrameError
from vpr_ros.core.installation import share_path
from vpr_ros.core.keyframe import Keyframe
from vpr_ros.core.pose import Pose, PoseError
from vpr_ros.core.recipe import Recipe
from vpr_ros.core.stamps import NS_PER_S, seconds, stamp_ns_from_text
from vpr_ros.core.trajectory import Trajectory, TrajectoryError, read_tum_trajectory

__all__ = [
    "NS_PER_S",
    "Camera",
    "CameraError",
    "Candidate",
    "Decision",
    "Frame",
    "FrameError",
    "Keyframe",
    "LoopClosure",
    "Pose",
    "PoseError",
    "Recipe",
    "Relocalization",
    "Trajectory",
    "TrajectoryError",
    "Turn",
    "VprError",
    "read_tum_trajectory",
    "seconds",
    "share_path",
    "stamp_ns_from_text",
]
