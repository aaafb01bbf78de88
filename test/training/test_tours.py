"""Tours through panoramas: the same again each time, two laps, and truth by panorama and heading."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from vpr_ros.detection import Settings
from vpr_ros.detection.calibration import Label, LabelledCandidate, all_seen
from vpr_ros.encoders import open_encoder
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.fit_policy import KeptQueries, Recording, recordings
from vpr_ros.training.tours import Stand, tour, tour_queries, tours_of


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panoramas")
    files = []
    for number in range(6):
        random = np.random.default_rng(number)
        image = np.full((384, 768, 3), random.integers(40, 200, 3), np.uint8)
        for _ in range(700):
            x, y = random.integers(0, 768), random.integers(0, 384)
            w, h = random.integers(5, 50, 2)
            cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), random.integers(0, 255, 3).tolist(), -1)
        files.append(folder / f"{number}.png")
        cv2.imwrite(str(files[-1]), image)
    return files


def test_each_panorama_is_in_one_tour():
    files = list(range(100))
    tours = tours_of(files)
    flat = [file for stops in tours for file in stops]
    assert sorted(flat) == sorted(set(flat))
    assert len(flat) > 80
    assert tours == tours_of(files) != tours_of(files, seed=1)


def test_a_tour_comes_back_to_places_and_meets_new_ones(panoramas):
    frames = list(tour(panoramas, seed=3))
    stops = [stand.panorama for _, stand in frames]
    first = stops[: next(i for i in range(1, len(stops)) if stops[i] not in (stops[i - 1], stops[i - 1] + 1))]

    assert [frame.index for frame, _ in frames] == list(range(len(frames)))
    assert not any(frame.timed for frame, _ in frames)
    assert set(first) < set(stops), "some places are only on the second lap"
    again = list(tour(panoramas, seed=3))
    assert all(np.array_equal(a.image, b.image) for (a, _), (b, _) in zip(frames, again, strict=True))


@pytest.mark.parametrize(
    ("panorama", "yaw_deg", "label"),
    [
        (0, 25, Label.RIGHT),
        (0, -25, Label.RIGHT),
        (0, 350, Label.RIGHT),
        (0, 45, Label.IGNORED),
        (0, 90, Label.WRONG),
        (1, 0, Label.WRONG),
    ],
)
def test_stands_are_one_place_by_panorama_and_heading(panorama, yaw_deg, label):
    here, there = Stand(0, 0.0), Stand(panorama, float(np.radians(yaw_deg)))
    assert here.label(there) is there.label(here) is label


def test_queries_of_a_tour_know_their_right_and_wrong_candidates(panoramas):
    queries = tour_queries(panoramas[:4], 1, open_encoder("gem-lite"), all_seen(Settings()))
    best = [max(query, key=lambda candidate: candidate.figures["inliers"]) for query in queries]

    assert {candidate.label for query in queries for candidate in query} == set(Label)
    assert sum(candidate.label is Label.RIGHT for candidate in best) >= 5, "the second lap is seen again"
    assert any("support" in candidate.figures for candidate in best), "it is a sequence"


def test_labelled_queries_are_made_once_and_read_back_as_they_were(tmp_path):
    made = []

    def queries():
        made.append(1)
        return [[LabelledCandidate({"similarity": 0.25, "inliers": 3.0}, Label.RIGHT)], []]

    recording, file = Recording("a drive", "fitted", queries), tmp_path / "kept.jsonl"
    recipe = open_encoder("gem-lite").recipe
    first = KeptQueries(file, recipe).of(recording)
    with file.open("a") as cut_off:
        cut_off.write('{"recording": "another", "que')
    again = KeptQueries(file, recipe)

    assert again.of(recording) == first
    assert len(made) == 1
    again.of(Recording("another", "fitted", queries))
    assert len(KeptQueries(file, recipe).of(Recording("another", "fitted", list))) == 2
    for other in (replace(recipe, name="shorter"), replace(recipe, weights_sha256="b" * 64)):
        with pytest.raises(
            TrainingError, match=f"holds queries of encoder gem-lite .*, expected {other.name} {other.weights_sha256}"
        ):
            KeptQueries(file, other)


def test_recordings_have_names_of_their_own_and_what_is_held_out_is_in_no_fit(tmp_path):
    (tmp_path / "manifest.csv").write_text("path,place_id,split,open\na.png,a,train,yes\n")
    found = list(recordings(open_encoder("gem-lite"), tmp_path))
    assert len({recording.name for recording in found}) == len(found)
    held_out = {recording.name for recording in found if recording.use == "held out"}
    assert {"photographs val", "sim:cloister"} <= held_out
    assert all("val" not in recording.name for recording in found if recording.use != "held out")
