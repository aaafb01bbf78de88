"""MixVPR computes the published formulas, and loads the checkpoints that are found in the wild."""

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import random_checkpoints  # noqa: E402 - needs torch

from vpr_ros.encoders import EncoderError, open_encoder  # noqa: E402
from vpr_ros.encoders.models.mixvpr import MixVpr, MixVprShape  # noqa: E402
from vpr_ros.encoders.models.mixvpr_checkpoint import load_mixvpr  # noqa: E402
from vpr_ros.encoders.preprocessing import Preprocessing  # noqa: E402

VARIANTS = random_checkpoints.VARIANTS


def saved(tmp_path, content, name="weights.ckpt"):
    path = tmp_path / name
    torch.save(content, path)
    return path


def published_formulas(weights, images):
    """MixVPR written straight from the paper's steps on torchvision's ResNet-50, in float64."""
    try:
        from torchvision.models import resnet50
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision does not load: {error}")
    trunk = resnet50(weights=None)
    prefix = "backbone.model."
    trunk.load_state_dict({n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}, strict=False)
    trunk = trunk.double().eval()
    w = {name: value.double() for name, value in weights.items() if name.startswith("aggregator.")}
    with torch.no_grad():
        x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(images.double()))))
        x = trunk.layer3(trunk.layer2(trunk.layer1(x))).flatten(2)  # batch, 1024, 400
        for block in range(4):
            name = f"aggregator.mix.{block}.mix"
            centred = x - x.mean(-1, keepdim=True)
            normed = centred / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
            y = normed * w[f"{name}.0.weight"] + w[f"{name}.0.bias"]
            y = (y @ w[f"{name}.1.weight"].T + w[f"{name}.1.bias"]).clamp(min=0)
            x = x + y @ w[f"{name}.3.weight"].T + w[f"{name}.3.bias"]
        x = x.permute(0, 2, 1) @ w["aggregator.channel_proj.weight"].T + w["aggregator.channel_proj.bias"]
        x = x.permute(0, 2, 1) @ w["aggregator.row_proj.weight"].T + w["aggregator.row_proj.bias"]
        x = x.flatten(1)  # channel-major: index = channel * rows + row
        return (x / x.norm(dim=1, keepdim=True)).numpy()


@pytest.mark.parametrize(("dim", "parameters"), [(4096, 10_880_900), (512, 10_092_898), (128, 9_896_098)])
def test_each_size_has_the_parameters_of_the_authors_model(dim, parameters):
    network = MixVpr(MixVprShape(*VARIANTS[dim]))

    assert sum(value.numel() for value in network.parameters()) == parameters
    assert len(network.state_dict()) == 286
    assert set(network.state_dict()) == set(random_checkpoints.released(dim))


@pytest.mark.parametrize("dim", VARIANTS)
def test_the_descriptor_is_that_of_the_published_formulas(tmp_path, office, dim):
    weights = random_checkpoints.released(dim)
    network, recipe = load_mixvpr(saved(tmp_path, weights))
    images = torch.from_numpy(np.concatenate([Preprocessing(recipe).apply(image) for image in office[:2]]))

    with torch.inference_mode():
        ours = network(images).numpy()

    assert ours.shape == (2, dim)
    np.testing.assert_allclose(ours, published_formulas(weights, images), atol=2e-5)


@pytest.mark.parametrize("dim", VARIANTS)
def test_the_variant_is_read_from_the_tensors_and_not_from_the_name(tmp_path, dim):
    _, recipe = load_mixvpr(saved(tmp_path, random_checkpoints.released(dim), "resnet50_MixVPR_9999.ckpt"))

    assert (recipe.name, recipe.dim) == (f"mixvpr-{dim}", dim)
    assert (recipe.height, recipe.width, recipe.interpolation) == (320, 320, "bicubic")


LAYOUTS = {
    "Lightning": random_checkpoints.lightning,
    "DataParallel": random_checkpoints.data_parallel,
    "Bag-of-Queries": random_checkpoints.boq,
    "OpenVPRLab, 1 block unfrozen": lambda: random_checkpoints.openvprlab(unfrozen=1),
    "OpenVPRLab, 2 blocks unfrozen": lambda: random_checkpoints.openvprlab(unfrozen=2),
    "OpenVPRLab, not pretrained": lambda: random_checkpoints.openvprlab(unfrozen=4),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_network(tmp_path, layout):
    network, _ = load_mixvpr(saved(tmp_path, LAYOUTS[layout]()))

    for name, value in random_checkpoints.released().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_half_precision_weights_are_loaded_as_float32(tmp_path):
    halves = {n: v.half() if v.is_floating_point() else v for n, v in random_checkpoints.released().items()}
    network, _ = load_mixvpr(saved(tmp_path, halves))
    assert {value.dtype for value in network.parameters()} == {torch.float32}


def without(name):
    weights = random_checkpoints.released()
    del weights[name]
    return weights


def changed(name, value):
    return random_checkpoints.released() | {name: value}


BROKEN = {
    "a tensor missing": (
        lambda: without("backbone.model.layer2.3.conv2.weight"),
        r"1 missing \(backbone\.model\.layer2\.3\.conv2\.weight\)",
    ),
    "a tensor too many": (lambda: changed("aggregator.extra", torch.ones(1)), r"1 unexpected \(aggregator\.extra\)"),
    "a wrong shape": (
        lambda: changed("aggregator.mix.2.mix.3.bias", torch.ones(399)),
        r"aggregator\.mix\.2\.mix\.3\.bias is \(399,\) instead of \(400,\)",
    ),
    "NaN": (lambda: changed("aggregator.row_proj.bias", torch.full((2,), torch.nan)), "1 not finite"),
    "more than float32 holds": (
        lambda: changed("aggregator.row_proj.bias", torch.full((2,), 1e300, dtype=torch.float64)),
        "1 not finite",
    ),
    "complex": (lambda: changed("aggregator.row_proj.bias", torch.ones(2) * 1j), "1 not plain numbers"),
    "sparse": (lambda: changed("aggregator.row_proj.bias", torch.ones(2).to_sparse()), "1 not plain numbers"),
    "no values": (lambda: changed("aggregator.row_proj.bias", torch.ones(2, device="meta")), "1 not plain numbers"),
    "numbers for names": (lambda: {0: torch.ones(1)}, "holds no tensors by name"),
    "a backbone with layer4": (lambda: changed("backbone.model.layer4.0.bn1.bias", torch.ones(512)), "layer4"),
    "another network": (lambda: {"conv1.weight": torch.ones(64, 3, 7, 7), "fc.bias": torch.ones(1000)}, "fc.bias"),
    "a smaller ResNet": (lambda: changed("aggregator.channel_proj.weight", torch.ones(64, 256)), "256 channels"),
    "another input size": (lambda: changed("aggregator.row_proj.weight", torch.ones(2, 196)), "196 positions"),
    "no head": (lambda: without("aggregator.channel_proj.weight"), r"aggregator\.channel_proj\.weight"),
    "a list": (lambda: [torch.ones(1)], "list"),
    "no tensors": (lambda: {"epoch": 3}, "epoch"),
    "a configuration of another model": (lambda: random_checkpoints.lightning(out_rows=4), "out_rows = 4"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_checkpoint_that_does_not_fit_is_refused_with_every_mismatch_named(tmp_path, fault):
    content, words = BROKEN[fault]
    with pytest.raises(EncoderError, match=words):
        load_mixvpr(saved(tmp_path, content()))


class CustomConfig:
    """A class as old Lightning files carry it in their hyper_parameters."""


def test_another_protocol_of_pickle_is_refused_and_called_what_it_is_without_torchs_warning(tmp_path, recwarn):
    path = tmp_path / "weights.ckpt"
    torch.save({"callbacks": CustomConfig()}, path, pickle_protocol=4)
    with pytest.raises(EncoderError, match=r"protocol 4.*not known whether they run code.*anew"):
        load_mixvpr(path)
    assert not recwarn.list


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_that_would_run_code_is_refused_and_its_classes_named(tmp_path, is_zip):
    path = tmp_path / "weights.ckpt"
    content = random_checkpoints.lightning() | {"callbacks": CustomConfig()}
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(EncoderError, match=r"CustomConfig.*refused"):
        load_mixvpr(path)


def test_a_truncated_download_is_refused(tmp_path):
    path = saved(tmp_path, random_checkpoints.released())
    path.write_bytes(path.read_bytes()[:-100_000])
    with pytest.raises(EncoderError, match=r"weights\.ckpt' \(\d+ bytes\).*cut short.*copy or download it again"):
        load_mixvpr(path)


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("size", [2500, 20_000, 66_000, -100_000])
def test_a_file_that_is_cut_anywhere_is_refused_in_either_layout(tmp_path, size, is_zip):
    path = tmp_path / "weights.ckpt"
    torch.save(random_checkpoints.released(), path, _use_new_zipfile_serialization=is_zip)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(EncoderError, match=r"cut short.*copy or download it again"):
        load_mixvpr(path)


@pytest.mark.parametrize("is_zip", [True, False])
def test_no_flipped_bit_gives_anything_but_one_error(tmp_path, is_zip):
    path = tmp_path / "weights.ckpt"
    torch.save({"weight": torch.ones(4), "bias": torch.zeros(3)}, path, _use_new_zipfile_serialization=is_zip)
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).integers(0, 8 * len(whole), 200):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(EncoderError):
            load_mixvpr(path)


def test_a_configuration_that_is_no_number_is_not_compared(tmp_path):
    content = random_checkpoints.lightning(out_rows=torch.ones(3))
    assert load_mixvpr(saved(tmp_path, content))[1].name == "mixvpr-128"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("weights.ckpt", b"", r"\(0 bytes\).*is empty"),
        ("weights.ckpt", b"<html>Google Drive: too many downloads</html>", r"\(45 bytes\).*is a web page"),
        ("weights.ckpt", b"random bytes", r"\(12 bytes\).*begins with b'random b'"),
        (
            "weights.onnx",
            b"\x08\x08\x12\x07pytorch",
            r"\(11 bytes\).*is an ONNX file; give the weights that it was made of",
        ),
    ],
    ids=["empty", "a web page", "random bytes", "ONNX"],
)
def test_a_file_that_is_no_checkpoint_is_called_what_it_is_without_torchs_advice(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EncoderError, match=rf"'{path}' {words}") as caught:
        load_mixvpr(path)
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_released_file_loads_and_tells_places_apart(office):
    file = os.environ.get("VPR_ROS_MIXVPR_CHECKPOINT")
    if not file:
        pytest.skip("set VPR_ROS_MIXVPR_CHECKPOINT to a released MixVPR file to test it")
    encoder = open_encoder(str(Path(file)), "torch_cpu")

    first = np.array([encoder.encode(image).descriptor for image in office[:3]])
    again = np.array([encoder.encode(image).descriptor for image in office[3:]])

    assert (again @ first.T).argmax(axis=1).tolist() == [0, 1, 2]
