"""How far the robot went by odometry, and how far off that may be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpr_ros.core import Keyframe, Pose
from vpr_ros.core.pose import rotation_exp
from vpr_ros.detection.odometer import Odometer
from vpr_ros.detection.policy import Thresholds

NO_LOOKS = np.array([1.0], np.float32)


def at(x, y=0.0, yaw_rad=0.0):
    return Pose.from_rotation_translation(rotation_exp(np.array([0.0, 0.0, yaw_rad])), (x, y, 0.0))


def keyframe(number, pose, session=0):
    return Keyframe(number, session, number, NO_LOOKS, t_odom_camera=pose)


def odometer_after(poses, first_id=0, **thresholds):
    odometer = Odometer(Thresholds(**thresholds))
    keyframes = [keyframe(first_id + number, pose) for number, pose in enumerate(poses)]
    for each in keyframes:
        odometer.remember(each)
    return odometer, keyframes


def test_the_way_is_added_up_and_not_the_distance_from_the_start():
    odometer, _ = odometer_after([at(0), at(3), at(3, 4), at(0)])

    np.testing.assert_allclose(odometer.travelled_m, [0, 3, 7, 12])
    assert odometer.travelled_to_m(keyframe(4, at(0, 2))) == pytest.approx(14)
    assert len(odometer.travelled_m) == 4, "asking remembers nothing"


def test_a_prediction_is_the_query_in_the_match_camera_with_a_bound_that_grows_with_the_way():
    poses = [at(1, yaw_rad=np.pi / 2), at(5, yaw_rad=np.pi), at(1, 3, yaw_rad=np.pi)]
    odometer, (match, _, query) = odometer_after(poses, odometry_drift=0.1)

    predicted = odometer.predict(query, match)

    # The match looks along +y: what lies 3 m along y is 3 m along its own x.
    np.testing.assert_allclose(predicted.t_match_query.translation, [3, 0, 0], atol=1e-12)
    assert predicted.position_bound_m == pytest.approx(0.1 * (4 + 5))


def test_the_bound_of_the_turn_grows_with_all_that_was_turned():
    there_and_back = [at(0), at(1, yaw_rad=1.0), at(2, yaw_rad=0.2), at(3, yaw_rad=0.2)]
    odometer, (match, *_, query) = odometer_after(there_and_back, odometry_drift=0.1)

    assert odometer.predict(query, match).rotation_bound_rad == pytest.approx(0.1 * (1.0 + 0.8))


def test_a_session_on_an_old_map_counts_from_its_own_ids():
    odometer, keyframes = odometer_after([at(0), at(1), at(2)], first_id=700)
    assert odometer.predict(keyframes[2], keyframes[0]).position_bound_m == pytest.approx(0.2)


def test_nothing_is_predicted_where_odometry_can_not_tell():
    odometer, (first, blind, last) = odometer_after([at(0), None, at(1)])

    assert odometer.predict(blind, first) is None
    assert odometer.predict(last, blind) is None
    assert odometer.predict(last, keyframe(0, at(0), session=3)) is None, "another session"
    assert odometer.predict(keyframe(9, at(0)), first) is None, "a keyframe that was not remembered"
    assert Odometer(Thresholds()).predict(last, first) is None, "an empty session"


def test_a_gap_in_odometry_is_bridged_and_not_forgotten():
    """Else a long way during the gap would count as none, and its drift would be granted nothing."""
    odometer, (first, _, last) = odometer_after([at(0), None, at(40)])

    assert odometer.predict(last, first).position_bound_m == pytest.approx(4.0)


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(-3, 3)) | st.none(), min_size=2))
def test_the_way_between_two_keyframes_is_never_shorter_than_the_straight_line(places):
    poses = [None if place is None else at(*place) for place in places]
    odometer, keyframes = odometer_after(poses, odometry_drift=1.0)

    assert np.all(np.diff(odometer.travelled_m) >= 0)
    for match in keyframes:
        predicted = odometer.predict(keyframes[-1], match)
        if predicted is not None:
            straight_m = np.linalg.norm(predicted.t_match_query.translation)
            assert predicted.position_bound_m >= straight_m - 1e-6
