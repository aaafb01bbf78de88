"""Where the camera is on the robot: odometry is the robot's, poses of frames are the camera's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from vpr_ros.core import Pose, PoseError
from vpr_ros.sources.messages import HeaderMessage, Notice, QuaternionMessage, XyzMessage, pose_of_parts

# Frames between the robot's base and its camera; a longer chain is a loop in the tree.
_MAX_LINKS = 50


class _Transform(Protocol):
    translation: XyzMessage
    rotation: QuaternionMessage


class _TransformStamped(Protocol):
    header: HeaderMessage
    child_frame_id: str
    transform: _Transform


class TransformsMessage(Protocol):
    """``tf2_msgs/TFMessage``."""

    transforms: Sequence[_TransformStamped]


class StaticTransforms:
    """A tree of frames that do not move against each other, as /tf_static tells it."""

    def __init__(self) -> None:
        """Begin without a transform."""
        self._t_parent_child: dict[str, tuple[str, Pose]] = {}

    def note(self, parent: str, child: str, t_parent_child: Pose) -> None:
        """Remember a transform; a later one of the same child replaces it."""
        self._t_parent_child[_bare(child)] = (_bare(parent), t_parent_child)

    def note_message(self, message: TransformsMessage, drop: Notice) -> None:
        """Remember what a message says; ``drop`` is told of each transform that is none."""
        for stamped in message.transforms:
            try:
                t_parent_child = pose_of_parts(stamped.transform.translation, stamped.transform.rotation)
            except PoseError as error:
                drop("bad static transform", f"{stamped.child_frame_id}: {error}")
                continue
            self.note(stamped.header.frame_id, stamped.child_frame_id, t_parent_child)

    def t_child_camera(self, child_frame: str, camera_frame: str) -> Pose | None:
        """Return the camera's pose in the frame whose poses odometry gives; None if no chain joins the two."""
        base, camera = _bare(child_frame), _bare(camera_frame)
        if base == camera:
            return Pose.identity()
        above_base, above_camera = self._ancestors(base), self._ancestors(camera)
        shared = next((frame for frame in above_camera if frame in above_base), None)
        return None if shared is None else above_base[shared].inverse() @ above_camera[shared]

    def _ancestors(self, frame: str) -> dict[str, Pose]:
        """Return ``t_ancestor_frame`` of the frame itself and all above it, nearest first."""
        poses = {frame: Pose.identity()}
        t_ancestor_frame = Pose.identity()
        ancestor = frame
        for _ in range(_MAX_LINKS):
            if ancestor not in self._t_parent_child:
                break
            ancestor, t_parent_child = self._t_parent_child[ancestor]
            t_ancestor_frame = t_parent_child @ t_ancestor_frame
            poses[ancestor] = t_ancestor_frame
        return poses


class RecordedMounting:
    """Turns poses of the robot into poses of its camera, by the static transforms of a recording."""

    def __init__(self, transforms: StaticTransforms, say: Callable[[str], None]) -> None:
        """Take the transforms; ``say`` is called once where they do not tell where the camera is."""
        self._transforms = transforms
        self._say = say
        self._has_said = False

    def camera_pose(self, t_odom_child: Pose, child_frame: str, camera_frame: str) -> Pose:
        """Return the camera's pose in the odometry frame; the robot's own, said once, where the mounting is unknown."""
        t_child_camera = self._transforms.t_child_camera(child_frame, camera_frame)
        if t_child_camera is not None:
            return t_odom_child @ t_child_camera
        if not self._has_said:
            self._has_said = True
            self._say(
                f"the pose of camera '{camera_frame}' on '{child_frame}' is not known, so odometry is taken as the "
                "camera's own; record /tf_static too"
            )
        return t_odom_child


def _bare(frame: str) -> str:
    return frame.lstrip("/")
