"""Which layers learn: a prefix of the backbone stays as it is, and BatchNorm statistics may; a suffix may go back."""

from __future__ import annotations

from torch import nn

from vpr_ros.encoders.models.place_network import PlaceNetwork
from vpr_ros.training.errors import TrainingError

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def freeze(network: PlaceNetwork, last: str) -> None:
    """Let the stages up to one, and axes that are fitted and not trained, learn nothing.

    Args:
        network: Its parameters are marked.
        last: Name of the last stage that does not learn; empty lets all learn.

    Raises:
        TrainingError: There is no such stage; names those there are.
    """
    for stage in frozen_stages(network, last):
        for module in stage:
            module.requires_grad_(False)
    if network.projection is not None and not network.is_projecting:
        network.projection.requires_grad_(False)


def set_learning_mode(network: PlaceNetwork, last: str, *, frozen_batch_norm: bool) -> None:
    """Put a network into training mode, but for what is frozen.

    Args:
        network: Its modules' modes are set.
        last: Name of the last stage that does not learn; its statistics never move.
        frozen_batch_norm: Whether statistics stay in the other stages, too (their scale and shift learn).
    """
    network.train()
    for stage in frozen_stages(network, last):
        for module in stage:
            module.eval()
    if frozen_batch_norm:
        for module in network.modules():
            if isinstance(module, _BATCH_NORMS):
                module.eval()


def frozen_stages(network: PlaceNetwork, last: str) -> list[tuple[nn.Module, ...]]:
    """Return the modules of each stage up to one.

    Raises:
        TrainingError: There is no such stage.
    """
    return [stage.modules for stage in network.stages[: _stages_through(network, last, "freeze_through")]]


def stages_going_back(network: PlaceNetwork, after: str) -> nn.ModuleList:
    """Return the modules of the stages after one; of all stages where it is empty.

    Raises:
        TrainingError: There is no such stage, or none after it.
    """
    stages = network.stages[_stages_through(network, after, "start_share_after") :]
    if not stages:
        raise TrainingError(
            f"start_share_after is '{after}', the last stage of the backbone, so that nothing goes back; "
            "expected one before it"
        )
    return nn.ModuleList(module for stage in stages for module in stage.modules)


def _stages_through(network: PlaceNetwork, last: str, setting: str) -> int:
    """Return how many stages there are up to one; 0 where it is empty."""
    if not last:
        return 0
    names = network.stage_names
    if last not in names:
        raise TrainingError(f"{setting} is '{last}', expected a stage of the backbone: {', '.join(names)}")
    return names.index(last) + 1
