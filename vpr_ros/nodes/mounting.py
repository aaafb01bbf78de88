"""Where the camera is on the robot: odometry is the robot's, poses of keyframes are the camera's."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Pose
from vpr_ros.sources.bag_mounting import StaticTransforms


def static_transform_type() -> type[Any] | None:
    """Return the message type of /tf_static, None where tf2 messages are not installed."""
    try:
        return import_module("tf2_msgs.msg").TFMessage  # type: ignore[no-any-return]
    except ImportError:
        return None


class Mounting:
    """Turns poses of the robot into poses of its camera and back.

    Looked for in this order: odometry that is the camera's own already, the parameter ``t_base_camera``, the static
    transforms that were noted.
    """

    def __init__(self, t_base_camera: Pose | None, say: Callable[[str], None]) -> None:
        """Begin without static transforms.

        Args:
            t_base_camera: As the parameter gives it, None if it is empty.
            say: Called once with a warning where the mounting is not known.
        """
        self._t_base_camera = t_base_camera
        self._say = say
        self._has_said = False
        self._transforms = StaticTransforms()

    def note_static_transform(self, parent: str, child: str, t_parent_child: Pose) -> None:
        """Remember a static transform."""
        self._transforms.note(parent, child, t_parent_child)

    def t_child_camera(self, child_frame: str, camera_frame: str) -> Pose | None:
        """Return the camera's pose in the frame whose poses odometry gives, None if it is not known."""
        if _bare(child_frame) == _bare(camera_frame):
            return Pose.identity()
        if self._t_base_camera is not None:
            return self._t_base_camera
        return self._transforms.t_child_camera(child_frame, camera_frame)

    def camera_pose(self, t_odom_child: Pose, child_frame: str, camera_frame: str) -> Pose:
        """Return the camera's pose in the odometry frame; the robot's own, said once, where the mounting is unknown."""
        t_child_camera = self.t_child_camera(child_frame, camera_frame)
        if t_child_camera is not None:
            return t_odom_child @ t_child_camera
        if not self._has_said:
            self._has_said = True
            self._say(
                f"the pose of camera '{camera_frame}' on '{child_frame}' is not known, so odometry is taken as the "
                "camera's own; set t_base_camera (x y z qx qy qz qw), or publish /tf_static"
            )
        return t_odom_child


def base_pose(
    t_map_camera: Pose, covariance: NDArray[np.float64], t_base_camera: Pose
) -> tuple[Pose, NDArray[np.float64]]:
    """Return the base's pose in the map and its covariance from the camera's.

    Both covariances are about the map's axes, translation first (see :class:`vpr_ros.core.LoopClosure`). A rotation
    error of the camera swings the base about it: with the lever from camera to base, ``d_base = d_camera + phi x
    lever``.

    Args:
        t_map_camera: Camera in the map.
        covariance: Its covariance, shape (6, 6).
        t_base_camera: Camera on the robot.
    """
    t_map_base = t_map_camera @ t_base_camera.inverse()
    x, y, z = t_map_base.translation - t_map_camera.translation
    jacobian = np.eye(6)
    jacobian[:3, 3:] = -np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return t_map_base, jacobian @ covariance @ jacobian.T


def _bare(frame: str) -> str:
    return frame.lstrip("/")
