"""From an image to what is remembered of it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Recipe
from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.engine import Engine
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.preprocessing import Preprocessing

# float32 sums over a few thousand values stay well below this; fp16 engines reach a few 1e-4.
_UNIT_LENGTH_TOLERANCE = 1e-3


class Encoder(Protocol):
    """An image encoder: recipe, engine and one method.

    Attributes:
        recipe: What it expects and is.
    """

    recipe: Recipe

    @property
    def engine(self) -> str:
        """Return the name of the engine that runs it now, such as ``onnxruntime``."""

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """Encode one RGB image of any size, shape (height, width, 3), uint8.

        Raises:
            EncoderError: The image has another shape or type, or the network gave NaN.
        """


class NetworkEncoder:
    """An encoder made of a recipe's preprocessing and a network on an engine.

    Attributes:
        recipe: What it expects and is.
    """

    def __init__(self, recipe: Recipe, engine: Engine) -> None:
        """Join a recipe and the engine that runs its network."""
        self.recipe = recipe
        self._engine = engine
        self._preprocessing = Preprocessing(recipe)

    @property
    def engine(self) -> str:
        """Return the name of the engine that runs it now: one built in the background may take over."""
        return self._engine.name

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """Encode one RGB image of any size, shape (height, width, 3), uint8.

        Raises:
            EncoderError: The image has another shape or type, or the network gave NaN, a wrong length, or a vector that
                is not of unit length.
        """
        encoding = self._engine.run(self._preprocessing.apply(image))
        self._check(encoding.descriptor)
        return encoding

    def _check(self, descriptor: NDArray[np.float32]) -> None:
        name = f"'{self.recipe.name}' on {self.engine}"
        if descriptor.shape != (self.recipe.dim,):
            raise EncoderError(
                f"{name} gave a descriptor of shape {descriptor.shape}, its recipe says ({self.recipe.dim},); "
                "the recipe beside the weights belongs to another file: export both again"
            )
        length = float(np.linalg.norm(descriptor))
        if not np.isfinite(length):
            raise EncoderError(
                f"{name} gave NaN or infinite values; expected a finite descriptor: "
                "check the weights with 'vpr_ros encoders', or take another engine"
            )
        if abs(length - 1) > _UNIT_LENGTH_TOLERANCE:
            raise EncoderError(
                f"{name} gave a descriptor of length {length:.4f}, expected 1; "
                "export the network with its L2 normalisation inside"
            )
