"""Labelled queries from photographs, by which the shipped policy is fitted."""

import csv
import re

import cv2
import numpy as np
import pytest

from vpr_ros.core import share_path
from vpr_ros.detection import Settings
from vpr_ros.detection.calibration import Label, LabelledCandidate, all_seen
from vpr_ros.detection.policy import read_policy
from vpr_ros.encoders import open_encoder
from vpr_ros.training import fit_policy
from vpr_ros.training.fit_policy import KeptQueries, recordings
from vpr_ros.training.labelled_photographs import Photographs


def write_manifest(folder, rows):
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["path", "place_id", "split", "open"])
        writer.writeheader()
        writer.writerows(dict(zip(writer.fieldnames, row, strict=True)) for row in rows)


def shipped_policy(encoder):
    return share_path(f"weights/{encoder}-policy.yaml")


def scene(seed, size=(480, 360), count=150):
    """A picture with corners to match: rectangles of all sizes."""
    random = np.random.default_rng(seed)
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    for _ in range(count):
        x, y = random.integers(0, size[0]), random.integers(0, size[1])
        w, h = random.integers(5, 70, 2)
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), random.integers(0, 255, 3).tolist(), -1)
    return image


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    rows = []
    for number, place in enumerate("abcd"):
        for view in range(2):
            moved = np.roll(scene(number), 12 * view, axis=1)
            cv2.imwrite(str(folder / f"{place}{view}.png"), moved)
            rows.append((f"{place}{view}.png", f"{place}_0", "train" if place < "d" else "val", "yes"))
    cv2.imwrite(str(folder / "all_around.png"), scene(9, (1536, 768), count=3000))
    cv2.imwrite(str(folder / "closed.png"), scene(0))
    rows += [("all_around.png", "around", "train", "yes"), ("closed.png", "elsewhere", "train", "no")]
    write_manifest(folder, rows)
    return Photographs(folder, open_encoder("gem-lite"), all_seen(Settings()))


def best(query):
    return max(query, key=lambda candidate: candidate.figures["inliers"])


def test_a_photograph_finds_the_other_one_of_its_place_and_is_wrong_without_it(photographs):
    queries = list(photographs.queries("val"))

    assert len(queries) == 4, "two photographs of one place, each with its place in the map and without"
    assert [best(query).label for query in queries] == [Label.RIGHT, Label.WRONG] * 2
    assert all("margin" in candidate.figures for query in queries for candidate in query)
    assert not any("sequence" in candidate.figures for query in queries for candidate in query)


def test_views_of_a_panorama_are_right_by_heading_and_images_that_are_not_open_are_never_seen(photographs):
    queries = list(photographs.queries("train"))
    labels = {candidate.label for query in queries for candidate in query}

    assert len(queries) == 2 * 6 + 2 * 2, "six photographs and two views of the panorama"
    assert labels >= {Label.RIGHT, Label.WRONG}
    copies = [c for query in queries for c in query if c.figures["similarity"] > 0.9999]
    assert not copies, "the closed image is the same as an open one, and would be found"


def test_places_that_fit_one_pattern_count_neither_way(tmp_path):
    rows = []
    for number, place in enumerate(("road_white", "road_dusk", "inn")):
        cv2.imwrite(str(tmp_path / f"{place}.png"), scene(number))
        rows.append((f"{place}.png", place, "train", "yes"))
    write_manifest(tmp_path, rows)

    found = Photographs(tmp_path, open_encoder("gem-lite"), all_seen(Settings()), one_site=("road_*",))
    labels = [sorted(candidate.label.name for candidate in query) for query in found.queries("train")]

    assert labels == [["IGNORED", "WRONG"]] * 4 + [["WRONG", "WRONG"]] * 2, "each asked with its own hidden, twice"


def made_up_query(rng, *, drive):
    """A query whose one candidate is right the more surely the more it looks so."""
    is_right = rng.random() < 0.6
    looks = 0.5 + (0.3 if is_right else -0.3) + 0.1 * rng.standard_normal(5)
    figures = dict(zip(("similarity", "rerank", "inlier_ratio", "coverage", "margin"), looks.tolist(), strict=True))
    figures["inliers"] = float(np.log1p(60 if is_right else 25))
    if drive:
        figures |= {"sequence": 0.5, "support": 0.6, "odometry": 1.0}
    return [LabelledCandidate(figures, Label.RIGHT if is_right else Label.WRONG)]


@pytest.fixture
def fitting(tmp_path, monkeypatch):
    """Run the program with labelled queries that a run before has kept of every recording."""
    write_manifest(tmp_path, [("a.png", "a", "train", "yes"), ("b.png", "b", "val", "yes")])
    encoder = open_encoder("gem-lite")
    kept = KeptQueries(tmp_path / "policy.jsonl", encoder.recipe)
    rng = np.random.default_rng(0)
    for recording in recordings(encoder, tmp_path):
        queries = [made_up_query(rng, drive=recording.name.startswith("sim:")) for _ in range(120)]
        kept.of(fit_policy.Recording(recording.name, recording.use, lambda queries=queries: queries))

    def run(name):
        arguments = ["--encoder", name, "--photographs", str(tmp_path), "--out", str(tmp_path / "policy.yaml")]
        monkeypatch.setattr("sys.argv", ["fit_policy", *arguments])
        fit_policy.main()
        return tmp_path / "policy.yaml"

    return run


def test_the_program_writes_the_policy_of_kept_queries_and_prints_the_table_of_its_card(fitting, capsys):
    policy = read_policy(fitting("gem-lite"))

    assert policy.encoder_sha256 == open_encoder("gem-lite").recipe.weights_sha256
    assert policy.thresholds == read_policy(shipped_policy("gem-lite")).thresholds
    assert policy.aided is not None
    assert policy.lone is not None
    table = capsys.readouterr().out
    assert "| photographs val | held out |" in table
    assert re.search(r"\| all held out \| held out \| \d+ of \d+, 0 \|", table)


def test_queries_that_another_encoder_has_labelled_are_refused(fitting, capsys):
    with pytest.raises(SystemExit) as ended:
        fitting("mixvpr-lite")

    assert ended.value.code == 2
    assert "holds queries of encoder gem-lite" in capsys.readouterr().err


def test_without_a_margin_over_its_rivals_a_single_image_teaches_nothing(fitting):
    """The larger of the two margins is asked: here ``min_lone_margin``, which all pass or none."""
    rng = np.random.default_rng(0)
    encoder = open_encoder("gem-lite")
    least = read_policy(shipped_policy("gem-lite")).thresholds["min_lone_margin"]

    def with_margin(margin):
        queries = [made_up_query(rng, drive=True) for _ in range(120)]
        rivalled = [[LabelledCandidate({**c.figures, "margin": margin}, c.label) for c in query] for query in queries]
        return fit_policy.fit([(fit_policy.Recording("made up", "fitted", list), rivalled)], encoder)[0]

    assert with_margin(least + 0.001).lone is not None
    assert with_margin(least - 0.001).lone is None
