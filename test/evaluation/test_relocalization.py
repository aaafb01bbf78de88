"""Answers of a relocalizer against where the camera really stood."""

import numpy as np
import pytest

from vpr_ros.core import Frame, Keyframe, Pose, Recipe, Relocalization, Trajectory
from vpr_ros.detection import RelocalizationAnswer
from vpr_ros.evaluation import relocalization_result, relocalize, score_relocalization
from vpr_ros.evaluation.relocalization import LocatedFrame, RelocalizationFigures, RelocalizationRun
from vpr_ros.place_map import PlaceMap
from vpr_ros.scoring import PoseRules, TruthError

SECOND_NS = 1_000_000_000
RECIPE = Recipe("table", 8, 8, "bilinear", (0, 0, 0), (1, 1, 1), 4, "0" * 64, "none")
RULES = PoseRules(radius_m=1.0, angle_deg=30.0)
UNKNOWN = RelocalizationAnswer(known=False, reason="unknown place: made up")


def at(x, yaw_deg=0.0):
    half = np.radians(yaw_deg) / 2
    return Pose.from_xyz_quaternion([x, 0, 0, 0, 0, np.sin(half), np.cos(half)])


def trajectory(*poses, start_s=0):
    stamps_ns = (start_s + np.arange(len(poses), dtype=np.int64)) * SECOND_NS
    return Trajectory(stamps_ns, poses)


@pytest.fixture
def two_places():
    """Places 0 and 1 were seen at 0 s and 1 s."""
    place_map = PlaceMap.in_memory(RECIPE)
    place_map.start_session()
    for number in range(2):
        place_map.add(Keyframe(number, 0, number * SECOND_NS, np.eye(1, 4, dtype=np.float32)[0]))
    return place_map


def known(match_id, **more):
    hypothesis = Relocalization(match_id, match_id * SECOND_NS, 0.9, 0.99, **more)
    return RelocalizationAnswer(known=True, reason="made up", hypotheses=(hypothesis,))


def run_of(*answers, start_s=100, **more):
    located = [LocatedFrame(i, (start_s + i) * SECOND_NS, answer) for i, answer in enumerate(answers)]
    return RelocalizationRun(tuple(located), 1.0, **more)


PLACES = trajectory(at(0), at(10))


def figures_of(place_map, *seen):
    """Figures of answers, each with the pose where the camera stood."""
    answers, poses = zip(*seen, strict=True)
    return score_relocalization(run_of(*answers), place_map, trajectory(*poses, start_s=100), PLACES, RULES)


def test_each_answer_is_right_or_wrong_by_where_the_camera_stood(two_places):
    figures = figures_of(
        two_places,
        (known(0), at(0.5)),
        (known(1), at(9.2)),
        (known(1), at(0.5)),
        (UNKNOWN, at(50)),
        (UNKNOWN, at(60)),
        (UNKNOWN, at(70)),
        (UNKNOWN, at(10.5)),
    )

    assert figures == RelocalizationFigures(right=2, wrong=1, unknown_right=3, unknown_wrong=1)


def test_who_looks_the_other_way_is_at_another_place(two_places):
    assert figures_of(two_places, (known(0), at(0, yaw_deg=180))).wrong == 1
    assert figures_of(two_places, (UNKNOWN, at(0, yaw_deg=180))).unknown_right == 1
    assert figures_of(two_places, (known(0), at(0, yaw_deg=25))).right == 1


def test_between_the_radius_and_twice_the_radius_nothing_counts(two_places):
    grey = [(known(0), at(1.5)), (UNKNOWN, at(1.5)), (known(0), at(0, yaw_deg=45)), (UNKNOWN, at(10, yaw_deg=45))]

    assert figures_of(two_places, *grey) == RelocalizationFigures()
    assert figures_of(two_places, (known(0), at(2.1))).wrong == 1


def test_frames_and_places_without_a_pose_count_nowhere(two_places):
    far_in_time = run_of(known(0), UNKNOWN, start_s=500)
    only_first = trajectory(at(0))

    assert score_relocalization(far_in_time, two_places, PLACES, PLACES, RULES) == RelocalizationFigures()
    figures = score_relocalization(run_of(known(1)), two_places, trajectory(at(0), start_s=100), only_first, RULES)
    assert figures == RelocalizationFigures()


def test_images_without_stamps_can_not_be_judged_by_stamped_poses(two_places):
    with pytest.raises(TruthError, match="--rate-hz"):
        score_relocalization(run_of(known(0), timed=False), two_places, PLACES, PLACES, RULES)


class TwoFrames:
    """A source of two blank frames without stamps."""

    def frames(self):
        for index in (3, 4):
            yield Frame(index, index * SECOND_NS, np.zeros((8, 8, 3), np.uint8), timed=False)


class KnowsTheFourth:
    """Stands for a relocalizer, so that the answers are known."""

    def locate(self, frame):
        return known(0) if frame.index == 3 else UNKNOWN


def test_every_frame_of_a_source_is_located_by_itself_and_keeps_its_position():
    ticks = []

    run = relocalize(TwoFrames(), KnowsTheFourth(), lambda: ticks.append(1))

    assert [(located.query, located.answer.known) for located in run.answers] == [(3, True), (4, False)]
    assert not run.timed
    assert len(ticks) == 2


def test_the_result_has_numbers_where_there_is_a_pose_and_none_where_not():
    covariance = tuple(map(tuple, np.diag(np.arange(1.0, 7.0)).tolist()))
    run = run_of(known(1, t_map_camera=at(2, yaw_deg=90), covariance=covariance), known(0), UNKNOWN)

    result = relocalization_result(run, None)

    first, second, third = result.answers
    assert result.queries == 3
    assert first.t_map_camera == pytest.approx((2, 0, 0, 0, 0, np.sqrt(0.5), np.sqrt(0.5)))
    assert first.covariance == tuple(np.diag(np.arange(1.0, 7.0)).ravel())
    assert (second.known, second.match, second.t_map_camera, second.covariance) == (True, 0, None, None)
    assert (third.known, third.match, third.t_map_camera, third.probability) == (False, None, None, 0.0)
