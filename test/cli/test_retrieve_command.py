"""``vpr_ros retrieve`` on real images, and the requirements of ``vpr_ros evaluate``."""

import json

import pytest

# design.md, section 6: what every reader of the result may rely on.
RESULT_KEYS = ["queries", "database", "recall_at", "recall_at_100_precision", "average_precision", "encoder", "seconds"]


@pytest.fixture
def office(images):
    return images / "office"


def test_two_folders_in_step_are_judged_by_tolerance_alone_on_standard_output(vpr_ros, office):
    done = vpr_ros("retrieve", office, office, "--tolerance", 0, "--json", "-")

    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert list(result) == RESULT_KEYS
    assert result["recall_at"] == {"1": 1.0, "5": 1.0, "10": 1.0}
    assert (result["queries"], result["database"], result["encoder"]) == (28, 28, "mixvpr-lite")


def test_a_sequence_is_judged_by_a_table_and_told_to_people(vpr_ros, images, office):
    done = vpr_ros("retrieve", office, "--sequence", "--revisits", images / "revisits.csv")

    assert done.returncode == 0
    assert "recall at 10" in done.stdout
    assert "14 queries with a right image among 28" in done.stdout
    assert "revisits.csv" in done.stdout


def test_altered_images_of_one_recording_need_no_truth(vpr_ros, office, tmp_path):
    done = vpr_ros("retrieve", office, "--altered", "--rate-hz", 1, "--to-s", 5, "--json", tmp_path / "altered.json")

    assert done.returncode == 0
    assert "by night, 15 % aside" in done.stdout
    assert "6 keyframes, each searched among all" in done.stdout
    assert json.loads((tmp_path / "altered.json").read_text())["images"] == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{office}"], ["QUERIES", "--sequence"]),
        (["{office}", "{office}", "--sequence"], ["leave out QUERIES"]),
        (["{office}", "{office}"], ["--tolerance", "@easting"]),
        (["{office}", "--sequence"], ["--revisits"]),
        (["{office}", "--sequence", "--tolerance", "2"], ["--tolerance", "--revisits"]),
        (["{office}", "{office}", "--tolerance", "-1"], ["-1"]),
        (["{office}", "{office}", "--tolerance", "1", "--poses", "x"], ["--tolerance", "--poses"]),
        (["{office}", "nowhere", "--tolerance", "1"], ["nowhere"]),
        (["{office}", "{office}", "--altered"], ["leave out QUERIES"]),
        (["{office}", "--altered", "--sequence"], ["--altered", "--sequence"]),
        (["{office}", "--altered", "--poses", "source"], ["--altered", "--poses"]),
        (["{office}", "--altered", "--tolerance", "-1"], ["-1"]),
    ],
)
def test_what_can_not_be_ranked_is_one_line_and_status_2(vpr_ros, office, arguments, words):
    done = vpr_ros("retrieve", *(argument.format(office=office) for argument in arguments))

    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr


def test_a_requirement_that_fails_is_named_and_ends_with_1(vpr_ros, images, office, tmp_path):
    judged = ("evaluate", office, "--revisits", images / "revisits.csv", "--without", "sequence", "--json", "-")

    impossible = vpr_ros(*judged, "--require", "recall>1", "--require", "keyframes==28")
    strict = vpr_ros(*judged, "--set", "min_similarity=1", "--require", "wrong==0", "--require", "recall<0.1")

    assert impossible.returncode == 1
    (unmet,) = json.loads(impossible.stdout)["unmet"]
    assert "recall" in unmet
    assert "> 1" in unmet
    assert strict.returncode == 0
    assert json.loads(strict.stdout)["unmet"] == []
    assert json.loads(strict.stdout)["runs"][0]["truth"]["correct"] == 0


@pytest.mark.parametrize("options", [("--require", "luck>=1"), ("--require", "recall>=0.5")])
def test_a_requirement_that_nothing_can_tell_is_refused_before_the_run(vpr_ros, office, tmp_path, options):
    done = vpr_ros("evaluate", office, *options)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("*.html"))
