"""From an image to what is remembered of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """What one forward pass gives.

    Attributes:
        descriptor: Global descriptor, unit length, shape (dim,), float32.
        feature_map: Local features for re-ranking, shape (channels, rows, columns), float32; None where the model
            exports none.
    """

    descriptor: NDArray[np.float32]
    feature_map: NDArray[np.float32] | None = None


class Encoder(Protocol):
    """An image encoder: recipe, engine and one method.

    Attributes:
        recipe: What it expects and is.
        engine: Name of the engine that runs it, such as ``onnxruntime``.
    """

    recipe: Recipe
    engine: str

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """Encode one RGB image of any size, shape (height, width, 3), uint8.

        Raises:
            EncoderError: The image has another shape or type, or the network gave NaN.
        """
