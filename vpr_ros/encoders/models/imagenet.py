"""The normalisation of torchvision's backbones, which were trained on ImageNet."""

from __future__ import annotations

from typing import Literal

from vpr_ros.core import Recipe

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def imagenet_recipe(
    name: str,
    size: tuple[int, int],
    dim: int,
    weights_sha256: str,
    licence: str,
    interpolation: Literal["bilinear", "bicubic"] = "bilinear",
) -> Recipe:
    """Return the recipe of an encoder on such a backbone; ``size`` is height and width."""
    height, width = size
    return Recipe(name, height, width, interpolation, MEAN, STD, dim, weights_sha256, licence)
