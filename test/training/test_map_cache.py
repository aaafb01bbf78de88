"""Kept maps: told apart by what decides a view's look, and their space taken before it is written to."""

import errno
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from vpr_ros.encoders.models.network_spec import HeadSpec, NetworkSpec
from vpr_ros.encoders.models.place_network import PlaceNetwork
from vpr_ros.training.datasets.open_dataset import open_dataset
from vpr_ros.training.datasets.specs import ManifestSpec, PanoramaSpec
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.map_cache import MapCache
from vpr_ros.training.pool import ViewPool

AROUND = PanoramaSpec("around", headings=2, views_a_heading=2)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return PlaceNetwork(NetworkSpec("efficientnet-lite0", (HeadSpec("average"),), input_size=64))


def pool_of(network, *sets):
    return ViewPool(sets, network.input_recipe(), 0)


@pytest.fixture
def digest_of(network, panorama_folder):
    return lambda spec: pool_of(network, open_dataset(spec, panorama_folder.parent)).fingerprint()


@pytest.mark.parametrize(
    "over", [{"fov_deg": (60.0, 90.0)}, {"width": 320}, {"height": 200}, {"pitch_deg": 2.0}, {"roll_deg": 1.0}]
)
def test_panoramas_looked_at_otherwise_have_another_digest(digest_of, over):
    assert digest_of(replace(AROUND, **over)) != digest_of(AROUND)


def test_what_changes_no_look_leaves_the_digest_alone(digest_of):
    other = replace(AROUND, share=3.0, one_site=("hall_*",), numbered_site=True, positive_overlap=0.7)

    assert digest_of(other) == digest_of(AROUND)


def test_a_drive_that_shows_something_else_has_another_digest(network, manifest_folder):
    drive = open_dataset(ManifestSpec("set"), manifest_folder.parent)

    class Drive:
        """Frames at the same places, as robots' drives keep them."""

        name, table, appearance, facts = drive.name, drive.table, drive.appearance, drive.facts

        def __init__(self, grey):
            self.encoded = (np.full(9, grey, np.uint8),)

    assert pool_of(network, Drive(1)).fingerprint() == pool_of(network, Drive(1)).fingerprint()
    assert pool_of(network, Drive(1)).fingerprint() != pool_of(network, Drive(2)).fingerprint()


def cache_of(network, folder, out):
    return MapCache(out, pool_of(network, open_dataset(ManifestSpec("set"), folder.parent)), network, "blocks.4", 1)


@pytest.mark.parametrize("fitting", [0, 1], ids=["none fits", "one fits"])
def test_a_disk_that_is_too_small_is_told_before_anything_is_computed(
    network, manifest_folder, tmp_path, monkeypatch, fitting
):
    calls = []

    def full(_file, _start, size):
        calls.append(size)
        if len(calls) > fitting:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)

    with pytest.raises(TrainingError, match=r"No space left on device.*set cache\.folder"):
        cache_of(network, manifest_folder, tmp_path / "cache")

    assert list((tmp_path / "cache").iterdir()) == []
    assert calls[0] > 18 * 2 * 40 * 4 * 4


def test_a_file_system_that_can_not_reserve_space_is_gone_on_with(network, manifest_folder, tmp_path, monkeypatch):
    def unable(_file, _start, _size):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unable)

    assert cache_of(network, manifest_folder, tmp_path / "cache").missing == 18


def test_the_space_of_kept_maps_is_taken_at_once(network, manifest_folder, tmp_path):
    cache_of(network, manifest_folder, tmp_path / "cache")

    for path in (tmp_path / "cache").iterdir():
        assert path.stat().st_blocks * 512 >= path.stat().st_size


def test_files_that_an_earlier_run_could_not_read_are_named(network, manifest_folder, tmp_path):
    broken = [manifest_folder / "street_0" / "1.png", manifest_folder / "street_4" / "2.png"]
    for path in broken:
        path.write_bytes(b"not an image")
    cache_of(network, manifest_folder, tmp_path / "cache").fill(lambda _: None, torch.device("cpu"))

    pool = pool_of(network, open_dataset(ManifestSpec("set"), manifest_folder.parent))
    MapCache(tmp_path / "cache", pool, network, "blocks.4", 1).fill(lambda _: None, torch.device("cpu"))

    assert sorted(pool.corrupt.values()) == [f"{path} could not be read when its maps were computed" for path in broken]


@pytest.mark.parametrize("damage", ["gone", "cut off", "empty"])
def test_a_map_that_is_not_whole_is_computed_again(network, manifest_folder, tmp_path, damage):
    device, everything = torch.device("cpu"), (np.arange(18), np.zeros(18, np.int64))
    cache = cache_of(network, manifest_folder, tmp_path / "cache")
    cache.fill(lambda _: None, device)
    whole = cache.maps(*everything)[0]
    path = next((tmp_path / "cache").glob("*.map0.npy"))
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 1000 if damage == "cut off" else 0])

    again = cache_of(network, manifest_folder, tmp_path / "cache")

    assert again.missing == 18
    again.fill(lambda _: None, device)
    for part, wanted in zip(again.maps(*everything)[0], whole, strict=True):
        assert torch.equal(part, wanted)


def test_a_file_name_of_any_bytes_and_one_that_is_too_long_are_digested(network, tmp_path):
    names = [os.fsdecode(b"caf\xe9.png"), "caf\u00e9.png", "x" * 300 + ".png"]
    (tmp_path / "manifest.csv").write_text("path,place_id\n" + "\n".join(f"{n}.png,hall" for n in range(3)))
    data = open_dataset(ManifestSpec(), tmp_path)

    digests = {
        pool_of(network, replace(data, paths=tuple(tmp_path / name for _ in range(3)))).fingerprint() for name in names
    }

    assert len(digests) == 3
