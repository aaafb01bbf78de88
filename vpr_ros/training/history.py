"""What each epoch gave: figures kept with the checkpoint, as a table, and as curves for TensorBoard."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dacite

from vpr_ros.encoders.engines.engine import first_line
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.validation import SetFigures
from vpr_ros.training.writing import UNENCODABLE, told_as_unwritable, whole_file

FILE_NAME = "figures.csv"


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """What one epoch gave.

    Attributes:
        epoch: From 1 on; 0 is before the first step.
        step: Steps so far.
        loss: Mean over the epoch's steps; None before the first.
        rate: Learning rate of the heads at the end.
        seconds: Wall clock, validation included.
        sets: Of each validation set; empty where there is none.
    """

    epoch: int
    step: int
    loss: float | None
    rate: float
    seconds: float
    sets: tuple[SetFigures, ...]

    @property
    def score(self) -> float:
        """What the best epoch is chosen by: the mean score of the validation sets, else minus the loss."""
        if self.sets:
            return sum(figures.score for figures in self.sets) / len(self.sets)
        return -self.loss if self.loss is not None else float("-inf")

    def __str__(self) -> str:
        """Return one line for people."""
        loss = "before training" if self.loss is None else f"loss {self.loss:.4f}"
        sets = "; ".join(
            f"{figures.name}: R@1 {figures.recall_at[1]:.3f}, at 100 % precision {figures.recall_at_100_precision:.3f}"
            for figures in self.sets
        )
        return f"epoch {self.epoch}: {loss}, {self.seconds:.0f} s{f'; {sets}' if sets else ''}"


def best_of(history: Sequence[EpochFigures]) -> EpochFigures:
    """Return the epoch of the highest score; of equals the one of the lowest loss, which epoch 0 has none of."""
    return max(history, key=lambda figures: (figures.score, -math.inf if figures.loss is None else -figures.loss))


def history_values(history: Sequence[EpochFigures]) -> list[dict[str, Any]]:
    """Return the history as plain values for a checkpoint."""
    return [asdict(figures) for figures in history]


def history_of_values(values: object) -> list[EpochFigures]:
    """Return the history that :func:`history_values` gave.

    Raises:
        TrainingError: These are no such values.
    """
    try:
        assert isinstance(values, list)
        return [dacite.from_dict(EpochFigures, each, dacite.Config(strict=True, cast=[tuple])) for each in values]
    except (dacite.DaciteError, TypeError, AssertionError) as error:
        raise TrainingError(f"the checkpoint's history does not fit ({error}); it is of another version") from error


def write_table(history: Sequence[EpochFigures], folder: Path) -> None:
    """Write the history to ``figures.csv``, a row an epoch and validation set, whole or not at all.

    Raises:
        TrainingError: It can't be written.
    """
    with (
        whole_file(folder / FILE_NAME) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8", errors=UNENCODABLE) as file,
    ):
        table = csv.writer(file)
        table.writerow(
            ("epoch", "step", "loss", "rate", "seconds", "set", "queries", "r1", "r5", "r10", "recall_at_100_precision")
        )
        for epoch in history:
            head = (epoch.epoch, epoch.step, epoch.loss, epoch.rate, round(epoch.seconds, 1))
            for figures in epoch.sets or (None,):
                table.writerow(head + (() if figures is None else _row(figures)))


def _row(figures: SetFigures) -> tuple[object, ...]:
    recalls = (round(figures.recall_at[depth], 4) for depth in (1, 5, 10))
    return (figures.name, figures.queries, *recalls, round(figures.recall_at_100_precision, 4))


class Curves:
    """Curves for TensorBoard, or nothing where they are not wanted."""

    def __init__(self, folder: Path | None) -> None:
        """Start writing into a folder; None writes nothing.

        Raises:
            TrainingError: TensorBoard is not installed, or broken, or the folder can't be written.
        """
        self._writer = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except Exception as error:  # A broken library can raise anything.
            raise TrainingError(
                f"tensorboard is true, but can't start: {first_line(error)}; 'pip install tensorboard', or leave it out"
            ) from error
        with told_as_unwritable(folder):
            self._writer = SummaryWriter(str(folder))

    def add_step(self, step: int, values: Mapping[str, float]) -> None:
        """Add points of one step."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def add_epoch(self, figures: EpochFigures) -> None:
        """Add an epoch's points."""
        for each in figures.sets:
            recalls = {f"{each.name}/recall at {depth}": recall for depth, recall in each.recall_at.items()}
            sure = {f"{each.name}/recall at 100 % precision": each.recall_at_100_precision}
            self.add_step(figures.step, recalls | sure)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
