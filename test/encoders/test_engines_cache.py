"""Built engines on disk: what is kept is given back, and nothing else ever is."""

import logging
from dataclasses import replace

import pytest

from vpr_ros.encoders.engines.engine_cache import EngineCache, EngineKey

KEY = EngineKey("tensorrt 10.13.2", "NVIDIA Orin sm_87", "ab" * 32, "fp16", (1, 3, 320, 320))


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / "engines")


def only_file(cache):
    (path,) = cache.folder.iterdir()
    return path


def test_what_is_put_is_given_back_whatever_bytes_it_holds(cache):
    payload = bytes(range(256)) + b"\n\n" + b"\0" * 1000
    assert cache.get(KEY) is None

    assert cache.put(KEY, payload)

    assert EngineCache(cache.folder).get(KEY) == payload
    assert only_file(cache).suffix == ".engine"


@pytest.mark.parametrize(
    "change",
    [
        {"runtime": "tensorrt 10.14.0"},
        {"device": "NVIDIA H100 sm_90"},
        {"model_sha256": "cd" * 32},
        {"precision": "fp32"},
        {"shape": (1, 3, 480, 640)},
    ],
)
def test_another_version_gpu_network_precision_or_shape_is_another_engine(cache, change):
    cache.put(KEY, b"built")
    assert cache.get(replace(KEY, **change)) is None
    assert cache.get(KEY) == b"built"


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-1],
        lambda whole: whole[:-1] + b"X",
        lambda whole: b"",
        lambda whole: b"no such thing",
        lambda whole: whole.replace(b"ab", b"\xff\xfe", 1),
    ],
    ids=["cut", "a byte changed", "empty", "another kind", "not text"],
)
def test_a_corrupt_file_is_never_given_back_and_the_next_put_replaces_it(cache, caplog, damage):
    cache.put(KEY, b"built here")
    path = only_file(cache)
    path.write_bytes(damage(path.read_bytes()))

    assert cache.get(KEY) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(path) in caplog.text
    assert "made anew" in caplog.text

    cache.put(KEY, b"built again")
    assert cache.get(KEY) == b"built again"


def test_a_file_that_was_cut_off_early_is_called_so(cache, caplog):
    cache.put(KEY, b"built here")
    path = only_file(cache)
    path.write_bytes(path.read_bytes()[:40])

    assert cache.get(KEY) is None
    assert "is cut off, or no engine file" in caplog.text


def test_a_file_of_another_machine_under_this_ones_name_is_told_and_not_used(cache, caplog):
    foreign = replace(KEY, device="NVIDIA H100 sm_90")
    cache.put(foreign, b"built there")
    only_file(cache).rename(cache.folder / KEY.file_name)

    assert cache.get(KEY) is None
    assert "another machine" in caplog.text


def test_a_cache_that_can_not_be_written_is_one_line_with_what_to_do(tmp_path, caplog):
    """A file stands where the folder would be: not even root can write there."""
    (tmp_path / "engines").write_text("in the way")
    cache = EngineCache(tmp_path / "engines")

    assert cache.get(KEY) is None
    assert not cache.put(KEY, b"built")

    (record,) = caplog.records
    assert "VPR_ROS_CACHE" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_the_folder_is_the_users_choice_else_the_systems_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("VPR_ROS_CACHE", str(tmp_path / "mine"))
    assert EngineCache().folder == tmp_path / "mine"
    monkeypatch.delenv("VPR_ROS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert EngineCache().folder == tmp_path / "vpr_ros" / "engines"


def test_a_write_that_fails_leaves_nothing_behind(cache):
    """A folder stands where the file would be: what was written beside it can't be moved there."""
    in_the_way = cache.folder / KEY.file_name / "full"
    in_the_way.mkdir(parents=True)

    assert not cache.put(KEY, b"built")

    assert only_file(cache) == in_the_way.parent


def test_nothing_half_written_is_left_behind(cache):
    for payload in (b"one", b"two"):
        cache.put(KEY, payload)
    assert only_file(cache).read_bytes().endswith(b"two")
