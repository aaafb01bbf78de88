"""From a registered name and a checkpoint to a network with its weights, and its recipe."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vpr_ros.core import Recipe
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.gem import load_gem_lite
from vpr_ros.encoders.models.mixvpr_checkpoint import load_mixvpr
from vpr_ros.encoders.models.vgg16_netvlad import load_vgg16_netvlad


def load_network(name: str, checkpoint: Path) -> tuple[nn.Module, Recipe]:
    """Return the network of a checkpoint, in eval mode, and its recipe.

    Args:
        name: ``gem-lite``; ``netvlad-<trained on>-<dim>``; or ``mixvpr`` for the variant that the file holds, or
            ``mixvpr-<dim>``, which must be it.
        checkpoint: Its trained weights.

    Raises:
        EncoderError: The file can't be read, holds another network, or another variant than the name says.
    """
    if name == "gem-lite":
        return load_gem_lite(checkpoint)
    network: nn.Module
    network, recipe = load_vgg16_netvlad(checkpoint) if name.startswith("netvlad-") else load_mixvpr(checkpoint)
    if name not in ("mixvpr", recipe.name):
        raise EncoderError(f"'{checkpoint}' holds {recipe.name}, expected {name}; take --encoder {recipe.name}")
    return network, recipe
