"""From a registered name and a checkpoint to a network with its weights, and its recipe."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vpr_ros.core import Recipe
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.gem import load_gem_lite


def load_network(name: str, checkpoint: Path) -> tuple[nn.Module, Recipe]:
    """Return the network of a checkpoint, in eval mode, and its recipe.

    Args:
        name: A registered name; any other says nothing of the variant, and it is read from the file.
        checkpoint: Its trained weights.

    Raises:
        EncoderError: The file can't be read, holds another network, or another variant than the name says.
    """
    if name != "gem-lite":
        raise EncoderError(f"'{name}' can't be loaded from a checkpoint yet")
    return load_gem_lite(checkpoint)
