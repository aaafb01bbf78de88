"""CosPlace and EigenPlaces compute the published formulas, and load what their authors released."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

import random_checkpoints  # noqa: E402 - needs torch

from vpr_ros.core import VprError  # noqa: E402
from vpr_ros.encoders import EncoderError, export_encoder, open_encoder  # noqa: E402
from vpr_ros.encoders.models.cosplace import load_cosplace, load_eigenplaces  # noqa: E402
from vpr_ros.encoders.models.networks import load_network  # noqa: E402
from vpr_ros.encoders.preprocessing import Preprocessing  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Name, length, entries of the backbone in the authors' file.
VARIANTS = [("ResNet18", 512, 120), ("ResNet50", 2048, 318), ("VGG16", 64, 26)]


def saved(tmp_path, content, name="weights.pth"):
    path = tmp_path / name
    torch.save(content, path)
    return path


def torchvision_trunk(backbone):
    """The authors' backbone: all children of torchvision's network but the last two, or VGG16's features but those."""
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision does not load: {error}")
    network = getattr(torchvision.models, backbone.lower())(weights=None)
    children = network.features if backbone == "VGG16" else network
    return torch.nn.Sequential(*list(children.children())[:-2])


def published_formulas(backbone, weights, images):
    """Unit vectors at each position, GeM with the learned p, projection, unit length; in float64."""
    trunk = torchvision_trunk(backbone)
    trunk.load_state_dict(
        {n.removeprefix("backbone."): w for n, w in weights.items() if n.startswith("backbone.")}, strict=True
    )
    with torch.no_grad():
        x = trunk.double().eval()(images.double())
        x = torch.nn.functional.normalize(x, dim=1)
        p = weights["aggregation.1.p"].double()
        x = x.clamp(min=1e-6).pow(p).flatten(2).mean(-1).pow(1 / p)
        x = x @ weights["aggregation.3.weight"].double().T + weights["aggregation.3.bias"].double()
        return torch.nn.functional.normalize(x, dim=1).numpy()


@pytest.mark.parametrize(("backbone", "dim", "entries"), VARIANTS)
def test_the_descriptor_is_that_of_the_published_formulas(tmp_path, office, backbone, dim, entries):
    weights = random_checkpoints.cosplace(backbone, dim)
    assert sum(name.startswith("backbone.") for name in weights) == entries
    network, recipe = load_cosplace(saved(tmp_path, weights))
    small = replace(recipe, height=160, width=224)  # The network takes any size; this one is quick.
    images = torch.from_numpy(np.concatenate([Preprocessing(small).apply(image) for image in office[:2]]))

    with torch.inference_mode():
        ours = network(images).numpy()

    assert ours.shape == (2, dim)
    np.testing.assert_allclose(ours, published_formulas(backbone, weights, images), atol=1e-5)


def test_an_image_becomes_what_the_authors_loader_makes_of_it(tmp_path, office):
    """PIL's bilinear resize, [0, 1], ImageNet's mean and deviation, then the formulas."""
    weights = random_checkpoints.cosplace()
    encoder = open_encoder(str(saved(tmp_path, weights)), "torch_cpu")
    resized = np.asarray(Image.fromarray(office[0]).resize((640, 480), Image.Resampling.BILINEAR)) / 255
    images = torch.from_numpy(((resized - MEAN) / STD).transpose(2, 0, 1)[np.newaxis])

    ours = encoder.encode(office[0]).descriptor

    assert ours @ published_formulas("ResNet18", weights, images)[0] > 0.99999


@pytest.mark.parametrize(("backbone", "dim", "_entries"), VARIANTS)
def test_the_variant_is_read_from_the_tensors_and_not_from_the_name(tmp_path, backbone, dim, _entries):
    _, recipe = load_cosplace(saved(tmp_path, random_checkpoints.cosplace(backbone, dim), "ResNet999_7_cosplace.pth"))

    assert recipe.name == f"cosplace-{backbone.lower()}-{dim}"
    assert (recipe.dim, recipe.licence) == (dim, "MIT")
    assert (recipe.width, recipe.height, recipe.interpolation) == (640, 480, "bilinear")
    assert (recipe.mean, recipe.std, recipe.channel_order) == (MEAN, STD, "rgb")


def test_eigenplaces_is_the_same_network_under_its_own_name(tmp_path):
    path = saved(tmp_path, random_checkpoints.cosplace(dim=256), "ResNet18_256_eigenplaces.pth")

    assert load_eigenplaces(path)[1].name == "eigenplaces-resnet18-256"
    assert open_encoder(str(path), "torch_cpu").recipe.name == "eigenplaces-resnet18-256"


def test_a_released_file_in_the_weights_folder_is_found_by_the_encoders_name(weights_folder, office):
    saved(weights_folder, random_checkpoints.cosplace(dim=128), "ResNet18_128_cosplace.pth")

    encoder = open_encoder("cosplace-resnet18-128")

    assert encoder.engine == "torch_cpu"
    assert encoder.encode(office[0]).descriptor.shape == (128,)


@pytest.mark.parametrize("shape", [(1, 1), (2, 700), (480, 848), (31, 17)], ids=str)
def test_a_tiny_or_oblong_image_gives_a_descriptor(tmp_path, shape):
    encoder = open_encoder(str(saved(tmp_path, random_checkpoints.cosplace(dim=32))), "torch_cpu")
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)

    assert np.linalg.norm(encoder.encode(image).descriptor) == pytest.approx(1, abs=1e-5)


def without(name):
    weights = random_checkpoints.cosplace()
    del weights[name]
    return weights


def changed(name, value):
    return random_checkpoints.cosplace() | {name: value}


def a_deeper_resnet():
    weights = random_checkpoints.cosplace("ResNet50", 64)
    return weights | {f"backbone.6.{block}.conv1.weight": torch.ones(256, 1024, 1, 1) for block in range(6, 23)}


BROKEN = {
    "a layer missing": (lambda: without("backbone.6.1.conv2.weight"), r"1 missing \(backbone\.layer3\.1\.conv2"),
    "a tensor too many": (lambda: changed("backbone.9.weight", torch.ones(1)), r"1 unexpected \(backbone\.9\.weight\)"),
    "a wrong shape": (
        lambda: changed("aggregation.3.bias", torch.ones(511)),
        r"aggregation\.3\.bias is \(511,\) instead of \(512,\)",
    ),
    "a projection of another backbone": (
        lambda: changed("aggregation.3.weight", torch.ones(512, 2048)),
        r"aggregation\.3\.weight is \(512, 2048\) instead of \(512, 512\)",
    ),
    "NaN": (lambda: changed("aggregation.1.p", torch.tensor([torch.nan])), "1 not finite"),
    "no projection": (lambda: without("aggregation.3.weight"), r"expected backbone\.0\.weight and aggregation\.3"),
    "ResNet-101": (a_deeper_resnet, r"\(3, 4, 23, 3\) blocks.*deeper ones are not supported"),
    "MixVPR": (random_checkpoints.released, "no CosPlace or EigenPlaces checkpoint"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_checkpoint_that_does_not_fit_is_refused_with_every_mismatch_named(tmp_path, fault):
    content, words = BROKEN[fault]
    with pytest.raises(EncoderError, match=words):
        load_cosplace(saved(tmp_path, content()))


def test_a_truncated_download_is_refused(tmp_path):
    path = saved(tmp_path, random_checkpoints.cosplace())
    path.write_bytes(path.read_bytes()[:-100_000])
    with pytest.raises(EncoderError, match="download it again"):
        open_encoder(str(path))


def test_a_checkpoint_of_another_variant_than_the_name_says_is_refused(tmp_path):
    path = saved(tmp_path, random_checkpoints.cosplace(dim=256))
    with pytest.raises(
        EncoderError, match=r"holds cosplace-resnet18-256, expected cosplace-resnet18-512.*vpr_ros export cosplace --"
    ):
        load_network("cosplace-resnet18-512", path)


def test_a_checkpoint_of_no_known_family_is_refused_and_the_way_out_named(tmp_path):
    path = saved(tmp_path, {"blocks.0.attn.qkv.weight": torch.ones(3, 3)})
    with pytest.raises(EncoderError, match=r"blocks\.0\.attn.*ONNX or TorchScript files with a recipe"):
        open_encoder(str(path))


def test_an_export_at_the_cameras_own_size_computes_the_same(tmp_path, office):
    pytest.importorskip("onnx")
    path = saved(tmp_path, random_checkpoints.cosplace(dim=64))

    exported = export_encoder("cosplace", tmp_path, path, size=(160, 90))

    encoder = open_encoder(str(exported))
    network, recipe = load_network("cosplace", path, (160, 90))
    with torch.inference_mode():
        ours = network(torch.from_numpy(Preprocessing(recipe).apply(office[0])))[0].numpy()
    assert exported.name == "cosplace-resnet18-64.onnx"
    assert (encoder.recipe.width, encoder.recipe.height) == (160, 90)
    assert encoder.encode(office[0]).descriptor @ ours > 0.99999


def test_a_size_is_refused_where_the_network_takes_one_alone(tmp_path):
    mixvpr = saved(tmp_path, random_checkpoints.released())
    with pytest.raises(EncoderError, match="trained for 320 x 320 pixels, not 640 x 480"):
        load_network("mixvpr", mixvpr, (640, 480))
    with pytest.raises(EncoderError, match="size is 640 x 16, expected at least 32"):
        load_network("cosplace", saved(tmp_path, random_checkpoints.cosplace()), (640, 16))


def without_values():
    return changed("aggregation.3.weight", torch.zeros(512, 512)) | {"aggregation.3.bias": torch.zeros(512)}


def test_weights_that_give_no_descriptor_are_refused_when_opened_and_not_exported(tmp_path, recwarn):
    pytest.importorskip("onnx")
    path = saved(tmp_path, without_values())

    with pytest.raises(EncoderError, match=rf"'{path}' does not do what its recipe says.*length 0\.0000"):
        open_encoder(str(path))
    with pytest.raises(EncoderError, match=r"weights of 'cosplace.* length 0\.0000, expected 1.*nothing was written"):
        export_encoder("cosplace", tmp_path / "x.onnx", path, size=(64, 64))
    assert list(tmp_path.iterdir()) == [path]
    assert not [warning for warning in recwarn.list if warning.category is RuntimeWarning]


def test_a_size_that_no_memory_holds_is_refused(tmp_path):
    with pytest.raises(VprError, match="height 100000, expected a whole number from 1 to 8192"):
        load_network("cosplace", saved(tmp_path, random_checkpoints.cosplace()), (100_000, 100_000))
