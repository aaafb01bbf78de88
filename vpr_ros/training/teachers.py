"""Networks trained before, whose cosines a training follows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vpr_ros.encoders.models.place_network import PlaceNetwork, load_place_network
from vpr_ros.training.config import TeachingConfig
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.freezing import frozen_stages


class Teachers:
    """Teaches how alike the views of a batch are: similarity-preserving distillation (Tung and Mori, ICCV 2019).

    Several teachers together say the mean of their cosines, which is the cosine of their joined descriptors.
    """

    def __init__(self, config: TeachingConfig, pupil: PlaceNetwork, frozen_through: str | None) -> None:
        """Load them.

        Args:
            config: Which, and how much they count.
            pupil: What is taught.
            frozen_through: Name of the stage whose maps come in, None for images.

        Raises:
            EncoderError: A file can't be read.
            TrainingError: A teacher can't see what the pupil sees.
        """
        self._weight = config.weight
        self._after = frozen_through
        self._networks = [_loaded(Path(file).expanduser(), pupil, frozen_through) for file in config.teachers]

    def loss(self, maps: Sequence[Tensor], descriptors: Tensor) -> Tensor:
        """Return the mean squared difference of cosines, over all pairs of two views, times the weight.

        Args:
            maps: What the pupil saw: images or maps of the frozen stages, n rows.
            descriptors: What it gave, shape (n, dim), unit length.
        """
        with torch.no_grad():
            taught = torch.stack(
                [_cosines(network.describe(maps, self._after).descriptor) for network in self._networks]
            )
        pairs = torch.triu_indices(len(descriptors), len(descriptors), 1, device=descriptors.device)
        differences = _cosines(descriptors) - taught.mean(dim=0)
        return self._weight * differences[pairs[0], pairs[1]].square().mean()


def _cosines(descriptors: Tensor) -> Tensor:
    with torch.autocast(descriptors.device.type, enabled=False):
        return descriptors.float() @ descriptors.float().T


def _loaded(file: Path, pupil: PlaceNetwork, frozen_through: str | None) -> PlaceNetwork:
    teacher, _ = load_place_network(file)
    own, given = pupil.spec, teacher.spec
    if (given.backbone, given.input_size) != (own.backbone, own.input_size):
        raise TrainingError(
            f"teacher '{file}' is {given.backbone} at {given.input_size} pixels, expected {own.backbone} at "
            f"{own.input_size}, as the network that is taught"
        )
    if frozen_through is not None and not _equal_through(teacher, pupil, frozen_through):
        raise TrainingError(
            f"teacher '{file}' has other weights up to '{frozen_through}', whose maps are kept; expected a teacher "
            "of the same frozen layers, or cache: {enabled: false}"
        )
    return teacher.to(next(pupil.parameters()).device).to(memory_format=torch.channels_last)


def _equal_through(one: PlaceNetwork, other: PlaceNetwork, last: str) -> bool:
    """Return whether all values up to a stage are the same, but for half precision in a file."""
    for stage, same in zip(frozen_stages(one, last), frozen_stages(other, last), strict=True):
        for module, twin in zip(stage, same, strict=True):
            values = zip(module.state_dict().values(), twin.state_dict().values(), strict=True)
            if not all(torch.allclose(value, wanted, rtol=1e-3, atol=1e-6) for value, wanted in values):
                return False
    return True
