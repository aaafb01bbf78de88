"""GeM pooling (Radenović, Tolias & Chum 2019) and the encoder gem-lite that is built of it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from vpr_ros.core import Recipe
from vpr_ros.encoders.models.efficientnet_lite import EfficientNetLite0, load_efficientnet_lite0
from vpr_ros.encoders.weights import sha256_of

_SMALLEST = 1e-6  # The authors' clamp: keeps the root's gradient finite.
_INPUT_SIZE = 320


class Gem(nn.Module):
    """Generalised mean with p = 3: (mean of x^3)^(1/3) over a map, each channel on its own.

    ``forward`` takes (batch, channels, rows, columns) and returns (batch, channels). Negative values count as zero.
    """

    def forward(self, feature_map: Tensor) -> Tensor:
        """Return the pooled channels."""
        x = _whole(feature_map).clamp(min=_SMALLEST)
        pooled: Tensor = (x * x * x).mean(dim=(2, 3)).pow(1 / 3)
        return pooled


class LearnedGem(nn.Module):
    """Generalised mean with a learned p: (mean of x^p)^(1/p) over a map; values below 1e-6 count as 1e-6.

    ``forward`` takes (batch, channels, rows, columns) and returns (batch, channels).
    """

    def __init__(self) -> None:
        """Start with p = 3."""
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), 3.0))

    def forward(self, feature_map: Tensor) -> Tensor:
        """Return the pooled channels."""
        pooled: Tensor = _whole(feature_map).clamp(min=_SMALLEST).pow(self.p).mean(dim=(2, 3)).pow(1 / self.p)
        return pooled


class GemLite(nn.Module):
    """EfficientNet-Lite0 and GeM on the map of its last block.

    The 1280-channel head behind it was made for classes; leaving it out finds places no worse and is four times as
    short (figures in the model card). ``forward`` returns the descriptor (batch, 320), unit length, and the stride-16
    map (batch, 112, 20, 20).
    """

    def __init__(self, backbone: EfficientNetLite0) -> None:
        """Join the backbone and the pooling."""
        super().__init__()
        self.backbone = backbone
        self.pool = Gem()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the descriptor and the feature map."""
        last, stride_16 = self.backbone(images)
        return unit_length(self.pool(last)), stride_16


def unit_length(vectors: Tensor) -> Tensor:
    """Return each row of (batch, dim) brought to length 1; a zero vector stays zero."""
    # functional.normalize is the same, but leaves shape arithmetic behind in an ONNX graph.
    length: Tensor = vectors.norm(dim=1, keepdim=True)
    return vectors / length.clamp(min=1e-12)


def _whole(feature_map: Tensor) -> Tensor:
    """Return a map in float32: the cubes of 0.001 and of 60 are zero and infinity in half precision."""
    # Asked first, because a cast that changes nothing could stay in an ONNX graph.
    return feature_map if feature_map.dtype == torch.float32 else feature_map.float()


def load_gem_lite(path: Path) -> tuple[GemLite, Recipe]:
    """Return the network with the backbone weights of a file, and its recipe.

    Raises:
        EncoderError: The file can't be read or holds another network.
    """
    network = GemLite(load_efficientnet_lite0(path)).eval()
    recipe = Recipe(
        name="gem-lite",
        height=_INPUT_SIZE,
        width=_INPUT_SIZE,
        interpolation="bilinear",
        # (x - 127) / 128 on grey levels, as in the TensorFlow-Lite release.
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
        dim=320,
        weights_sha256=sha256_of(path),
        licence="Apache-2.0",
    )
    return network, recipe
