"""What each family's authors feed their networks: size, resize and normalisation, as their code has it."""

import pytest

torch = pytest.importorskip("torch")

import random_checkpoints  # noqa: E402 - needs torch

from vpr_ros.core import share_path  # noqa: E402
from vpr_ros.encoders.models.cosplace import load_cosplace, load_eigenplaces  # noqa: E402
from vpr_ros.encoders.models.gem import load_gem_lite  # noqa: E402
from vpr_ros.encoders.models.mixvpr_checkpoint import load_mixvpr  # noqa: E402
from vpr_ros.encoders.models.place_network import load_place_network  # noqa: E402
from vpr_ros.encoders.models.vgg16_netvlad import Vgg16NetVlad, load_vgg16_netvlad  # noqa: E402
from vpr_ros.encoders.weights import packaged_efficientnet  # noqa: E402

# torchvision's models, trained on ImageNet.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# (x - 127) / 128 on grey levels: TensorFlow's EfficientNet-Lite.
LITE = ((127 / 255,) * 3, (128 / 255,) * 3)
# Height, width, interpolation, mean and deviation.
EXPECTED = {
    "mixvpr-128": (320, 320, "bicubic", *IMAGENET),  # demo.py of amaralibey/MixVPR
    "netvlad-mapillary-8": (480, 640, "bilinear", *IMAGENET),  # feature_extract.py of QVPR/Patch-NetVLAD
    "netvlad-pittsburgh-8": (480, 640, "bilinear", *IMAGENET),
    "cosplace-resnet18-32": (480, 640, "bilinear", *IMAGENET),  # test_dataset.py of gmberton/CosPlace, images as stored
    "eigenplaces-resnet18-32": (480, 640, "bilinear", *IMAGENET),
    "gem-lite": (320, 320, "bilinear", *LITE),
    "mixvpr-lite": (320, 320, "bilinear", *LITE),
}


def recipe_of(name, folder):
    path = folder / "weights.pth"
    if name == "gem-lite":
        return load_gem_lite(packaged_efficientnet())[1]
    if name == "mixvpr-lite":
        return load_place_network(share_path("weights/mixvpr-lite.pt"))[1]
    family = name.partition("-")[0]
    if family == "netvlad":
        content, load = Vgg16NetVlad(16 if "mapillary" in name else 64, 8).state_dict(), load_vgg16_netvlad
    elif family == "mixvpr":
        content, load = random_checkpoints.released(128), load_mixvpr
    else:
        content = random_checkpoints.cosplace(dim=32)
        load = load_cosplace if family == "cosplace" else load_eigenplaces
    torch.save(content, path)
    return load(path)[1]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_network_is_fed_as_its_authors_feed_it(tmp_path, name):
    recipe = recipe_of(name, tmp_path)

    assert recipe.name == name
    assert (recipe.height, recipe.width, recipe.interpolation, recipe.mean, recipe.std) == EXPECTED[name]
    # The whole image is resized, in RGB, as PIL does it.
    assert (recipe.channel_order, recipe.antialias, recipe.resized) == ("rgb", True, None)
