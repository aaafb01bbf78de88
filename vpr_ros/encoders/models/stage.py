"""A named piece of a backbone, the unit in which layers are frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a backbone.

    Attributes:
        name: What a training config calls it, such as ``blocks.4`` or ``layer2``.
        run: Takes the map of the stage before (the images, for the first) and returns this stage's.
        modules: Modules whose parameters it uses.
    """

    name: str
    run: Callable[[Tensor], Tensor]
    modules: tuple[nn.Module, ...]
