"""One image against the map: a place, or an honest "unknown"."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_loop_detector import twin_corridors
from worlds import World, detector_for, drive, run, street

from vpr_ros.core import Frame, Keyframe, LoopClosure, Pose, Turn
from vpr_ros.core.pose import rotation_exp, rotation_log
from vpr_ros.detection import Relocalizer, Settings, relocalization_of
from vpr_ros.detection.policy import Policy, policy_as_yaml
from vpr_ros.place_map import PlaceMap

BY_MARGIN = Policy("by margin", bias=-6.0, weights={"margin": 200.0})


@pytest.fixture
def relocalizer_on(tmp_path):
    """Make a relocalizer on a map of spots. A world's images are blank, so its policy goes by the margin alone."""
    file = tmp_path / "policy.yaml"

    def make(alike, spots, policy=BY_MARGIN, **settings):
        file.write_text(policy_as_yaml(policy, {}))
        world = World(alike, noise=0.0)
        place_map = PlaceMap.in_memory(world.recipe)
        run(detector_for(world, place_map), drive(spots))
        return Relocalizer(world, place_map, Settings.from_values({"policy": str(file), **settings}))

    return make


def frame_of(spot):
    return Frame(0, 0, np.full((8, 8, 3), (spot, 9, 9), np.uint8))


def test_a_known_place_is_named_the_most_probable_first(relocalizer_on):
    answer = relocalizer_on(street(30, reach=4.0), range(30)).locate(frame_of(12), max_hypotheses=3)

    assert answer.known
    assert answer.hypotheses[0].match_id == 12
    probabilities = [h.probability for h in answer.hypotheses]
    assert probabilities == sorted(probabilities, reverse=True)
    assert {h.match_id for h in answer.hypotheses} <= set(range(10, 15))


def test_a_place_never_seen_is_unknown_and_has_no_hypotheses(relocalizer_on):
    answer = relocalizer_on(street(60), range(30)).locate(frame_of(50))

    assert not answer.known
    assert not answer.hypotheses
    assert answer.reason.startswith("unknown place")


def test_twins_are_unknown(relocalizer_on):
    assert not relocalizer_on(twin_corridors(), range(30)).locate(frame_of(7)).known


def test_a_place_that_another_looks_as_much_like_is_unknown_however_sure_the_policy_is(relocalizer_on):
    sure = Policy("sure", bias=9.0, weights={})
    alike = twin_corridors()
    alike[:15, 15:] += 0.029
    alike[15:, :15] += 0.029

    answer = relocalizer_on(alike, range(30), sure).locate(frame_of(7))

    assert not answer.known
    assert "margin" in answer.reason
    assert relocalizer_on(street(30), range(30), sure).locate(frame_of(7)).known


def test_a_single_image_has_to_reach_the_precision_by_itself(relocalizer_on):
    """From 0.6 on closures were right in a drive, whose neighbours an image by itself does not have."""
    measured = Policy("measured", bias=0.85, weights={}, accepted=((0.6, 0.999),))
    assert measured.probability({}) == pytest.approx(0.7, abs=0.01)

    assert not relocalizer_on(street(30), range(30), measured).locate(frame_of(7)).known
    assert relocalizer_on(street(30), range(30), measured, target_precision=0.69).locate(frame_of(7)).known


def test_a_precision_that_no_image_can_reach_is_told(relocalizer_on):
    few_pairs = Policy("few pairs", bias=9.0, weights={}, curve=((-5.0, 0.2), (5.0, 0.9989)))

    answer = relocalizer_on(street(30), range(30), few_pairs).locate(frame_of(7))

    assert not answer.known
    assert "gives 0.9989 at most: lower target_precision" in answer.reason
    assert relocalizer_on(street(30), range(30), few_pairs, target_precision=0.99).locate(frame_of(7)).known


def test_what_was_learned_of_single_images_judges_them(relocalizer_on):
    sure, doubtful = (Policy("lone", bias=bias, weights={}) for bias in (9.0, 0.85))
    of_drives = Policy("drives", bias=0.85, weights={}, lone=sure)

    assert relocalizer_on(street(30), range(30), of_drives).locate(frame_of(7)).known
    assert not relocalizer_on(street(30), range(30), replace(sure, lone=doubtful)).locate(frame_of(7)).known


def test_an_empty_map_knows_no_place(relocalizer_on):
    assert "empty" in relocalizer_on(street(3), []).locate(frame_of(0)).reason


def test_unknown_never_has_hypotheses_and_known_always_has_some(relocalizer_on):
    """Half of the spots were driven past; the rest, and views between two spots, were not."""
    relocalizer = relocalizer_on(street(40, reach=3.0), range(20))
    answers = [relocalizer.locate(frame_of(spot), max_hypotheses=4) for spot in range(40)]

    for spot, answer in enumerate(answers):
        assert answer.known == bool(answer.hypotheses)
        assert answer.known or "unknown place" in answer.reason
        assert all(abs(hypothesis.match_id - spot) <= 5 for hypothesis in answer.hypotheses)
    assert {answer.known for answer in answers} == {True, False}


def test_looking_leaves_the_map_as_it_is_and_answers_the_same_again(relocalizer_on):
    relocalizer = relocalizer_on(street(30), range(30))

    first, second = relocalizer.locate(frame_of(12)), relocalizer.locate(frame_of(12))
    relocalizer.locate(frame_of(3))

    assert first == second
    assert relocalizer.locate(frame_of(29)).hypotheses[0].match_id == 29


def test_damaged_places_are_told_and_answered_as_unknown():
    world = World(street(4), noise=0.0)
    place_map = PlaceMap.in_memory(world.recipe)
    place_map.start_session()
    for spot in range(4):
        look = world.encode(frame_of(spot).image).descriptor
        place_map.add(Keyframe(spot, 0, spot, look, features=b"damaged"))

    answer = Relocalizer(world, place_map, Settings.from_values({})).locate(frame_of(2))

    assert not answer.known
    assert any("keyframe 2" in sentence and "features" in sentence for sentence in answer.damage)


LOOK = World(street(3), noise=0.0).encode(np.zeros((1, 1, 3), np.uint8)).descriptor
# The match looks along the map's +y; its own x axis points there.
QUARTER = Pose.from_xyz_quaternion([4.0, 1.0, 0.5, 0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
SPREAD = np.diag([0.01, 0.04, 0.09, 0.0001, 0.0004, 0.0009])


def map_of(*t_odom_cameras):
    """A map with one place a session."""
    place_map = PlaceMap.in_memory(World(street(3)).recipe)
    for number, pose in enumerate(t_odom_cameras):
        place_map.start_session()
        place_map.add(Keyframe(number, number, 10 * number, LOOK, t_odom_camera=pose))
    return place_map


def closure_with(match_id, t_match_query, covariance=SPREAD, *, metric=True):
    return LoopClosure(
        9, 99, "camera", match_id, 10 * match_id, match_id, 0.9, 0.995, 40, metric, t_match_query, covariance
    )


def test_a_metric_pose_in_the_map_is_the_matchs_pose_and_then_the_querys_in_the_match():
    t_match_query = Pose.from_xyz_quaternion([2.0, 0.0, 0.0, 0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])

    found = relocalization_of(closure_with(0, t_match_query), map_of(QUARTER), 3.0)

    # 2 m along the match's x is 2 m along the map's y; two quarter turns are half a turn.
    np.testing.assert_allclose(found.t_map_camera.xyz_quaternion, [4, 3, 0.5, 0, 0, -1, 0], atol=1e-12)
    assert (found.match_id, found.match_stamp_ns) == (0, 0)
    assert (found.similarity, found.probability) == (0.9, 0.995)


def test_the_covariance_is_turned_to_the_maps_axes():
    found = relocalization_of(closure_with(0, Pose.identity()), map_of(QUARTER), 3.0)

    np.testing.assert_allclose(
        np.array(found.covariance), np.diag([0.04, 0.01, 0.09, 0.0004, 0.0001, 0.0009]), atol=1e-12
    )


vectors = st.tuples(*[st.floats(-2, 2)] * 3).map(np.array)


@given(vectors, vectors, vectors, vectors, vectors, vectors)
def test_a_pose_that_is_off_along_the_match_is_off_by_the_turned_error_in_the_map(at, turn, to, twist, slip, tilt):
    """A covariance of rank one along an error of ``t_match_query`` is one along the error of the pose in the map."""
    error = np.concatenate([slip, tilt]) * 1e-3
    match = Pose.from_rotation_translation(rotation_exp(turn), at)
    said = Pose.from_rotation_translation(rotation_exp(twist), to)
    true = Pose.from_rotation_translation(rotation_exp(error[3:]) @ said.rotation, said.translation + error[:3])
    place_map = map_of(match)

    found = relocalization_of(closure_with(0, said, np.outer(error, error)), place_map, 3.0)
    truth = relocalization_of(closure_with(0, true), place_map, 3.0).t_map_camera

    off_m = truth.translation - found.t_map_camera.translation
    off_rad = rotation_log(truth.rotation @ found.t_map_camera.rotation.T)
    off = np.concatenate([off_m, off_rad])
    np.testing.assert_allclose(np.array(found.covariance), np.outer(off, off), atol=1e-9)


def test_a_pose_without_scale_is_put_where_the_match_was_and_is_uncertain_by_what_a_place_measures():
    along = np.full((6, 6), 1e-5) + SPREAD
    t_match_query = Pose.from_xyz_quaternion([1.0, 0.0, 0.0, 0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])

    found = relocalization_of(closure_with(0, t_match_query, along, metric=False), map_of(QUARTER), 3.0)

    np.testing.assert_allclose(found.t_map_camera.xyz_quaternion, [4, 1, 0.5, 0, 0, -1, 0], atol=1e-12)
    covariance = np.array(found.covariance)
    np.testing.assert_allclose(covariance[:3, :3], np.eye(3) * 1.5**2)
    np.testing.assert_array_equal(covariance[:3, 3:], 0)
    assert np.linalg.eigvalsh(covariance).min() > 0


def test_on_the_very_same_spot_the_camera_is_put_there_turned_as_it_is():
    """Geometry tells the turn alone; the spot itself is known as well as a place is."""
    quarter = Pose.from_xyz_quaternion([0.0, 0.0, 0.0, 0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
    turn = Turn(quarter.rotation, np.diag([1e-4, 4e-4, 9e-4]))

    found = relocalization_of(replace(closure_with(0, None, None, metric=False), turn=turn), map_of(QUARTER), 3.0)

    np.testing.assert_allclose(found.t_map_camera.xyz_quaternion, [4, 1, 0.5, 0, 0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(np.diag(found.covariance), [2.25, 2.25, 2.25, 4e-4, 1e-4, 9e-4])


def test_a_match_of_a_later_session_names_the_place_and_gives_no_pose():
    """Its odometry counts from where that session began, which the map's frame does not know."""
    found = relocalization_of(closure_with(1, Pose.identity()), map_of(QUARTER, QUARTER), 3.0)

    assert found.match_id == 1
    assert found.t_map_camera is None
    assert found.covariance is None


@pytest.mark.parametrize(
    ("t_odom_camera", "t_match_query"), [(None, Pose.identity()), (QUARTER, None)], ids=["no odometry", "no geometry"]
)
def test_without_odometry_or_geometry_the_place_is_named_and_there_is_no_pose(t_odom_camera, t_match_query):
    covariance = None if t_match_query is None else SPREAD
    found = relocalization_of(closure_with(0, t_match_query, covariance), map_of(t_odom_camera), 3.0)

    assert found.match_id == 0
    assert found.t_map_camera is None
    assert found.covariance is None
