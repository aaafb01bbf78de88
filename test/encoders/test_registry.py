"""Opening an encoder by name or file, and what is said when it can't be."""

import builtins
from pathlib import Path

import numpy as np
import pytest
import yaml

from vpr_ros.core import Recipe, share_path
from vpr_ros.encoders import (
    EncoderError,
    Encoding,
    NetworkEncoder,
    export_encoder,
    known_weights,
    open_encoder,
    quantize_encoder,
    registered,
)
from vpr_ros.encoders.weights import ExportedNetwork

RECIPE = Recipe("test", 32, 32, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 4, "0" * 64, "none")


def copied_gem_lite(folder):
    for suffix in (".onnx", ".yaml"):
        (folder / f"mine{suffix}").write_bytes(share_path(f"weights/gem-lite{suffix}").read_bytes())
    return folder / "mine.onnx"


def test_the_list_says_what_there_is_and_how_to_get_the_rest(weights_folder):
    listed = {entry.name: entry for entry in registered()}

    assert list(listed)[:6] == ["mixvpr-lite", "mixvpr-lite-128", "gem-lite", "mixvpr-4096", "mixvpr-512", "mixvpr-128"]
    assert list(listed)[6:12] == [
        f"netvlad-{data}-{dim}" for data in ("mapillary", "pittsburgh") for dim in (128, 512, 4096)
    ]
    assert [name for name in listed if name.startswith("cosplace-")] == [
        *(f"cosplace-resnet18-{dim}" for dim in (32, 64, 128, 256, 512)),
        *(f"cosplace-resnet50-{dim}" for dim in (32, 64, 128, 256, 512, 1024, 2048)),
        *(f"cosplace-vgg16-{dim}" for dim in (64, 128, 256, 512)),
    ]
    assert [name for name in listed if name.startswith("eigenplaces-")] == [
        *(f"eigenplaces-resnet18-{dim}" for dim in (256, 512)),
        *(f"eigenplaces-resnet50-{dim}" for dim in (128, 256, 512, 1024, 2048)),
        "eigenplaces-vgg16-512",
    ]
    assert listed["gem-lite"].present
    assert listed["gem-lite"].recipe.dim == 320
    assert listed["gem-lite"].licence == "Apache-2.0"
    assert not listed["mixvpr-512"].present
    for word in ("drive.google.com", "1khiTUNzZhfV2UUupZoIsPIbsMRBYVDqj", "vpr_ros export", str(weights_folder)):
        assert word in listed["mixvpr-512"].advice


def test_a_broken_file_is_listed_as_broken_with_the_reason(weights_folder):
    (weights_folder / "mixvpr-512.onnx").write_bytes(b"half a file")

    entry = {entry.name: entry for entry in registered()}["mixvpr-512"]

    assert not entry.present
    assert entry.is_broken
    assert "mixvpr-512.yaml" in entry.advice


@pytest.mark.parametrize(("name", "meant"), [("gem_lite", "gem-lite"), ("mixvpr-521", "mixvpr-512")])
def test_an_unknown_name_is_answered_with_the_closest_and_all_there_are(name, meant):
    with pytest.raises(EncoderError, match=rf"did you mean '{meant}'\?.*mixvpr-4096"):
        open_encoder(name)


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_missing_weights_are_answered_with_where_to_get_them(weights_folder, engine):
    with pytest.raises(EncoderError, match=r"1vuz3PvnR7vxnDDLQrdHJaOA04SQrtk5L.*vpr_ros export mixvpr-4096"):
        open_encoder("mixvpr-4096", engine)


def test_an_unknown_engine_is_answered_with_those_there_are():
    with pytest.raises(EncoderError, match=r"'cuda'.*onnxruntime, torch_cpu"):
        open_encoder("gem-lite", "cuda")


def test_an_own_onnx_file_is_opened_by_its_path(tmp_path, office):
    encoder = open_encoder(str(copied_gem_lite(tmp_path)))

    shipped = open_encoder("gem-lite").encode(office[0]).descriptor
    np.testing.assert_array_equal(encoder.encode(office[0]).descriptor, shipped)


def test_an_onnx_file_of_the_user_is_found_by_name_in_the_weights_folder(weights_folder):
    path = gem_lite_as(weights_folder, "mixvpr-128", name="mixvpr-128")

    assert {entry.name: entry.weights for entry in registered()}["mixvpr-128"] == path
    assert open_encoder("mixvpr-128").recipe.name == "mixvpr-128"


def gem_lite_as(folder, stem, **changes):
    """gem-lite's file under another name, with a recipe that says what it is told."""
    path = copied_gem_lite(folder).rename(folder / f"{stem}.onnx")
    recipe = yaml.safe_load((folder / "mine.yaml").read_text())["recipe"]
    path.with_suffix(".yaml").write_text(yaml.safe_dump({"recipe": recipe | changes}))
    return path


def test_another_network_under_a_registered_name_is_refused_and_listed_as_broken(weights_folder):
    path = gem_lite_as(weights_folder, "mixvpr-512")

    with pytest.raises(EncoderError, match=rf"'{path}' is 'gem-lite' by its recipe, expected 'mixvpr-512'"):
        open_encoder("mixvpr-512")
    with pytest.raises(EncoderError, match="is 'gem-lite' by its recipe"):
        quantize_encoder("mixvpr-512", weights_folder, weights_folder)
    assert {entry.name: entry.is_broken for entry in registered()}["mixvpr-512"]
    assert {weights.name: weights.state for weights in known_weights()}["mixvpr-512"] == "broken"
    assert open_encoder(str(path)).recipe.name == "gem-lite"


def test_a_recipe_in_the_weights_folder_that_does_not_fit_its_network_is_refused_when_opened(weights_folder):
    path = gem_lite_as(weights_folder, "mixvpr-128", name="mixvpr-128", dim=128)

    with pytest.raises(EncoderError, match=rf"'{path}' does not do what the recipe beside it says"):
        open_encoder("mixvpr-128")


def test_an_export_makes_the_folder_it_is_told_to_write_into(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("onnx")

    made = export_encoder("gem-lite", tmp_path / "not" / "there")

    assert made == tmp_path / "not" / "there" / "gem-lite.onnx"
    assert made.with_suffix(".yaml").is_file()


def test_a_folder_that_can_not_be_made_is_told(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    (tmp_path / "file").touch()

    with pytest.raises(EncoderError, match=r"can't make the folder '.*file/weights'.*Not a directory; give another"):
        export_encoder("gem-lite", tmp_path / "file" / "weights")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own/ok.onnx", "needs no export: it runs as it is, as --encoder own/ok.onnx"),
        ("own/mine.pt", "'vpr_ros export checkpoint --checkpoint own/mine.pt' takes"),
        ("mixvpr-lite-128", "make it with 'vpr_ros export mixvpr-lite --dim 128 --out "),
    ],
)
def test_an_export_of_what_has_no_checkpoint_of_its_own_is_answered_with_what_to_do(weights_folder, name, words):
    with pytest.raises(EncoderError, match=words):
        export_encoder(name, weights_folder)


def test_a_truncated_onnx_file_is_refused(tmp_path):
    path = copied_gem_lite(tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(EncoderError, match="truncated or another file"):
        open_encoder(str(path))


def test_an_onnx_file_without_its_recipe_is_refused(tmp_path):
    path = copied_gem_lite(tmp_path)
    path.with_suffix(".yaml").unlink()
    with pytest.raises(EncoderError, match=r"no recipe 'mine\.yaml'"):
        open_encoder(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("recipe: [", "can't read"),
        ("just words", "expected the keys"),
        ("onnx_sha256: ab\nrecipe: {name: x}", "recipe lacks height; it needs name, height"),
        ("onnx_sha256: ab\nrecipe: 3", "mapping"),
        ("!!python/object/apply:os.system [echo]", "can't read"),
        ("recipe: {licence: 2024-02-30}", "can't read recipe .*day is out of range.*mend it"),
        ("recipe: {height: 0x_}", "can't read recipe"),
        ("[" * 5000, "can't read recipe .*recursion"),
    ],
)
def test_a_recipe_file_that_holds_something_else_is_refused(tmp_path, text, words):
    path = copied_gem_lite(tmp_path)
    path.with_suffix(".yaml").write_text(text)
    with pytest.raises(EncoderError, match=words):
        open_encoder(str(path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mean": {"r": 0.5}}, "does not fit"),
        ({"mean": [10**400, 0, 0]}, "does not fit"),
        ({"height": True}, "height True, expected a whole number from 1 to 8192"),
        ({"height": 10**9}, "height 1000000000, expected a whole number from 1 to 8192"),
        ({"dim": 10**9}, "dim 1000000000, expected"),
        ({"resized": [10**9, 10**9]}, "at most 8192"),
    ],
    ids=str,
)
def test_a_recipe_with_a_value_that_is_no_size_is_refused_and_the_value_named(tmp_path, change, words):
    with pytest.raises(EncoderError, match=words):
        open_encoder(str(gem_lite_as(tmp_path, "other", **change)))


def test_of_two_exports_to_one_file_at_once_a_mix_is_refused(tmp_path, monkeypatch):
    """The other's network comes to lie under the name between our network and our recipe."""
    target, ours, others = tmp_path / "x.onnx", tmp_path / "ours", tmp_path / "others"
    ours.write_bytes(b"ours")
    others.write_bytes(b"the other's")
    write_recipe = ExportedNetwork.write_recipe

    def write_late(network, sha256):
        others.replace(target)
        write_recipe(network, sha256)

    monkeypatch.setattr(ExportedNetwork, "write_recipe", write_late)
    ExportedNetwork(target, RECIPE).put_in_place(ours)

    with pytest.raises(EncoderError, match="truncated or another file"):
        ExportedNetwork.read(target)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that even root can't read")
def test_a_file_that_can_not_be_read_is_broken_and_spoils_no_other(weights_folder):
    (weights_folder / "mixvpr-512.onnx").symlink_to("/proc/self/mem")

    entry = {entry.name: entry for entry in registered()}["mixvpr-512"]

    assert entry.is_broken
    assert "can't read" in entry.advice
    assert {weights.name: weights.state for weights in known_weights()}["mixvpr-512"] == "broken"
    assert open_encoder("gem-lite", "onnxruntime").recipe.name == "gem-lite"


@pytest.mark.parametrize(
    ("variable", "folder", "words"),
    [
        ("VPR_ROS_WEIGHTS", "~nosuch/x", "no home folder is known for '~nosuch/x'"),
        ("VPR_ROS_CACHE", "~nosuch/x", "no home folder is known for '~nosuch/x'"),
        ("VPR_ROS_WEIGHTS", "x" * 300, "can't look for 'xxx.*name too long; check its name"),
    ],
)
def test_a_folder_that_can_not_be_is_told(monkeypatch, variable, folder, words):
    monkeypatch.setenv(variable, folder)
    with pytest.raises(EncoderError, match=words):
        open_encoder("gem-lite")


@pytest.mark.parametrize("name", ["~nosuch/x.onnx", "x" * 300 + ".onnx", "x" * 300 + ".pt"], ids=["~", "onnx", "pt"])
def test_a_path_that_can_not_be_is_told(name):
    with pytest.raises(EncoderError, match=r"no home folder|name too long"):
        open_encoder(name)


def test_a_family_without_a_checkpoint_is_answered_with_the_option(tmp_path):
    with pytest.raises(EncoderError, match=r"'cosplace' is whatever .* give one with --checkpoint FILE"):
        export_encoder("cosplace", tmp_path)


def test_int8_of_what_ships_is_not_advised():
    with pytest.raises(EncoderError, match=r"the encoders that ship lose too much in int8 .*take engine auto"):
        open_encoder("gem-lite", "openvino:int8")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(EncoderError, match=r"gone\.onnx"):
        open_encoder(str(tmp_path / "gone.onnx"))
    with pytest.raises(EncoderError, match=r"gone\.ckpt"):
        open_encoder(str(tmp_path / "gone.ckpt"), "torch_cpu")


@pytest.mark.parametrize(("engine", "runtime"), [("auto", "ONNX Runtime"), ("openvino", "OpenVINO")])
def test_a_whole_file_that_is_no_network_is_refused_in_one_line(tmp_path, engine, runtime, capfd):
    if engine == "openvino":
        pytest.importorskip("openvino")
    path = tmp_path / "words.onnx"
    path.write_bytes(b"these bytes are no network")
    ExportedNetwork(path, RECIPE).write_recipe()
    with pytest.raises(EncoderError, match=f"{runtime} can't load"):
        open_encoder(str(path), engine)
    assert capfd.readouterr().err == ""


def test_torch_is_named_where_it_is_what_is_missing(weights_folder, monkeypatch):
    def import_without_torch(name, *rest, **more):
        if name == "torch" or name.startswith(("torch.", "vpr_ros.encoders.models", "vpr_ros.encoders.engines.torch")):
            raise ImportError("No module named 'torch'")
        return genuine(name, *rest, **more)

    genuine = builtins.__import__
    (weights_folder / "mixvpr-512.ckpt").write_bytes(b"not read")
    monkeypatch.setattr(builtins, "__import__", import_without_torch)

    with pytest.raises(EncoderError, match=r"No module named 'torch'.*install torch"):
        open_encoder("mixvpr-512")
    with pytest.raises(EncoderError, match=r"No module named 'torch'.*pip install torch"):
        export_encoder("mixvpr-512", weights_folder)


class Gives:
    """An engine that gives what it is told: no file can be made to give NaN on purpose."""

    name = "test"

    def __init__(self, descriptor):
        self._descriptor = np.asarray(descriptor, dtype=np.float32)

    def run(self, network_input):
        return Encoding(self._descriptor)


@pytest.mark.parametrize(
    ("descriptor", "words"),
    [
        ([1, 0, 0, np.nan], "NaN"),
        ([np.inf, 0, 0, 0], "infinite"),
        ([2, 0, 0, 0], "length 2.0000"),
        ([0, 0, 0, 0], "length 0.0000"),
        ([1, 0, 0], r"shape \(3,\)"),
    ],
)
def test_a_descriptor_that_can_not_be_compared_is_refused(descriptor, words):
    with pytest.raises(EncoderError, match=words):
        NetworkEncoder(RECIPE, Gives(descriptor)).encode(np.zeros((8, 8, 3), np.uint8))
