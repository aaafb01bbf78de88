"""``vpr_ros loops`` and ``vpr_ros evaluate`` on real images."""

import json
import re

import pytest

# design.md, section 6: what every reader of the result may rely on.
LOOPS_KEYS = {
    "schema": int,
    "source": str,
    "encoder": str,
    "engine": str,
    "frames": int,
    "keyframes": int,
    "keyframe_frames": list,
    "closures": list,
    "refused": dict,
    "decisions": (str, type(None)),
    "truth": (dict, type(None)),
    "timing_ms": dict,
    "peak_memory_mib": float,
    "seconds": float,
}
CLOSURE_KEYS = {
    "query": int,
    "match": (int, type(None)),
    "query_stamp_ns": int,
    "match_stamp_ns": int,
    "match_id": int,
    "match_session": int,
    "similarity": float,
    "probability": float,
    "inliers": int,
    "metric": bool,
    "t_match_query": (list, type(None)),
    "covariance": (list, type(None)),
}
TRUTH_KEYS = {
    "queries_with_revisit": int,
    "correct": int,
    "wrong": int,
    "missed": int,
    "recall": (float, type(None)),
    "precision": (float, type(None)),
}
# The small office loop is only just long enough for a loop; this lets the short sequence decide.
EASY = ("--set", "min_similarity=0.3", "--set", "exclude_recent_keyframes=8")


def assert_keys(found, expected):
    assert list(found) == list(expected)
    for key, kind in expected.items():
        assert isinstance(found[key], kind), key


@pytest.fixture
def office(images):
    return images / "office"


def test_the_json_has_exactly_the_promised_keys_and_is_alone_on_standard_output(vpr_ros, images, office):
    done = vpr_ros("loops", office, "--revisits", images / "revisits.csv", "--json", "-", *EASY)

    result = json.loads(done.stdout)
    assert done.returncode == (1 if result["truth"]["wrong"] else 0)
    assert_keys(result, LOOPS_KEYS)
    assert_keys(result["truth"], TRUTH_KEYS)
    assert result["closures"]
    for closure in result["closures"]:
        assert_keys(closure, CLOSURE_KEYS)
    for timing in result["timing_ms"].values():
        assert list(timing) == ["p50", "p95"]
    assert result["schema"] == 1
    assert result["frames"] == 28
    assert result["keyframe_frames"] == list(range(28))


def test_figures_agree_with_the_closures_and_the_truth_file(vpr_ros, images, office):
    done = vpr_ros("loops", office, "--revisits", images / "revisits.csv", "--json", "-", *EASY)

    result = json.loads(done.stdout)
    names = sorted(path.name for path in office.iterdir())
    truth = dict(line.split(",") for line in (images / "revisits.csv").read_text().split()[1:])
    right = {c["query"] for c in result["closures"] if names[c["match"]] in truth.get(names[c["query"]], "").split(";")}
    assert result["truth"]["queries_with_revisit"] == 14
    assert result["truth"]["correct"] == len(right)
    assert result["truth"]["wrong"] == len(result["closures"]) - len(right)
    assert result["truth"]["missed"] == 14 - len(right)


def test_people_get_a_table_a_verdict_and_the_refusals(vpr_ros, images, office):
    done = vpr_ros("loops", office, "--revisits", images / "revisits.csv", *EASY)

    assert "similarity" in done.stdout
    assert "frame 1" in done.stdout
    assert "28 images gave 28 keyframes" in done.stdout
    assert "Refused candidates by stage:" in done.stdout
    assert re.fullmatch(r"(\d+ of 28 images\n)*", done.stderr), "progress of a slow machine, nothing else"


def test_decisions_report_and_result_are_written_where_asked(vpr_ros, office, tmp_path):
    done = vpr_ros("loops", office, "--decisions", "d.jsonl", "--report", "r.html", "--json", "result.json", *EASY)

    assert done.returncode == 0
    result = json.loads((tmp_path / "result.json").read_text())
    decisions = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    assert result["decisions"] == "d.jsonl"
    assert result["truth"] is None
    assert sum(decision["accepted"] for decision in decisions) == len(result["closures"])
    assert sum(result["refused"].values()) == sum(not decision["accepted"] for decision in decisions)
    assert all(decision["reason"] for decision in decisions)
    page = (tmp_path / "r.html").read_text()
    assert page.count('id="run-1-pair-') == len(result["closures"])
    closed = {closure["query"] for closure in result["closures"]}
    never_closed = {decision["query_id"] for decision in decisions} - closed  # every image is a keyframe here
    refused = page.count('id="run-1-refused-')
    assert refused == min(6, len(never_closed)) > 0
    assert page.count("data:image/jpeg;base64,") == len(result["closures"]) + refused
    assert not list(tmp_path.glob(".*"))


def test_a_second_drive_on_the_same_map_closes_loops_with_the_first_session(vpr_ros, office, tmp_path):
    vpr_ros("loops", office, "--map", "office.vprmap", *EASY)

    done = vpr_ros("loops", office, "--map", "office.vprmap", "--json", "-", *EASY)

    closures = json.loads(done.stdout)["closures"]
    earlier = [closure for closure in closures if closure["match_session"] == 0]
    assert earlier
    assert all(closure["match"] is None for closure in earlier)
    assert all(closure["match"] is not None for closure in closures if closure["match_session"] == 1)


def test_a_stage_can_be_switched_off_and_says_so(vpr_ros, office, tmp_path):
    vpr_ros("loops", office, "--without", "sequence", "--decisions", "d.jsonl", *EASY)

    decisions = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    assert "sequence" not in {decision["stage"] for decision in decisions}


def test_evaluate_puts_all_sources_on_one_page(vpr_ros, images, office, tmp_path):
    done = vpr_ros("evaluate", office, office, "--revisits", images / "revisits.csv", "--report", "both.html", *EASY)

    assert done.returncode in (0, 1)
    assert "both.html" in done.stdout
    assert "Loop closures in 2 recordings" in (tmp_path / "both.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["nowhere"]),
        (["{office}", "--set", "min_similarty=0.5"], ["min_similarty", "min_similarity"]),
        (["{office}", "--set", "min_similarity=7"], ["min_similarity", "7", "-1 to 1"]),
        (["{office}", "--set", "min_similarity"], ["NAME=VALUE"]),
        (["{office}", "--encoder", "mixvpr"], ["mixvpr", "mixvpr-512"]),
        (["{office}", "--without", "wisdom"], ["wisdom", "margin"]),
        (["{office}", "--revisits", "nowhere.csv"], ["nowhere.csv"]),
        (["{office}", "--poses", "source"], ["poses", "--revisits"]),
        (["{office}", "--poses", "a.txt", "--revisits", "b.csv"], ["--poses", "--revisits"]),
        (["{office}", "--json", "no/such/folder/out.json"], ["no/such/folder"]),
        (["{office}", "--params", "absent.yaml"], ["absent.yaml"]),
        (["{office}", "--engine", "steam"], ["steam", "onnxruntime"]),
    ],
)
def test_what_can_not_be_done_is_one_line_and_status_2(vpr_ros, office, arguments, words):
    done = vpr_ros("loops", *(argument.format(office=office) for argument in arguments))

    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("vpr_ros")
    for word in words:
        assert word in done.stderr
