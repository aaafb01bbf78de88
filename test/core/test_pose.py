"""Poses chain, invert and interpolate as rigid motions do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpr_ros.core import Pose, PoseError
from vpr_ros.core.pose import rotation_exp, rotation_log

finite = st.floats(-100, 100)
axis_angles = st.tuples(*[st.floats(-1.7, 1.7)] * 3).map(np.array)
poses = st.builds(
    lambda r, t: Pose.from_rotation_translation(rotation_exp(r), t), axis_angles, st.tuples(finite, finite, finite)
)


def quarter_turn_left_at(x, y):
    """A robot at (x, y) that looks along +y."""
    return Pose.from_xyz_quaternion([x, y, 0, 0, 0, math.sin(math.pi / 4), math.cos(math.pi / 4)])


def test_a_chain_of_poses_moves_points_from_source_to_target():
    t_map_robot = quarter_turn_left_at(2, 3)
    one_metre_ahead = np.array([1.0, 0, 0])

    assert t_map_robot @ one_metre_ahead == pytest.approx([2, 4, 0])
    assert (t_map_robot @ t_map_robot).translation == pytest.approx([2 - 3, 3 + 2, 0])


@given(poses)
def test_a_pose_chained_with_its_inverse_moves_nothing(pose):
    assert (pose @ pose.inverse()).matrix == pytest.approx(np.eye(4), abs=1e-9)


@given(poses)
def test_a_pose_survives_the_way_through_a_quaternion(pose):
    assert Pose.from_xyz_quaternion(pose.xyz_quaternion).matrix == pytest.approx(pose.matrix, abs=1e-9)


@given(axis_angles)
def test_log_undoes_exp_within_half_a_turn(axis_angle):
    assert rotation_log(rotation_exp(axis_angle)) == pytest.approx(axis_angle, abs=1e-7)


@pytest.mark.parametrize("axis", np.eye(3))
def test_half_a_turn_has_angle_pi_about_any_axis(axis):
    assert np.linalg.norm(rotation_log(rotation_exp(math.pi * axis))) == pytest.approx(math.pi)


def test_halfway_between_two_poses_is_half_the_way_and_half_the_turn():
    halfway = Pose.identity().interpolate(quarter_turn_left_at(2, 0), 0.5)

    assert halfway.translation == pytest.approx([1, 0, 0])
    assert math.degrees(Pose.identity().angle_rad(halfway)) == pytest.approx(45)


@given(poses, poses)
def test_distance_and_angle_do_not_depend_on_direction(a, b):
    assert a.distance_m(b) == pytest.approx(b.distance_m(a))
    assert a.angle_rad(b) == pytest.approx(b.angle_rad(a), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0, 0, float("nan"), 0, 0, 0, 1], "seven finite numbers"),
        ([0, 0, 0, 0, 0, 0, 0], "norm 0"),
        ([0, 0, 0, 1], "seven finite numbers"),
    ],
)
def test_a_pose_that_is_none_is_refused_with_what_was_given(values, said):
    with pytest.raises(PoseError, match=said):
        Pose.from_xyz_quaternion(values)


def test_a_mirror_is_no_rotation():
    with pytest.raises(PoseError, match="right-handed"):
        Pose(np.diag([1.0, 1, -1, 1]))


def test_a_pose_can_not_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        Pose.identity().matrix[0, 0] = 2
