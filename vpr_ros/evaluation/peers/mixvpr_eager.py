"""MixVPR-512 on ResNet-50 with random weights: its time is that of the released one, which can't be shipped."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from vpr_ros.core import Recipe
from vpr_ros.encoders.models.export import export_network
from vpr_ros.encoders.models.mixvpr import INPUT_SIZE, MixVpr, MixVprShape

NAME = "mixvpr-r50-512"
_SHAPE = MixVprShape(out_channels=256, out_rows=2)


def random_mixvpr() -> tuple[nn.Module, Recipe]:
    """Return the network, the same at each call, and its recipe."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MixVpr(_SHAPE).eval()
    recipe = Recipe(
        name=NAME,
        height=INPUT_SIZE,
        width=INPUT_SIZE,
        interpolation="bicubic",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        dim=_SHAPE.dim,
        weights_sha256="0" * 64,
        licence="none needed: random weights",
    )
    return network, recipe


def export_random_mixvpr(folder: Path) -> Path:
    """Write its ONNX file and recipe into a folder, and return the ONNX file.

    Raises:
        EncoderError: The export does not compute the same.
    """
    return export_network(*random_mixvpr(), folder / f"{NAME}.onnx")
