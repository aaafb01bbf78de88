"""From a camera's pose in the map to the robot's, as those who steer it take it."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from std_msgs.msg import Header

from vpr_ros.core import Relocalization
from vpr_ros.nodes.messages import header_of, pose_stamped
from vpr_ros.nodes.mounting import Mounting, base_pose
from vpr_ros.sources.messages import stamp_ns_of


class RobotFrames:
    """How a camera's pose in the map becomes the robot's, for those who steer it."""

    def __init__(self, mounting: Mounting, map_frame: str, base_frame: str) -> None:
        """Take frames and mounting."""
        self._mounting = mounting
        self._map_frame = map_frame
        self._base_frame = base_frame

    def pose_message(self, hypothesis: Relocalization, image: Header) -> PoseWithCovarianceStamped:
        """Return the base's pose in the map, the camera's where its mounting is unknown, NaN where there is none.

        Args:
            hypothesis: Where the camera is.
            image: Stamp and optical frame of the image that shows it.
        """
        header = header_of(stamp_ns_of(image.stamp), self._map_frame)
        if hypothesis.t_map_camera is None or hypothesis.covariance is None:
            return pose_stamped(None, None, header)
        pose, covariance = hypothesis.t_map_camera, np.array(hypothesis.covariance)
        t_base_camera = self._mounting.t_child_camera(self._base_frame, image.frame_id)
        if t_base_camera is not None:
            pose, covariance = base_pose(pose, covariance, t_base_camera)
        return pose_stamped(pose, covariance, header)
