"""Where the camera is on the robot, from static transforms."""

from __future__ import annotations

from vpr_ros.core import Pose

# Frames between the robot's base and its camera; a longer chain is a loop in the tree.
_MAX_LINKS = 50


class StaticTransforms:
    """A tree of frames that do not move against each other, as /tf_static tells it."""

    def __init__(self) -> None:
        """Begin without a transform."""
        self._t_parent_child: dict[str, tuple[str, Pose]] = {}

    def note(self, parent: str, child: str, t_parent_child: Pose) -> None:
        """Remember a transform; a later one of the same child replaces it."""
        self._t_parent_child[_bare(child)] = (_bare(parent), t_parent_child)

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


def _bare(frame: str) -> str:
    return frame.lstrip("/")
