"""One process or several, as torch's launcher ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from vpr_ros.training.errors import TrainingError

# What torchrun sets, and what it would set for one process.
_VARIABLES = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
# The others wait while the first computes kept maps, hours of a large set; NCCL alone would give up after ten minutes.
_LONGEST_WAIT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Process:
    """This process among those of a training.

    Attributes:
        rank: Its number; 0 validates and writes files.
        count: How many there are.
        device: What it computes on.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this one writes."""
        return self.rank == 0

    def wait_for_all(self) -> None:
        """Return when every process is here."""
        if self.count > 1:
            distributed.barrier()

    def first_says(self, answer: bool) -> bool:
        """Return what the first process answers, in every process."""
        if self.count == 1:
            return answer
        said = torch.tensor([answer], dtype=torch.int32, device=self.device)
        distributed.broadcast(said, src=0)
        return bool(said.item())


@contextmanager
def joined_processes() -> Iterator[Process]:
    """Join the processes that torchrun started, or be the only one; leave them at the end.

    Raises:
        TrainingError: torchrun's variables don't fit.
    """
    try:
        rank, count, local = (int(os.environ.get(name, d)) for name, d in _VARIABLES)
    except ValueError as error:
        raise TrainingError(f"RANK, WORLD_SIZE or LOCAL_RANK is no number ({error}); start with torchrun") from error
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if has_gpu else torch.device("cpu")
    if count == 1:
        yield Process(0, 1, device)
        return
    distributed.init_process_group("nccl" if has_gpu else "gloo", timeout=_LONGEST_WAIT)
    try:
        yield Process(rank, count, device)
    finally:
        distributed.destroy_process_group()
