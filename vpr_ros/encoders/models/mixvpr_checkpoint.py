"""Loading MixVPR checkpoints: the authors' released files, Lightning's, and those of other repositories.

The variant is read from the shapes, never from the file's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from vpr_ros.core import Recipe
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.checkpoint import load_strictly, read_checkpoint, some, state_dict_of
from vpr_ros.encoders.models.imagenet import imagenet_recipe
from vpr_ros.encoders.models.mixvpr import IN_CHANNELS, INPUT_SIZE, POSITIONS, MixVpr, MixVprShape
from vpr_ros.encoders.weights import sha256_of

_AUTHORS = "backbone.model."
# Bag-of-Queries keeps torchvision's modules in an nn.Sequential, where relu and maxpool take the numbers 2 and 3.
_BOQ = "backbone.net."
_BOQ_NAMES = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3"}
# OpenVPRLab cuts the backbone into a stem and three layers, the first of them frozen, the others not.
_FROZEN, _UNFROZEN = "backbone.frozen_layers.", "backbone.unfrozen_layers."
_STEM_NAMES = {"0": "conv1", "1": "bn1"}


def load_mixvpr(path: Path) -> tuple[MixVpr, Recipe]:
    """Return the network of a checkpoint, in eval mode, and its recipe.

    Raises:
        EncoderError: The file can't be read, is no MixVPR on ResNet-50, or does not fit; names each mismatch.
    """
    content = read_checkpoint(path)
    weights = authors_names(state_dict_of(content, path), path)
    shape = _shape_of(weights, path)
    _compare_with_hyper_parameters(shape, content, path)
    network = MixVpr(shape)
    load_strictly(network, weights, path, f"MixVPR with {shape.out_channels} channels and {shape.out_rows} rows")
    # As the authors' demo: PIL bicubic to 320 x 320, aspect not kept.
    size, licence = (INPUT_SIZE, INPUT_SIZE), "none stated by the authors"
    recipe = imagenet_recipe(f"mixvpr-{shape.dim}", size, shape.dim, sha256_of(path), licence, "bicubic")
    return network.eval(), recipe


def authors_names(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the tensors under the names of the authors' released files.

    Raises:
        EncoderError: These are the tensors of something else.
    """
    foreign = [name for name in weights if name.startswith("fc.") or ".layer4." in name or ".fc." in name]
    if foreign or not any(name.startswith("aggregator.") for name in weights):
        wrong = f"it has {some(foreign)}" if foreign else f"no 'aggregator.', but {some(list(weights))}"
        raise EncoderError(f"'{path}' is no MixVPR checkpoint: {wrong}; expected 'backbone.' and 'aggregator.' tensors")
    frozen_blocks = 1 + max((_number_after(_FROZEN, name) for name in weights if name.startswith(_FROZEN)), default=-1)
    return {_authors_name(name, frozen_blocks): tensor for name, tensor in weights.items()}


def _authors_name(name: str, frozen_blocks: int) -> str:
    """Return a tensor's name in the authors' files; one that fits no layout stays, and strict loading names it."""
    if name.startswith(_BOQ):
        number, _, rest = name.removeprefix(_BOQ).partition(".")
        return f"{_AUTHORS}{_BOQ_NAMES[number]}.{rest}" if number in _BOQ_NAMES else name
    for prefix, first_block in ((_FROZEN, 0), (_UNFROZEN, frozen_blocks)):
        if name.startswith(prefix):
            block = first_block + _number_after(prefix, name)
            rest = name.removeprefix(prefix).partition(".")[2]
            return _openvprlab_name(name, block, rest)
    return name


def _openvprlab_name(name: str, block: int, rest: str) -> str:
    if block in (1, 2, 3):
        return f"{_AUTHORS}layer{block}.{rest}"
    part, _, tensor = rest.partition(".")
    return f"{_AUTHORS}{_STEM_NAMES[part]}.{tensor}" if block == 0 and part in _STEM_NAMES else name


def _number_after(prefix: str, name: str) -> int:
    number = name.removeprefix(prefix).partition(".")[0]
    return int(number) if number.isdecimal() else -1


def _shape_of(weights: Mapping[str, Tensor], path: Path) -> MixVprShape:
    """Read the variant from the shapes of the head."""
    keys = {
        "channels": "aggregator.channel_proj.weight",
        "rows": "aggregator.row_proj.weight",
        "mixer": "aggregator.mix.0.mix.1.weight",
    }
    absent = [key for key in keys.values() if key not in weights or weights[key].ndim != 2]
    if absent:
        raise EncoderError(f"'{path}' is no MixVPR checkpoint: {some(absent)} missing or not a matrix")
    out_channels, in_channels = weights[keys["channels"]].shape
    out_rows, positions = weights[keys["rows"]].shape
    if in_channels != IN_CHANNELS:
        raise EncoderError(
            f"'{path}' mixes {in_channels} channels, expected {IN_CHANNELS} of ResNet-50's layer3; "
            "other backbones (256: ResNet-18 or 34) are not supported"
        )
    if positions != POSITIONS:
        raise EncoderError(
            f"'{path}' was made for maps of {positions} positions, expected {POSITIONS} (input {INPUT_SIZE} x "
            f"{INPUT_SIZE}); other input sizes are not supported"
        )
    mixers = {name.split(".")[2] for name in weights if name.startswith("aggregator.mix.")}
    return MixVprShape(out_channels, out_rows, len(mixers), weights[keys["mixer"]].shape[0])


def _compare_with_hyper_parameters(shape: MixVprShape, content: Mapping[str, object], path: Path) -> None:
    """Refuse a Lightning checkpoint whose stated configuration contradicts its tensors."""
    stated = content.get("hyper_parameters")
    config = stated.get("agg_config") if isinstance(stated, Mapping) else None
    if not isinstance(config, Mapping):
        return
    seen = {"out_channels": shape.out_channels, "out_rows": shape.out_rows, "mix_depth": shape.depth}
    for key, value in seen.items():
        # A Lightning file may hold anything there, such as a tensor, which has no one truth.
        if isinstance(config.get(key), int) and config[key] != value:
            raise EncoderError(
                f"'{path}' says {key} = {config[key]} in its hyper_parameters, its tensors have {value}; "
                "it was put together of two models: export it again from the training run"
            )
