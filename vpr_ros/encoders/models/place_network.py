"""The network that is trained: a backbone run in stages, aggregators on its maps, joined and projected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import dacite
import torch
from torch import Tensor, nn

from vpr_ros.core import Recipe
from vpr_ros.core.recipe import RecipeError
from vpr_ros.encoders.engines.engine import first_line
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.aggregators import MovedMaps, aggregate, build_head, dim_of
from vpr_ros.encoders.models.backbones import BACKBONES
from vpr_ros.encoders.models.checkpoint import load_strictly, read_checkpoint, some, state_dict_of
from vpr_ros.encoders.models.gem import unit_length
from vpr_ros.encoders.models.network_spec import MapName, NetworkSpec, moved_further
from vpr_ros.encoders.models.stage import Stage
from vpr_ros.encoders.weights import LEAST_HALVED, sha256_of

_STRIDE_16 = 16
_UNSET_SHA256 = "0" * 64


class Description(NamedTuple):
    """What the heads give, step by step; all rows have unit length.

    Attributes:
        parts: Of each head, shape (batch, its dim).
        joined: The parts times their weights, one after the other, shape (batch, joined dim).
        descriptor: The joined parts projected, shape (batch, dim); the joined ones where nothing projects.
    """

    parts: list[Tensor]
    joined: Tensor
    descriptor: Tensor


class PlaceNetwork(nn.Module):
    """A network of a spec, with random weights until they are loaded.

    ``forward`` takes (batch, 3, size, size), normalised as the backbone wants it, and returns the descriptor
    (batch, dim), unit length, and the stride-16 map (batch, channels, size/16, size/16).
    """

    def __init__(self, spec: NetworkSpec) -> None:
        """Build it.

        Raises:
            EncoderError: A head does not fit its map.
        """
        super().__init__()
        self.spec = spec
        facts = BACKBONES[spec.backbone]
        sizes = _map_sizes(spec)
        self.backbone = facts.build(not spec.needs_last_map)
        self.heads = nn.ModuleList(build_head(h, facts.channels[h.map], sizes[h.map]) for h in spec.heads)
        self.moves = moves_of(spec)
        self.part_dims = tuple(dim_of(head, facts.channels[head.map]) for head in spec.heads)
        self.joined_dim = sum(self.part_dims)
        projected = spec.projection.kind != "none"
        self.projection = nn.Linear(self.joined_dim, spec.projection.dim) if projected else None
        # Principal axes are not there before they are fitted, and nothing is projected until then.
        self.is_projecting = spec.projection.kind == "linear"

    @property
    def dim(self) -> int:
        """Length of the descriptor."""
        return self.joined_dim if self.projection is None else self.projection.out_features

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Stages of the backbone, in order."""
        stages: tuple[Stage, ...] = self.backbone.stages()  # type: ignore[operator]  # every backbone has it
        return stages

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(stage.name for stage in self.stages)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the descriptor and the stride-16 map."""
        return self.finish((images,), after=None)

    def maps(self, images: Tensor) -> dict[MapName, Tensor]:
        """Return the maps that heads are put on."""
        last, stride_16 = self._run((images,), after=None, last=self.stage_names[-1])
        assert stride_16 is not None
        return {"stride16": stride_16, "last": last}

    def run_through(self, images: Tensor, last: str) -> tuple[Tensor, ...]:
        """Run the first stages alone.

        Args:
            images: Shape (batch, 3, size, size).
            last: Name of the last stage to run.

        Returns:
            What :meth:`finish` needs: the map of that stage and, where it lies behind it, the stride-16 map.
        """
        x, stride_16 = self._run((images,), after=None, last=last)
        return (x,) if stride_16 is None or stride_16 is x else (x, stride_16)

    def finish(self, maps: Sequence[Tensor], after: str | None) -> tuple[Tensor, Tensor]:
        """Run the rest.

        Args:
            maps: What :meth:`run_through` returned; the images alone where ``after`` is None.
            after: Name of the last stage that was run, None for none.

        Returns:
            The descriptor and the stride-16 map.
        """
        last, stride_16 = self._run(maps, after=after, last=self.stage_names[-1])
        assert stride_16 is not None
        return self._describe({"stride16": stride_16, "last": last}).descriptor, stride_16

    def describe(self, maps: Sequence[Tensor], after: str | None) -> Description:
        """Run the rest, as :meth:`finish` does, and return the descriptor with the steps on the way to it."""
        last, stride_16 = self._run(maps, after=after, last=self.stage_names[-1])
        assert stride_16 is not None
        return self._describe({"stride16": stride_16, "last": last})

    def move_further(self, moved_columns: tuple[int, ...]) -> None:
        """Give the heads that see moved maps others.

        Raises:
            EncoderError: There is no such head, or nothing of a map would be left.
        """
        self.spec = moved_further(self.spec, moved_columns)
        self.moves = moves_of(self.spec)

    def _run(self, maps: Sequence[Tensor], after: str | None, last: str) -> tuple[Tensor, Tensor | None]:
        x = maps[0]
        stride_16 = maps[1] if len(maps) > 1 else None
        names = self.stage_names
        stride_16_name = BACKBONES[self.spec.backbone].stride_16
        if after == stride_16_name:
            stride_16 = x
        start = 0 if after is None else names.index(after) + 1
        for stage in self.stages[start : names.index(last) + 1]:
            x = stage.run(x)
            if stage.name == stride_16_name:
                stride_16 = x
        return x, stride_16

    def _describe(self, maps: dict[MapName, Tensor]) -> Description:
        specs = self.spec.heads
        parts = [
            unit_length(aggregate(head, moves(maps[spec.map])))
            for head, moves, spec in zip(self.heads, self.moves, specs, strict=True)
        ]
        weighted = [part * spec.weight for part, spec in zip(parts, specs, strict=True)]
        joined = unit_length(weighted[0] if len(weighted) == 1 else torch.cat(weighted, dim=1))
        if self.projection is None or not self.is_projecting:
            return Description(parts, joined, joined)
        return Description(parts, joined, unit_length(self.projection(joined)))

    def recipe(self, name: str, weights_sha256: str, licence: str) -> Recipe:
        """Return what an encoder of this network expects and is."""
        facts = BACKBONES[self.spec.backbone]
        return Recipe(
            name=name,
            height=self.spec.input_size,
            width=self.spec.input_size,
            interpolation="bilinear",
            mean=facts.mean,
            std=facts.std,
            dim=self.dim,
            weights_sha256=weights_sha256,
            licence=licence,
        )

    def input_recipe(self) -> Recipe:
        """Return a recipe for preprocessing alone, before there are trained weights."""
        return self.recipe("in training", _UNSET_SHA256, "none")


def _map_sizes(spec: NetworkSpec) -> dict[MapName, int]:
    """Return rows and columns of the maps that heads are put on."""
    return {
        "stride16": spec.input_size // _STRIDE_16,
        "last": spec.input_size // BACKBONES[spec.backbone].last_stride,
    }


def moves_of(spec: NetworkSpec) -> nn.ModuleList:
    """Return what moves the maps of each head.

    Raises:
        EncoderError: Nothing of a map would be left.
    """
    sizes = _map_sizes(spec)
    return nn.ModuleList(MovedMaps(head.moved_columns, sizes[head.map]) for head in spec.heads)


def shortened(network: nn.Module, recipe: Recipe, dim: int) -> tuple[nn.Module, Recipe]:
    """Return a network that gives the first values of a descriptor alone, at unit length, and its recipe.

    The axes of a fitted projection are ordered by strength, so that the first ones hold most of what all of them do.

    Args:
        network: In eval mode; is changed.
        recipe: What it expects and is.
        dim: How many values are kept.

    Raises:
        EncoderError: The network has no projection, or no more values than that.
    """
    projection = network.projection if isinstance(network, PlaceNetwork) else None
    if not isinstance(network, PlaceNetwork) or projection is None:
        raise EncoderError(
            f"'{recipe.name}' can't be shortened: its values are not ordered by strength; expected an encoder of "
            "'vpr_ros train' with a projection, such as mixvpr-lite"
        )
    if not 1 <= dim < projection.out_features:
        raise EncoderError(f"--dim is {dim}, expected 1 to {projection.out_features - 1} for '{recipe.name}'")
    kept = nn.Linear(projection.in_features, dim)
    with torch.no_grad():
        kept.weight.copy_(projection.weight[:dim])
        kept.bias.copy_(projection.bias[:dim])
    network.projection = kept
    network.spec = replace(network.spec, projection=replace(network.spec.projection, dim=dim))
    return network.eval(), replace(recipe, name=f"{recipe.name}-{dim}", dim=dim)


def network_of_values(values: object, place: str) -> NetworkSpec:
    """Return the spec of a mapping as a YAML file or a checkpoint gives it.

    Args:
        values: The mapping.
        place: Where it stands, for errors.

    Raises:
        EncoderError: An unknown, missing or wrongly typed key, or a value out of range.
    """
    if not isinstance(values, dict):
        raise EncoderError(f"{place}: network is a {type(values).__name__}, expected a mapping with backbone and heads")
    try:
        return dacite.from_dict(NetworkSpec, values, dacite.Config(strict=True, cast=[tuple]))
    except (dacite.DaciteError, TypeError, EncoderError) as error:
        raise EncoderError(f"{place}: network does not fit: {error}") from error


def save_network(network: PlaceNetwork, name: str, licence: str, path: Path, *, stored_in_half: bool = False) -> None:
    """Write a network's weights and spec to a file that :func:`load_place_network` reads; tensors and plain values.

    ``stored_in_half`` writes large weights as float16, half the size; they are widened when the file is loaded.
    """
    values = {
        "name": name,
        "licence": licence,
        "network": plain(asdict(network.spec)),
        "state_dict": {n: _stored(tensor, stored_in_half) for n, tensor in network.state_dict().items()},
    }
    unfinished = path.with_suffix(f"{path.suffix}.part")
    torch.save(values, unfinished)
    unfinished.replace(path)


def _stored(tensor: Tensor, in_half: bool) -> Tensor:
    kept = tensor.detach().cpu().contiguous()
    return kept.half() if in_half and kept.is_floating_point() and kept.numel() >= LEAST_HALVED else kept


def load_place_network(path: Path) -> tuple[PlaceNetwork, Recipe]:
    """Return a trained network, in eval mode, and its recipe.

    Raises:
        EncoderError: The file can't be read, is none that a training wrote, or its tensors don't fit its spec.
    """
    content = read_checkpoint(path)
    if not {"name", "licence", "network"} <= set(content):
        raise EncoderError(
            f"'{path}' holds {some(list(map(str, content)))}; expected a weights file that 'vpr_ros train' wrote, with "
            "name, licence, network and state_dict"
        )
    spec = network_of_values(content["network"], str(path))
    try:
        network = PlaceNetwork(spec)
    except (RuntimeError, TypeError) as error:  # torch's words for a size that no memory or no integer holds.
        raise EncoderError(f"'{path}': its network can't be built: {first_line(error)}") from error
    load_strictly(network, state_dict_of(content, path), path, f"the network that its spec says ({network.spec})")
    network.is_projecting = network.projection is not None
    try:
        recipe = network.recipe(str(content["name"]), sha256_of(path), str(content["licence"]))
    except RecipeError as error:
        raise EncoderError(f"'{path}': {error}") from error
    return network.eval(), recipe


def plain(value: object) -> object:
    """Return a value with every tuple as a list, as YAML and weights files hold it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
