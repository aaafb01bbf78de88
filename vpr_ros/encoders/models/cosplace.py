"""CosPlace (Berton, Masone & Caputo, CVPR 2022) and EigenPlaces (Berton et al., ICCV 2023): one network, two trainings.

Written from the published formulas; the tensors of the authors' files are renamed to those of our backbones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from vpr_ros.core import Recipe
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.checkpoint import load_strictly, read_state_dict, some
from vpr_ros.encoders.models.gem import LearnedGem, unit_length
from vpr_ros.encoders.models.imagenet import imagenet_recipe
from vpr_ros.encoders.models.resnet import ResNet
from vpr_ros.encoders.models.vgg16_netvlad import vgg16
from vpr_ros.encoders.weights import sha256_of

SMALLEST_SIDE = 32  # Pixels of one position of ResNet's last map.
# Pixels of most images their tests run on; the network takes others, and 'vpr_ros export --size' sets them.
_SIZE = (480, 640)
# The authors keep torchvision's modules in an nn.Sequential, where relu and maxpool take the numbers 2 and 3.
_RESNET_PARTS = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
_NUMBERED = re.compile(r"^backbone\.(\d+)\.(?=.)")
_RESNET_STEM = (7, 7)  # Kernel of the first convolution; VGG16's is (3, 3).
# Depth by whether blocks have a third convolution, and blocks of each layer.
_DEPTHS: dict[tuple[bool, tuple[int, ...]], int] = {
    (False, (2, 2, 2, 2)): 18,
    (False, (3, 4, 6, 3)): 34,
    (True, (3, 4, 6, 3)): 50,
}
_CHANNELS = {"vgg16": 512, "resnet18": 512, "resnet34": 512, "resnet50": 2048}
_PROJECTION = "aggregation.3.weight"


class PooledPlaces(nn.Module):
    """A backbone, GeM over its map's unit vectors, and a projection.

    ``forward`` takes (batch, 3, height, width), normalised by ImageNet's mean and deviation, and returns the descriptor
    (batch, dim), unit length.
    """

    def __init__(self, backbone: str, dim: int) -> None:
        """Build ``vgg16``, ``resnet18``, ``resnet34`` or ``resnet50`` with random weights; nothing is downloaded."""
        super().__init__()
        self.backbone = vgg16() if backbone == "vgg16" else ResNet(int(backbone.removeprefix("resnet")))
        # The numbers of the authors' nn.Sequential: unit length 0, GeM 1, flatten 2, projection 3, unit length 4.
        self.aggregation = nn.ModuleDict({"1": LearnedGem(), "3": nn.Linear(_CHANNELS[backbone], dim)})

    def forward(self, images: Tensor) -> Tensor:
        """Return the descriptor."""
        pooled = self.aggregation["1"](unit_length(self.backbone(images)))
        return unit_length(self.aggregation["3"](pooled))


def load_cosplace(path: Path) -> tuple[PooledPlaces, Recipe]:
    """Return the network of a CosPlace checkpoint, in eval mode, and its recipe.

    Raises:
        EncoderError: The file can't be read, is of another network, or does not fit; names each mismatch.
    """
    return _load("cosplace", path)


def load_eigenplaces(path: Path) -> tuple[PooledPlaces, Recipe]:
    """Return the network of an EigenPlaces checkpoint, in eval mode, and its recipe.

    Raises:
        EncoderError: As :func:`load_cosplace`.
    """
    return _load("eigenplaces", path)


def _load(method: str, path: Path) -> tuple[PooledPlaces, Recipe]:
    weights = read_state_dict(path)
    backbone = _backbone_of(weights, path)
    dim = _dim_of(weights, path)
    network = PooledPlaces(backbone, dim)
    if backbone != "vgg16":
        weights = {_torchvision_name(name): tensor for name, tensor in weights.items()}
    load_strictly(network, weights, path, f"{method} on {backbone} with {dim} values")
    recipe = imagenet_recipe(f"{method}-{backbone}-{dim}", _SIZE, dim, sha256_of(path), "MIT")
    return network.eval(), recipe


def _backbone_of(weights: Mapping[str, Tensor], path: Path) -> str:
    """Read the backbone from the tensors."""
    first = weights.get("backbone.0.weight")
    if first is None or _PROJECTION not in weights:
        raise EncoderError(
            f"'{path}' is no CosPlace or EigenPlaces checkpoint: it has {some(list(weights))}, expected "
            f"backbone.0.weight and {_PROJECTION}"
        )
    if tuple(first.shape[2:]) != _RESNET_STEM:
        return "vgg16"
    blocks = tuple(_blocks_of(weights, f"backbone.{layer}.") for layer in (4, 5, 6, 7))
    depth = _DEPTHS.get(("backbone.4.0.conv3.weight" in weights, blocks))
    if depth is None:
        raise EncoderError(
            f"'{path}' has a ResNet of {blocks} blocks, expected {', '.join(str(known) for _, known in _DEPTHS)} "
            "(ResNet-18, 34, 50); deeper ones are not supported"
        )
    return f"resnet{depth}"


def _blocks_of(weights: Mapping[str, Tensor], layer: str) -> int:
    return len({name.removeprefix(layer).partition(".")[0] for name in weights if name.startswith(layer)})


def _dim_of(weights: Mapping[str, Tensor], path: Path) -> int:
    projection = weights[_PROJECTION]
    if projection.ndim != 2:
        raise EncoderError(f"'{path}' has {_PROJECTION} of shape {tuple(projection.shape)}, expected (dim, channels)")
    return len(projection)


def _torchvision_name(name: str) -> str:
    """Return a tensor's name in our ResNet; one that fits no part stays, and strict loading names it."""
    number = _NUMBERED.match(name)
    part = _RESNET_PARTS.get(number[1]) if number else None
    return f"backbone.{part}.{name[number.end() :]}" if number and part else name
