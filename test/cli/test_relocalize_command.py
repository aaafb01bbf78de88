"""``vpr_ros relocalize``: the simulated robot comes back to a garden of which it mapped a part."""

import json

import pytest

# design.md, section 6.
RESULT_KEYS = {"queries": int, "answers": list, "truth": (dict, type(None))}
ANSWER_KEYS = {
    "query": int,
    "known": bool,
    "match": (int, type(None)),
    "t_map_camera": (list, type(None)),
    "covariance": (list, type(None)),
    "probability": float,
}
TRUTH_KEYS = {"right": int, "wrong": int, "unknown_right": int, "unknown_wrong": int}
# An image a second, which is one a metre: lap two begins at 62 s, on the very same spots.
TARGET = ("--set", "target_precision=0.99")
GARDEN = "sim:garden?laps=2&rate_hz=1"


def assert_keys(found, expected):
    assert list(found) == list(expected)
    for key, kind in expected.items():
        assert isinstance(found[key], kind), key


@pytest.fixture
def garden_map(vpr_ros, tmp_path):
    """Map the first 12 m of the lap."""
    assert vpr_ros("loops", GARDEN, "--to-s", "12", "--map", "garden.vprmap").returncode == 0
    return tmp_path / "garden.vprmap"


def test_the_second_lap_is_found_in_the_map_of_the_first_and_what_was_not_mapped_is_unknown(vpr_ros, garden_map):
    before = (garden_map / "map.sqlite3").read_bytes()

    done = vpr_ros(
        "relocalize",
        GARDEN,
        "--from-s",
        "64",
        "--to-s",
        "83",
        "--map",
        garden_map,
        "--poses",
        "source",
        "--json",
        "-",
        *TARGET,
    )

    result = json.loads(done.stdout)
    assert_keys(result, RESULT_KEYS)
    assert_keys(result["truth"], TRUTH_KEYS)
    assert result["queries"] == len(result["answers"]) == 20
    for answer in result["answers"]:
        assert_keys(answer, ANSWER_KEYS)
        assert answer["known"] == (answer["match"] is not None) == (answer["probability"] > 0)
        assert (answer["t_map_camera"] is None) == (answer["covariance"] is None)
        if answer["t_map_camera"] is not None:
            assert answer["known"]
            assert (len(answer["t_map_camera"]), len(answer["covariance"])) == (7, 36)
    assert [answer["query"] for answer in result["answers"]] == list(range(64, 84))
    assert any(answer["t_map_camera"] for answer in result["answers"])
    assert done.returncode == 0
    assert result["truth"]["right"] >= 8
    assert result["truth"]["wrong"] == 0
    assert result["truth"]["unknown_right"] >= 5
    assert (garden_map / "map.sqlite3").read_bytes() == before, "the map is only read"


def test_photographs_without_poses_are_named_by_their_place_and_nothing_is_judged(vpr_ros, images, tmp_path):
    (tmp_path / "six").mkdir()
    for name in ("001", "003", "005", "007", "009", "011"):
        (tmp_path / "six" / f"{name}.jpg").symlink_to(images / "office" / f"{name}.jpg")
    vpr_ros("loops", "six", "--map", "office.vprmap")

    done = vpr_ros("relocalize", "six", "--map", "office.vprmap", "--json", "result.json", *TARGET)

    assert done.returncode == 0
    assert "6 of 6 frames are at a known place of 6" in done.stdout
    assert "By truth" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{office}"], ["--map"]),
        (["{office}", "--map", "absent.vprmap"], ["absent.vprmap"]),
        (["nowhere", "--map", "office.vprmap"], ["nowhere"]),
        (["{office}", "--map", "office.vprmap", "--set", "policy=absent.yaml"], ["absent.yaml", "calibrate"]),
        (["{office}", "--map", "office.vprmap", "--poses", "source"], ["carries no poses"]),
        (["{office}", "--map", "office.vprmap", "--poses", "kitti.txt"], ["kitti.txt", "TUM"]),
        (["{office}", "--map", "office.vprmap", "--poses", "tum.txt"], ["--rate-hz"]),
        (["{office}", "--map", "office.vprmap", "--poses", "tum.txt", "--radius-m", "-1"], ["-1"]),
    ],
)
def test_what_can_not_be_done_is_one_line_and_status_2(vpr_ros, images, tmp_path, empty_map, arguments, words):
    (tmp_path / "kitti.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    (tmp_path / "tum.txt").write_text("1.0 0 0 0 0 0 0 1\n")

    done = vpr_ros("relocalize", *(argument.format(office=images / "office") for argument in arguments))

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("vpr_ros")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture
def empty_map(tmp_path):
    """A map of mixvpr-lite's without a place."""
    from vpr_ros.encoders import open_encoder
    from vpr_ros.place_map import PlaceMap

    PlaceMap.open_or_create(tmp_path / "office.vprmap", open_encoder("mixvpr-lite", "auto").recipe).close()
