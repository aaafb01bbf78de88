"""Keyframes are chosen by travel and rotation with odometry, else by time, else all."""

import math

import numpy as np
import pytest

from vpr_ros.core import NS_PER_S, Frame, Pose
from vpr_ros.detection.keyframes import KeyframeRules, KeyframeSelector

IMAGE = np.zeros((2, 2, 3), np.uint8)


def chosen(frames, rules):
    selector = KeyframeSelector(rules)
    ids = []
    for frame in frames:
        if selector.is_keyframe(frame):
            selector.take(frame)
            ids.append(frame.index)
    return ids


def pose(x_m, yaw_deg):
    half = math.radians(yaw_deg) / 2
    return Pose.from_xyz_quaternion([x_m, 0, 0, 0, 0, math.sin(half), math.cos(half)])


def test_without_odometry_time_decides():
    frames = [Frame(i, i * NS_PER_S // 10, IMAGE) for i in range(11)]
    assert chosen(frames, KeyframeRules(keyframe_interval_s=0.5)) == [0, 5, 10]


def test_with_odometry_a_standing_robot_makes_no_keyframes():
    frames = [Frame(i, i * NS_PER_S, IMAGE, t_odom_camera=pose(0, 0)) for i in range(100)]
    assert chosen(frames, KeyframeRules()) == [0]


@pytest.mark.parametrize(("x_m", "yaw_deg"), [(0.1, 0), (0, 5)])
def test_with_odometry_travel_or_rotation_decides(x_m, yaw_deg):
    frames = [Frame(i, 0, IMAGE, t_odom_camera=pose(i * x_m, i * yaw_deg)) for i in range(21)]
    rules = KeyframeRules(keyframe_travel_m=0.499, keyframe_rotation_deg=24.9)
    assert chosen(frames, rules) == [0, 5, 10, 15, 20]


def test_frames_without_times_or_odometry_are_all_keyframes():
    frames = [Frame(i, i, IMAGE, timed=False) for i in range(4)]
    assert chosen(frames, KeyframeRules()) == [0, 1, 2, 3]
