"""From a registered name and a checkpoint to a network with its weights, and its recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from vpr_ros.core import Recipe
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.checkpoint import read_state_dict, some
from vpr_ros.encoders.models.cosplace import SMALLEST_SIDE, PooledPlaces, load_cosplace, load_eigenplaces
from vpr_ros.encoders.models.gem import load_gem_lite
from vpr_ros.encoders.models.mixvpr_checkpoint import load_mixvpr
from vpr_ros.encoders.models.place_network import load_place_network
from vpr_ros.encoders.models.torchscript import load_torchscript
from vpr_ros.encoders.models.vgg16_netvlad import load_vgg16_netvlad

_TRAINED = "trained"  # by 'vpr_ros train'
TRAINED_HERE = ("mixvpr-lite", "mixvpr-lite-128")
_ANY = "checkpoint"
_LOADERS: dict[str, Callable[[Path], tuple[nn.Module, Recipe]]] = {
    "mixvpr": load_mixvpr,
    "netvlad": load_vgg16_netvlad,
    "cosplace": load_cosplace,
    "eigenplaces": load_eigenplaces,
    _TRAINED: load_place_network,
    "gem-lite": load_gem_lite,
    "torchscript": load_torchscript,
}


def load_network(name: str, checkpoint: Path, size: tuple[int, int] | None = None) -> tuple[nn.Module, Recipe]:
    """Return the network of a checkpoint, in eval mode, and its recipe.

    Args:
        name: ``gem-lite`` or one of :data:`TRAINED_HERE`; a family (``mixvpr``, ``netvlad``, ``cosplace``,
            ``eigenplaces``) for the variant that the file holds, or a variant such as ``mixvpr-512``, which must be
            it; ``checkpoint`` for whatever family the file is of; ``torchscript`` for a file that is run as it is.
        checkpoint: Its trained weights.
        size: Width and height of its input in pixels; None for those of its authors.

    Raises:
        EncoderError: The file can't be read, holds another network, or another variant than the name says; or it takes
            no other size.
    """
    if name == _ANY:
        name = _family_of(checkpoint)
    family = name if name in _LOADERS else _TRAINED if name in TRAINED_HERE else name.partition("-")[0]
    network: nn.Module
    network, recipe = _LOADERS[family](checkpoint)
    if name not in (family, recipe.name):
        whatever = _ANY if family == _TRAINED else family
        raise EncoderError(
            f"'{checkpoint}' holds {recipe.name}, expected {name}; to take it as it is, give its path as --encoder "
            f"PATH, or 'vpr_ros export {whatever} --checkpoint PATH'"
        )
    return network, recipe if size is None else _at_size(network, recipe, size)


def _at_size(network: nn.Module, recipe: Recipe, size: tuple[int, int]) -> Recipe:
    width, height = size
    if not isinstance(network, PooledPlaces):
        raise EncoderError(
            f"'{recipe.name}' was trained for {recipe.width} x {recipe.height} pixels, not {width} x {height}; only "
            "CosPlace and EigenPlaces take other sizes"
        )
    if min(size) < SMALLEST_SIDE:
        raise EncoderError(f"size is {width} x {height}, expected at least {SMALLEST_SIDE} pixels a side")
    return replace(recipe, width=width, height=height)


def _family_of(checkpoint: Path) -> str:
    """Tell the families by their tensors; CosPlace and EigenPlaces share theirs, so the file's name decides."""
    names = read_state_dict(checkpoint)
    if "pool.centroids" in names or "pool.module.centroids" in names:
        return "netvlad"
    if "aggregation.3.weight" in names:
        return "eigenplaces" if "eigenplaces" in checkpoint.name.lower() else "cosplace"
    if any(name.startswith("aggregator.") for name in names):
        return "mixvpr"
    if any(name.startswith(("heads.", "backbone._blocks.")) for name in names):
        return _TRAINED
    raise EncoderError(
        f"'{checkpoint}' holds {some(list(names))}, which is no MixVPR, NetVLAD, CosPlace or EigenPlaces; other "
        "networks run as ONNX or TorchScript files with a recipe (docs/encoders.md)"
    )
