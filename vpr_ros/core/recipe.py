"""What an encoder expects and is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that must be equal for two descriptors to be compared.

    A map stores it (as JSON) and refuses another encoder's descriptors.

    Attributes:
        name: Registered name, such as ``gem-lite``.
        height: Input height in pixels.
        width: Input width in pixels.
        interpolation: Of the resize to the input size; always antialiased, as PIL does it.
        mean: Per channel, in units of [0, 1].
        std: Per channel, in units of [0, 1].
        dim: Length of the global descriptor.
        weights_sha256: Of the weights file, lower-case hex.
        licence: SPDX identifier of the weights, or a sentence where there is none.
        channel_order: What the network was trained on. Images are RGB inside the house.
    """

    name: str
    height: int
    width: int
    interpolation: Interpolation
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    dim: int
    weights_sha256: str
    licence: str
    channel_order: Literal["rgb", "bgr"] = "rgb"
