"""The usual way from image to descriptor in papers' code: PIL, torchvision's transforms, and the network in torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torchvision import transforms  # type: ignore[import-untyped]
from torchvision.transforms.functional import InterpolationMode  # type: ignore[import-untyped]

from vpr_ros.core import Recipe
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.networks import load_network
from vpr_ros.encoders.weights import find_checkpoint, packaged_efficientnet


class TorchvisionEncoder:
    """A network in torch, run eagerly on the processor."""

    def __init__(self, network: nn.Module, recipe: Recipe, threads: int) -> None:
        """Take a network with its weights; the number of threads is torch's, for the whole process."""
        self._network = network.eval()
        torch.set_num_threads(threads)
        self._transform = transforms.Compose(
            [
                transforms.Resize((recipe.height, recipe.width), InterpolationMode[recipe.interpolation.upper()]),
                transforms.ToTensor(),
                transforms.Normalize(recipe.mean, recipe.std),
            ]
        )

    @classmethod
    def of(cls, name: str, threads: int) -> TorchvisionEncoder:
        """Load a registered encoder's checkpoint.

        Raises:
            EncoderError: There is no checkpoint of it, or it can't be read.
        """
        checkpoint = packaged_efficientnet() if name == "gem-lite" else find_checkpoint((name,))
        if checkpoint is None:
            raise EncoderError(f"torch has no checkpoint of '{name}' to run; put it into your weights folder")
        return cls(*load_network(name, checkpoint), threads)

    def encode(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the descriptor of one RGB image, shape (dim,)."""
        with torch.inference_mode():
            output = self._network(self._transform(Image.fromarray(image))[None])
        descriptor: NDArray[np.float32] = (output[0] if isinstance(output, tuple) else output)[0].numpy()
        return descriptor
