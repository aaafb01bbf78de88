"""Where the camera is on the robot."""

import numpy as np
import pytest

from vpr_ros.core import Pose
from vpr_ros.core.pose import rotation_exp
from vpr_ros.nodes.mounting import Mounting, base_pose

LOOKS_AHEAD = Pose.from_xyz_quaternion([0.1, 0.0, 0.3, -0.5, 0.5, -0.5, 0.5])


@pytest.fixture
def said():
    return []


def moved(x, y, z, yaw=0.0):
    return Pose.from_rotation_translation(rotation_exp(np.array([0, 0, yaw])), [x, y, z])


def test_odometry_of_the_camera_itself_is_its_pose(said):
    mounting = Mounting(LOOKS_AHEAD, said.append)

    pose = mounting.camera_pose(moved(1, 2, 3), "camera_optical", "camera_optical")

    assert pose.translation == pytest.approx([1, 2, 3])


def test_the_parameter_says_where_the_camera_is(said):
    """The robot at (5, 0), turned left: the camera, 0.1 m ahead of its base, is at (5, 0.1) and looks along +y."""
    mounting = Mounting(LOOKS_AHEAD, said.append)

    pose = mounting.camera_pose(moved(5, 0, 0, np.pi / 2), "base_link", "camera_optical")

    assert pose.translation == pytest.approx([5.0, 0.1, 0.3])
    assert pose.rotation @ [0, 0, 1] == pytest.approx([0, 1, 0], abs=1e-12)


def test_static_transforms_are_chained_over_a_frame_above_both(said):
    """base_footprint and the camera are both below base_link, as on a TurtleBot."""
    mounting = Mounting(None, said.append)
    mounting.note_static_transform("base_link", "base_footprint", moved(0, 0, -0.01))
    mounting.note_static_transform("base_link", "camera_link", moved(0.2, 0, 0.5))
    mounting.note_static_transform("/camera_link", "/camera_optical", LOOKS_AHEAD)

    pose = mounting.t_child_camera("base_footprint", "camera_optical")

    assert pose.translation == pytest.approx([0.3, 0, 0.81])
    assert mounting.t_child_camera("other_robot", "camera_optical") is None


def test_transforms_that_run_in_a_circle_end(said):
    mounting = Mounting(None, said.append)
    mounting.note_static_transform("a", "b", moved(1, 0, 0))
    mounting.note_static_transform("b", "a", moved(1, 0, 0))

    assert mounting.t_child_camera("base_link", "a") is None


def test_an_unknown_mounting_is_said_once_and_the_robot_s_pose_is_taken(said):
    mounting = Mounting(None, said.append)

    poses = [mounting.camera_pose(moved(1, 2, 3), "base_link", "camera") for _ in range(3)]

    assert poses[-1].translation == pytest.approx([1, 2, 3])
    assert len(said) == 1
    assert "t_base_camera" in said[0]


def test_the_base_s_covariance_is_that_of_many_cameras_with_errors():
    """Oracle: sample cameras around the one said, take each to the base, and measure how the bases scatter."""
    generator = np.random.default_rng(0)
    t_map_camera = Pose.from_rotation_translation(rotation_exp(np.array([0.3, -0.8, 1.1])), [4, -2, 1])
    root = generator.normal(size=(6, 6)) * 1e-3
    covariance = root @ root.T

    t_map_base, base_covariance = base_pose(t_map_camera, covariance, LOOKS_AHEAD)

    errors = []
    for error in generator.multivariate_normal(np.zeros(6), covariance, 20_000):
        rotation = rotation_exp(error[3:]) @ t_map_camera.rotation
        base = Pose.from_rotation_translation(rotation, t_map_camera.translation + error[:3]) @ LOOKS_AHEAD.inverse()
        turn = base.rotation @ t_map_base.rotation.T
        log = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / 2
        errors.append([*(base.translation - t_map_base.translation), *log])
    assert base_covariance == pytest.approx(np.cov(np.array(errors).T), abs=0.05 * base_covariance.max())
