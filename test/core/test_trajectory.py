"""Stamps stay exact, and trajectories are looked up between their poses."""

import numpy as np
import pytest

from vpr_ros.core import NS_PER_S, Pose, Trajectory, TrajectoryError, read_tum_trajectory, stamp_ns_from_text


def straight_drive():
    """One metre a second along x, a pose each second from 10 s on."""
    poses = tuple(Pose.from_xyz_quaternion([x, 0, 0, 0, 0, 0, 1]) for x in range(3))
    return Trajectory(np.array([10, 11, 12]) * NS_PER_S, poses)


def test_a_stamp_of_today_keeps_its_nanoseconds():
    assert stamp_ns_from_text("1305031229.528748123") == 1305031229528748123


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf"])
def test_a_text_that_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="not a stamp"):
        stamp_ns_from_text(text)


def test_between_two_stamps_the_pose_is_interpolated():
    assert straight_drive().at(int(11.25 * NS_PER_S), NS_PER_S).translation[0] == pytest.approx(1.25)


def test_a_stamp_far_from_every_pose_has_none():
    drive = straight_drive()

    assert drive.at(int(12.1 * NS_PER_S), tolerance_ns=NS_PER_S // 50) is None
    assert drive.at(int(11.5 * NS_PER_S), tolerance_ns=NS_PER_S // 50) is None
    assert drive.at(12 * NS_PER_S + 1, tolerance_ns=NS_PER_S // 50).translation[0] == 2


def test_stamps_that_run_backwards_are_refused():
    with pytest.raises(TrajectoryError, match="stamp 1"):
        Trajectory(np.array([2, 1]), (Pose.identity(), Pose.identity()))


def test_a_tum_file_is_read_with_comments_and_a_bad_line_is_named(tmp_path):
    good = tmp_path / "good.txt"
    good.write_text("# stamp tx ty tz qx qy qz qw\n1.5 1 2 3 0 0 0 1\n2.5 4 5 6 0 0 0 1\n")
    bad = tmp_path / "bad.txt"
    bad.write_text("1.5 1 2 3 0 0 0 1\n2.5 4 5 six 0 0 0 1\n")

    assert read_tum_trajectory(good).stamps_ns.tolist() == [1_500_000_000, 2_500_000_000]
    with pytest.raises(TrajectoryError, match="line 2"):
        read_tum_trajectory(bad)


def test_the_motion_capture_file_of_a_real_recording_is_read(shared_data):
    assert len(read_tum_trajectory(shared_data / "fr1_rpy" / "groundtruth.txt")) == 2742
