"""Checkpoints: all that a training needs to go on as if it had never stopped. Tensors and plain values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vpr_ros.encoders.models.checkpoint import load_strictly, read_checkpoint, state_dict_of
from vpr_ros.encoders.models.place_network import PlaceNetwork, plain
from vpr_ros.training.config import TrainingConfig
from vpr_ros.training.config_file import config_of_values
from vpr_ros.training.datasets.specs import SPECS
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.writing import whole_file

LAST = "last.ckpt"
_KINDS = {
    "config": dict,
    "step": int,
    "state_dict": dict,
    "loss": dict,
    "optimizer": dict,
    "scaler": dict,
    "average": dict,
    "average_steps": int,
    "best": dict,
    "history": list,
}
# What may differ between the first part of a training and the second: it says where, how long, or comes after the last
# step.
_FREE = (
    "out",
    "data.root",
    "epochs",
    "workers",
    "threads",
    "tensorboard",
    "patience",
    "start_share",
    "start_share_after",
    "fitting.beside",
    "fitting.moved_columns",
    "fitting.centered",
    "stored_in_half",
)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A training after some step.

    Attributes:
        step: Steps done.
        network: Weights by name.
        loss: The loss's weights (proxies) by name.
        optimizer: Its state.
        scaler: State of fp16's gradient scaling; empty without.
        average: Averaged weights by name.
        average_steps: How many steps are in them.
        best: Weights of the best epoch; empty before there is one.
        history: Plain values of the epochs so far.
        corrupt: Why views could not be read, by their number, of what is learned and what is judged.
    """

    step: int
    network: dict[str, Tensor]
    loss: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    average: dict[str, Tensor]
    average_steps: int
    best: dict[str, Tensor]
    history: list[dict[str, Any]]
    corrupt: dict[str, dict[int, str]]

    def save(self, path: Path, config: TrainingConfig) -> None:
        """Write the file, whole or not at all.

        Raises:
            TrainingError: It can't be written.
        """
        values = {
            "config": config_values(config),
            "step": self.step,
            "state_dict": self.network,
            "loss": self.loss,
            "optimizer": self.optimizer,
            "scaler": self.scaler,
            "average": self.average,
            "average_steps": self.average_steps,
            "best": self.best,
            "history": self.history,
            "corrupt": self.corrupt,
        }
        with whole_file(path) as unfinished:
            torch.save(values, unfinished)

    @classmethod
    def read(cls, path: Path, config: TrainingConfig) -> Checkpoint:
        """Read a checkpoint of the same training.

        Raises:
            EncoderError: The file can't be read, is truncated, or holds more than tensors and plain values.
            TrainingError: It is no checkpoint of a training, or of one with another config; names what differs.
        """
        content: dict[str, Any] = read_checkpoint(path)
        absent = [key for key, kind in _KINDS.items() if not isinstance(content.get(key), kind)]
        if absent:
            raise TrainingError(
                f"'{path}' lacks {', '.join(absent)}, or holds something else there; expected a {LAST} that 'vpr_ros "
                "train' wrote: to start from weights alone, give them as init_from"
            )
        # A setting that is newer than the checkpoint had its default.
        kept = config_values(config_of_values(content["config"], str(path)))
        _refuse_other_config(kept, config_values(config), path)
        return cls(
            step=content["step"],
            network=content["state_dict"],
            corrupt=content.get("corrupt", {}),  # older checkpoints have none
            **{key: content[key] for key in _KINDS if key not in ("config", "step", "state_dict")},
        )


def config_values(config: TrainingConfig) -> dict[str, Any]:
    """Return a config as the plain values that a file would hold, defaults included."""
    values = asdict(config)
    kinds = {group: kind for kind, group in SPECS.items()}
    for part in ("train", "validation"):
        specs = getattr(config.data, part)
        values["data"][part] = [{"kind": kinds[type(spec)], **asdict(spec)} for spec in specs]
    result = plain(values)
    assert isinstance(result, dict)
    return result


def load_initial(network: PlaceNetwork, path: Path) -> None:
    """Put the weights of an earlier training into a network: a weights file, or a checkpoint's averaged weights.

    Raises:
        EncoderError: The file can't be read, or its tensors are not those of this network; names what does not fit.
    """
    content = read_checkpoint(path)
    averaged = content.get("average")
    weights = averaged if isinstance(averaged, Mapping) else state_dict_of(content, path)
    load_strictly(network, weights, path, "the network of this config (its backbone, heads and projection)")


def _refuse_other_config(kept: Mapping[str, Any], given: Mapping[str, Any], path: Path) -> None:
    old, new = _flat(kept), _flat(given)
    differing = [name for name in sorted(old | new) if old.get(name) != new.get(name) and not _is_free(name)]
    if differing:
        shown = ", ".join(f"{name} {old.get(name)} instead of {new.get(name)}" for name in differing[:3])
        raise TrainingError(
            f"'{path}' is of a training with {shown}; expected the same config: give another --out, or start from its "
            "weights with init_from"
        )


def _is_free(name: str) -> bool:
    return any(name == free or name.startswith(f"{free}.") for free in _FREE)


def _flat(values: object, prefix: str = "") -> dict[str, object]:
    """Return leaves by dotted name."""
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else None
    if pairs is None:
        return {prefix: values}
    return {
        name: leaf
        for key, inner in pairs
        for name, leaf in _flat(inner, f"{prefix}.{key}" if prefix else str(key)).items()
    }
