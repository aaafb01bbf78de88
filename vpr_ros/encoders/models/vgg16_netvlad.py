"""NetVLAD on VGG16 as Patch-NetVLAD (Hausler et al., CVPR 2021) trained it, and loading of the authors' checkpoints.

The network gives the global descriptor and the map of conv5_3, from which ``reranking/`` makes the patch descriptors
with the same clusters and whitening; :func:`load_netvlad_head` hands those on as arrays. Attribute names are those of
the checkpoints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from vpr_ros.core import Recipe
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.checkpoint import load_strictly, read_state_dict, some
from vpr_ros.encoders.models.gem import unit_length
from vpr_ros.encoders.models.imagenet import imagenet_recipe
from vpr_ros.encoders.weights import sha256_of

CHANNELS = 512
_HEIGHT, _WIDTH = 480, 640
# VGG16 (Simonyan & Zisserman 2015), configuration D up to conv5_3; "M" halves the map.
_VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)
# The released files: 16 clusters were trained on Mapillary, 64 on Pittsburgh.
_TRAINED_ON = {16: "mapillary", 64: "pittsburgh"}
_DATA_PARALLEL = re.compile(r"^(encoder|pool|WPCA)\.module\.")


@dataclass(frozen=True, slots=True, eq=False)
class NetVladHead:
    """What stands behind the map in a checkpoint, as arrays.

    Attributes:
        recipe: Of the encoder whose map it takes.
        assignment: Weights of the 1x1 convolution, shape (clusters, 512), float32.
        centroids: Shape (clusters, 512), float32.
        whitening: Shape (dim, clusters * 512), float32; cluster k and channel c stand at k * 512 + c.
        bias: Shape (dim,), float32.
    """

    recipe: Recipe
    assignment: NDArray[np.float32]
    centroids: NDArray[np.float32]
    whitening: NDArray[np.float32]
    bias: NDArray[np.float32]


class Vgg16NetVlad(nn.Module):
    """VGG16 up to conv5_3 without the ReLU behind it, NetVLAD, whitening.

    ``forward`` takes (batch, 3, height, width), normalised by ImageNet's mean and deviation, and returns the descriptor
    (batch, dim), unit length, and the map (batch, 512, height/16, width/16), of which about half is negative.
    """

    def __init__(self, clusters: int, dim: int) -> None:
        """Build with random weights; nothing is downloaded."""
        super().__init__()
        self.encoder = vgg16()
        self.pool = NetVlad(clusters)
        self.WPCA = nn.Sequential(nn.Conv2d(clusters * CHANNELS, dim, kernel_size=1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the descriptor and the feature map."""
        feature_map = self.encoder(images)
        whitened = self.WPCA(self.pool(feature_map)[:, :, None, None]).flatten(1)
        return unit_length(whitened), feature_map


class NetVlad(nn.Module):
    """NetVLAD (Arandjelović et al., CVPR 2016) without bias in the assignment ("v1" in the authors' code).

    ``forward`` takes (batch, channels, rows, columns) and returns (batch, clusters * channels), unit length.
    """

    def __init__(self, clusters: int, channels: int = CHANNELS) -> None:
        """Build with random weights."""
        super().__init__()
        self.conv = nn.Conv2d(channels, clusters, kernel_size=1, bias=False)
        self.centroids = nn.Parameter(nn.init.normal_(self.conv.weight.new_empty(clusters, channels)))

    def forward(self, feature_map: Tensor) -> Tensor:
        """Return the aggregated residuals."""
        x = unit_length(feature_map)
        shares = self.conv(x).flatten(2).softmax(dim=1)
        # The sum of shares times (x - centroid), with the centroid taken out of the sum.
        vlad = shares @ x.flatten(2).transpose(1, 2) - shares.sum(dim=2, keepdim=True) * self.centroids
        return unit_length((vlad / vlad.norm(dim=2, keepdim=True).clamp(min=1e-12)).flatten(1))


def load_vgg16_netvlad(path: Path) -> tuple[Vgg16NetVlad, Recipe]:
    """Return the network of a Patch-NetVLAD checkpoint, in eval mode, and its recipe.

    Raises:
        EncoderError: The file can't be read, is of another model, has no whitening, or its tensors don't fit together.
    """
    weights = _authors_names(read_state_dict(path))
    clusters, dim = _shape_of(weights, path)
    network = Vgg16NetVlad(clusters, dim)
    load_strictly(network, weights, path, f"VGG16 and NetVLAD with {clusters} clusters and whitening to {dim}")
    name = f"netvlad-{_TRAINED_ON.get(clusters, f'k{clusters}')}-{dim}"
    # As the authors' scripts: bilinear to 480 x 640, aspect not kept.
    return network.eval(), imagenet_recipe(name, (_HEIGHT, _WIDTH), dim, sha256_of(path), "MIT")


def load_netvlad_head(path: Path) -> NetVladHead:
    """Return clusters and whitening of a Patch-NetVLAD checkpoint, for a re-ranking vocabulary.

    Raises:
        EncoderError: As :func:`load_vgg16_netvlad`.
    """
    network, recipe = load_vgg16_netvlad(path)
    whitening = network.WPCA[0]
    assert isinstance(whitening, nn.Conv2d)
    assert whitening.bias is not None
    return NetVladHead(
        recipe=recipe,
        assignment=_array(network.pool.conv.weight.flatten(1)),
        centroids=_array(network.pool.centroids),
        whitening=_array(whitening.weight.flatten(1)),
        bias=_array(whitening.bias),
    )


def vgg16() -> nn.Sequential:
    """Return VGG16 up to conv5_3 without the ReLU behind it, numbered as torchvision's ``features``."""
    layers: list[nn.Module] = []
    channels = 3
    for width in _VGG16:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers[:-1])


def _authors_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take out the ``module.`` that DataParallel left between a part and its tensors."""
    return {_DATA_PARALLEL.sub(r"\1.", name): tensor for name, tensor in weights.items()}


def _shape_of(weights: Mapping[str, Tensor], path: Path) -> tuple[int, int]:
    """Read clusters and descriptor length from the shapes."""
    if "pool.conv.bias" in weights:
        raise EncoderError(
            f"'{path}' has a bias in NetVLAD's assignment (vladv2), which no released file has and this version does "
            "not compute; train with vladv2 = False"
        )
    absent = [name for name in ("encoder.0.weight", "pool.centroids", "pool.conv.weight") if name not in weights]
    if absent:
        raise EncoderError(
            f"'{path}' is no Patch-NetVLAD checkpoint: {some(absent)} missing, it has {some(list(weights))}"
        )
    if "WPCA.0.weight" not in weights:
        raise EncoderError(
            f"'{path}' has no whitening (WPCA.0.weight); take one of the authors' files whose name has WPCA, or add it "
            "with their add_pca.py"
        )
    centroids, whitening = weights["pool.centroids"], weights["WPCA.0.weight"]
    if centroids.ndim != 2 or whitening.ndim != 4 or whitening.shape[1] != centroids.numel():
        raise EncoderError(
            f"'{path}' has centroids of {tuple(centroids.shape)} and whitening of {tuple(whitening.shape)}; expected "
            f"(K, {CHANNELS}) and (P, K * {CHANNELS}, 1, 1): it was put together of two models, take the authors' file"
        )
    return len(centroids), len(whitening)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().cpu().numpy().astype(np.float32)
    return array
