"""Plain retrieval on real images: rankings, and the figures of truths of every kind."""

import json
import shutil

import numpy as np
import pytest

from vpr_ros.core import Trajectory
from vpr_ros.detection import Settings
from vpr_ros.encoders import open_encoder
from vpr_ros.evaluation import frame_names, retrieval_result, retrieve, retrieve_sequence, to_json
from vpr_ros.evaluation.retrieval_truth import known_before, poses_of_sequence, poses_of_two, positions_in_names
from vpr_ros.scoring import PoseFile, PoseRules, ToleranceTruth, TruthError, read_revisits
from vpr_ros.sources import SourceOptions, open_source

RESULT_KEYS = ["queries", "database", "recall_at", "recall_at_100_precision", "average_precision", "encoder", "seconds"]


@pytest.fixture(scope="module")
def encoder():
    return open_encoder("gem-lite")


@pytest.fixture(scope="module")
def laps(images, tmp_path_factory):
    """The two laps of the small office as two folders in step."""
    folder = tmp_path_factory.mktemp("laps")
    names = sorted(path.name for path in (images / "office").iterdir())
    for lap, some in (("one", names[:14]), ("two", names[14:])):
        (folder / lap).mkdir()
        for name in some:
            shutil.copy(images / "office" / name, folder / lap / name)
    return folder / "one", folder / "two"


@pytest.fixture(scope="module")
def two_laps(laps, encoder):
    with open_source(str(laps[0])) as database, open_source(str(laps[1])) as queries:
        return retrieve(database, queries, encoder, lambda: None)


def test_an_image_finds_itself_first(laps, encoder):
    with open_source(str(laps[0])) as database, open_source(str(laps[0])) as queries:
        retrieval = retrieve(database, queries, encoder, lambda: None)

    assert retrieval.matches[:, 0].tolist() == list(range(14))
    assert np.allclose(retrieval.similarities[:, 0], 1, atol=1e-5)
    result = retrieval_result(retrieval, ToleranceTruth(0))
    assert result.recall_at == {"1": 1.0, "5": 1.0, "10": 1.0}
    assert (result.queries, result.database) == (14, 14)


def test_the_second_lap_finds_the_first_and_the_result_has_the_promised_keys(two_laps):
    result = json.loads(to_json(retrieval_result(two_laps, ToleranceTruth(2))))

    assert list(result) == RESULT_KEYS
    assert list(result["recall_at"]) == ["1", "5", "10"]
    assert result["recall_at"]["1"] > 0.8
    assert 0 < result["average_precision"] <= 1


def test_answers_are_ranked_and_the_rest_is_marked_empty(two_laps):
    assert sorted(two_laps.matches[3, :14].tolist()) == list(range(14))
    assert (two_laps.matches[:, 14:] == -1).all()
    assert (np.diff(two_laps.similarities[:, :14], axis=1) <= 0).all()


def test_a_sequence_is_searched_backwards_without_its_recent_past(images, encoder):
    with open_source(str(images / "office")) as source:
        retrieval = retrieve_sequence(source, encoder, Settings(), lambda: None)
        truth = read_revisits(images / "revisits.csv", frame_names(source))

    assert retrieval.queries.frames.tolist() == list(range(28))
    assert (retrieval.matches[:8] == -1).all(), "all of it is recent past"
    known = retrieval.matches >= 0
    assert (retrieval.matches + 8 < retrieval.queries.frames[:, None])[known].all()
    result = retrieval_result(retrieval, truth)
    assert (result.queries, result.database) == (14, 28)
    assert result.recall_at["1"] > 0.8


def test_a_sequence_is_thinned_to_keyframes(images, encoder):
    """Ten images a second and a keyframe each half second: every fifth image."""
    with open_source(str(images / "office"), SourceOptions(rate_hz=10)) as source:
        retrieval = retrieve_sequence(source, encoder, Settings(), lambda: None)

    assert retrieval.queries.frames.tolist() == [0, 5, 10, 15, 20, 25]


def test_poses_judge_a_sequence_and_two_recordings(square, two_laps):
    """Both laps at the corners of the square: images 4 apart are one place."""
    poses = PoseFile("corners.txt", lines=tuple(square.keyframe(n).t_world_camera for n in range(14)))
    rules = PoseRules(radius_m=0.5, angle_deg=45, gap_s=0)

    two = poses_of_two(poses, poses, rules)(two_laps)
    one = poses_of_sequence(poses, rules)(two_laps)

    assert two.label(5, 1) == one.label(5, 1) == 1
    assert two.label(5, 2) == one.label(5, 2) == -1
    assert "corners.txt" in two.about


def test_stamped_poses_say_nothing_about_images_without_stamps(square, two_laps):
    trajectory = Trajectory(np.array([0, 1]), (square.keyframe(0).t_world_camera,) * 2)

    with pytest.raises(TruthError, match="--rate-hz"):
        poses_of_sequence(PoseFile("stamped.txt", trajectory=trajectory), PoseRules())(two_laps)


def test_positions_in_file_names_are_truth(images, encoder, tmp_path):
    """Three images on a line, 20 m apart, asked by the middle one."""
    image = images / "office" / "001.jpg"
    for folder, easting_of in (("db", {"a": 0.0, "b": 20.0, "c": 60.0}), ("q", {"a": 20.0})):
        (tmp_path / folder).mkdir()
        for tag, easting in easting_of.items():
            shutil.copy(image, tmp_path / folder / f"@{easting}@100.0@{tag}@.jpg")
    with open_source(str(tmp_path / "db")) as database, open_source(str(tmp_path / "q")) as queries:
        near, nearest = positions_in_names(database, queries, None), positions_in_names(database, queries, 5.0)
        retrieval = retrieve(database, queries, encoder, lambda: None)

    assert [near.label(0, place) for place in range(3)] == [1, 1, -1]
    assert [nearest.label(0, place) for place in range(3)] == [-1, 1, -1]
    assert retrieval_result(retrieval, known_before(near)(retrieval)).queries == 1


def test_names_without_positions_ask_for_another_truth(laps):
    with open_source(str(laps[0])) as source, pytest.raises(TruthError, match="--tolerance"):
        positions_in_names(source, source, None)
