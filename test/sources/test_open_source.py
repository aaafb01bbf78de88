"""One door for all recordings: what lies there decides, and what can't be meant is refused in words."""

import os
import sqlite3

import pytest

from vpr_ros.sources import ROBOT_SCHEME, SourceError, SourceOptions, list_sources, open_source, routes
from vpr_ros.sources.folder import FolderSource
from vpr_ros.sources.open_source import BAG, FOLDER, ROBOT, VIDEO


def refusal(uri, **options):
    with pytest.raises(SourceError) as raised:
        open_source(str(uri), SourceOptions(**options))
    return str(raised.value)


def test_a_folder_of_images_is_a_folder_and_keeps_the_name_it_was_given(images, monkeypatch):
    monkeypatch.setenv("HOME", str(images))

    with open_source("~/office") as source:
        assert isinstance(source, FolderSource)
        assert source.uri == "~/office"
        assert len(source) == 28


@pytest.mark.parametrize("name", ["bag.mcap", "bag.db3"])
def test_a_folder_that_holds_a_recording_of_ros_is_a_bag(folder_of, name):
    folder = folder_of("1.jpg")
    (folder / name).write_bytes(b"")

    assert "--rate-hz says nothing about a bag" in refusal(folder, rate_hz=10)


def test_a_folder_with_the_facts_of_a_bag_is_a_bag_and_other_metadata_is_not(folder_of):
    folder = folder_of("1.jpg")
    (folder / "metadata.yaml").write_text("author: somebody\n")
    with open_source(str(folder)) as source:
        assert isinstance(source, FolderSource)

    (folder / "metadata.yaml").write_text("rosbag2_bagfile_information:\n  version: 9\n")
    assert "--rate-hz says nothing about a bag" in refusal(folder, rate_hz=10)


@pytest.mark.parametrize("name", ["monday.mcap", "monday.db3", "monday.BAG"])
def test_files_of_ros_are_bags(tmp_path, name):
    (tmp_path / name).write_bytes(b"")

    assert "--depth-scale says nothing about a bag" in refusal(tmp_path / name, depth_scale=5000)


def test_a_database_of_rtabmap_is_not_in_this_version(tmp_path):
    with sqlite3.connect(tmp_path / "rtabmap.db") as database:
        database.execute("CREATE TABLE Node (id INTEGER)")
    database.close()

    assert "not in this version" in refusal(tmp_path / "rtabmap.db")


def test_a_file_of_no_known_kind_says_what_was_expected(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"one image is no recording")

    words = refusal(tmp_path / "1.jpg")

    assert "1.jpg is of no known kind" in words
    assert "expected a bag" in words


def test_a_pipe_is_no_recording(tmp_path):
    os.mkfifo(tmp_path / "drive.avi")

    assert "neither a file nor a folder" in refusal(tmp_path / "drive.avi")


def test_a_misspelt_path_is_answered_with_the_near_one(folder_of):
    folder = folder_of("1.jpg", under="drives/monday/images")

    words = refusal(folder.parents[1] / "munday" / "images")

    assert "munday" in words
    assert f"did you mean '{folder.parent}'?" in words
    assert "expected a bag" in words


@pytest.mark.parametrize(
    "uri", ["", "  ", "nowhere/at/all", "~nobody_here/images", "x" * 5000, "a\0b", "rtsp://camera"]
)
def test_what_is_no_source_is_one_sentence(uri):
    assert "expected a bag" in refusal(uri)
    assert len(refusal(uri).splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate_hz": 0}, "--rate-hz is 0"),
        ({"rate_hz": float("nan")}, "--rate-hz is nan"),
        ({"depth_scale": -1000}, "--depth-scale is -1000"),
        ({"from_s": -1}, "--from-s is -1"),
        ({"from_s": float("inf")}, "--from-s is inf"),
        ({"from_s": 3, "to_s": 2}, "--to-s is 2"),
        ({"sync_tolerance_s": -0.1}, "--sync-tolerance-s is -0.1"),
        ({"image_topic": "/camera"}, "--image-topic says nothing about a folder"),
        ({"odom_topic": "/odom"}, "--odom-topic says nothing about a folder"),
        ({"depth_scale": 1000}, "is a flat folder without depth"),
    ],
)
def test_options_that_can_not_be_meant_are_refused(images, options, words):
    assert words in refusal(images / "office", **options)


def test_an_option_of_bags_is_refused_for_the_robot_before_it_starts():
    assert "--image-topic says nothing about a simulated robot" in refusal("sim:office", image_topic="/camera")


def test_every_listed_route_opens_under_its_name():
    for route in routes():
        with open_source(f"{ROBOT_SCHEME}{route.name}?laps=1") as source:
            assert len(source) > 0
            assert source.truth is not None


def test_a_video_has_a_rate_and_no_depth(tmp_path):
    (tmp_path / "drive.mp4").write_bytes(b"")

    assert "--depth-scale says nothing about a video" in refusal(tmp_path / "drive.mp4", depth_scale=5000)
    assert "is empty" in refusal(tmp_path / "drive.mp4", rate_hz=10)


def test_every_kind_says_what_it_is_and_every_option_belongs_to_one():
    listed = list_sources()

    assert listed.kinds == (BAG, FOLDER, VIDEO, ROBOT)
    assert listed.routes == routes()
    assert all(kind.about and kind.examples for kind in listed.kinds)
    applying = {name for kind in listed.kinds for name in kind.options} | {"from_s", "to_s"}
    assert applying == set(SourceOptions.__dataclass_fields__)
