"""The training loop: draw, learn, average, judge, keep."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vpr_ros.encoders.engines.engine import first_line
from vpr_ros.encoders.models.place_network import PlaceNetwork
from vpr_ros.training.batches import Batch, Batches
from vpr_ros.training.checkpoint import LAST, Checkpoint
from vpr_ros.training.config import LossConfig, TrainingConfig
from vpr_ros.training.describing import describe
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.freezing import set_learning_mode
from vpr_ros.training.history import Curves, EpochFigures, best_of, history_of_values, history_values, write_table
from vpr_ros.training.losses import PlaceLoss
from vpr_ros.training.map_cache import MapCache
from vpr_ros.training.pool import ViewPool
from vpr_ros.training.processes import Process
from vpr_ros.training.schedule import build_optimizer, rate_factor, set_rate
from vpr_ros.training.teachers import Teachers
from vpr_ros.training.validation import SetFigures, validate
from vpr_ros.training.weight_average import WeightAverage

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}

OnEpoch = Callable[[EpochFigures], None]
OnStep = Callable[[int], None]


class Learner(nn.Module):
    """Network and loss as one module, so that all that learns can be handed to torch's data-parallel wrapper."""

    def __init__(
        self,
        network: PlaceNetwork,
        loss: PlaceLoss,
        config: LossConfig,
        frozen_through: str | None,
        teachers: Teachers | None = None,
    ) -> None:
        """Join them; ``frozen_through`` names the stage whose maps come in, None for images."""
        super().__init__()
        self.network = network
        self.loss = loss
        self._config = config
        self._after = frozen_through
        self._teachers = teachers

    def forward(self, maps: list[Tensor], labels: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of a batch: of the descriptors and, where asked, heads, joined heads and teachers."""
        found = self.network.describe(maps, self._after)
        result: Tensor = self.loss(found.descriptor, labels, classes)
        if self._config.on_joined:
            result = result + self._config.on_joined * self.loss(found.joined, labels, classes)
        for weight, part in zip(self._config.on_heads, found.parts, strict=False):
            if weight:
                result = result + weight * self.loss(part, labels, classes)
        if self._teachers is not None:
            result = result + self._teachers.loss(maps, found.descriptor)
        return result


class Trainer:
    """One training, from its first step or from a checkpoint on.

    Attributes:
        network: What is trained.
        history: Figures of the epochs so far.
    """

    def __init__(
        self,
        config: TrainingConfig,
        network: PlaceNetwork,
        *,
        batches: Batches,
        classes: int,
        pools: tuple[ViewPool, ViewPool | None],
        caches: tuple[MapCache | None, MapCache | None],
        process: Process,
        out: Path,
    ) -> None:
        """Put everything together.

        Args:
            config: What to do.
            network: With its first weights, frozen where it should be.
            batches: To learn from.
            classes: Classes of the training set.
            pools: Views to learn from, and to judge on; None for nothing.
            caches: Kept maps of the training's views and of the judged ones.
            process: This one.
            out: Folder for checkpoint and figures.

        Raises:
            TrainingError: A library that is missing, a teacher that does not fit, or nothing learns.
            EncoderError: A teacher can't be read.
        """
        self.network = network.to(process.device)
        self.history: list[EpochFigures] = []
        self._config = config
        self._batches = batches
        self._learned, self._judged = pools
        self._judged_cache = caches[1]
        self._after = config.freeze_through if caches[0] is not None else None
        self._process = process
        self._out = out
        self._loss = PlaceLoss(config.loss, classes=classes, dim=_trained_dim(network)).to(process.device)
        teachers = Teachers(config.teaching, network, self._after) if config.teaching.teachers else None
        self._learner: nn.Module = Learner(network, self._loss, config.loss, self._after, teachers)
        self._optimizer = _optimizer_or_refuse(network, self._loss, config)
        if process.count > 1 and any(parameter.requires_grad for parameter in self._learner.parameters()):
            self._learner = nn.parallel.DistributedDataParallel(self._learner)
        self._scaler = torch.amp.GradScaler(process.device.type, enabled=config.precision == "fp16")
        self._average = WeightAverage(network, config.average_decay)
        self._best: dict[str, Tensor] = {}
        self._step = 0

    def resume(self, kept: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            TrainingError: It is of another training, or damaged.
        """
        self._restore_proxies(kept.loss)
        try:
            self._restore(kept)
        except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"'{self._out / LAST}' does not fit this training ({first_line(error)}); expected the file as 'vpr_ros "
                "train' wrote it: give another --out"
            ) from error

    def _restore(self, kept: Checkpoint) -> None:
        if kept.best:
            self.network.load_state_dict(kept.best)  # to be refused now and not after all steps
        self.network.load_state_dict(kept.network)
        self._optimizer.load_state_dict(kept.optimizer)
        if kept.scaler:
            self._scaler.load_state_dict(kept.scaler)
        self._average.restore(kept.average, kept.average_steps)
        self._best = kept.best
        self._step = kept.step
        self.history = history_of_values(kept.history)
        for name, pool in self._pools().items():
            pool.corrupt.update(kept.corrupt.get(name, {}))

    def _restore_proxies(self, kept: dict[str, Tensor]) -> None:
        try:
            self._loss.load_state_dict(kept)
        except RuntimeError as error:
            own = {name: tuple(value.shape) for name, value in self._loss.state_dict().items()}
            seen = {name: tuple(value.shape) for name, value in kept.items()}
            raise TrainingError(
                f"'{self._out / LAST}' has the proxies {seen}, expected {own}: the training set has other places than "
                "it had; give another --out, or start from its weights with init_from"
            ) from error

    def run(self, on_step: OnStep, on_epoch: OnEpoch) -> None:
        """Train to the end; afterwards the network wears the best weights.

        Args:
            on_step: Called with the number of steps done since the last call.
            on_epoch: Called with the figures of each epoch.

        Raises:
            TrainingError: The loss is not finite, or batches can't be drawn.
        """
        with ExitStack() as stack:
            folder = self._out / "curves" if self._config.tensorboard and self._process.is_first else None
            curves = Curves(folder)
            stack.callback(curves.close)
            if self._process.first_says(bool(self.history)):
                on_step(self._step)
            else:
                self._finish_epoch(0, None, time.perf_counter(), curves, on_epoch)
            for epoch in range(self._step // self._config.sampling.steps + 1, self._config.epochs + 1):
                if self._is_out_of_patience(epoch):
                    break
                began = time.perf_counter()
                self._finish_epoch(epoch, self._learn_epoch(curves, on_step), began, curves, on_epoch)
        if self._best:
            self.network.load_state_dict(self._best)
        self.network.eval()

    def judge(self) -> tuple[SetFigures, ...]:
        """Return how well the network as it is finds the judged places."""
        judged = self._judged
        if judged is None:
            return ()
        cache, last = self._judged_cache, self._config.freeze_through

        def described(
            views: NDArray[np.int64], renderings: NDArray[np.int64]
        ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            with self._autocast():
                return describe(self.network, judged, cache, last, views, renderings)

        return tuple(validate(judged, described))

    def _learn_epoch(self, curves: Curves, on_step: OnStep) -> float:
        """Take one epoch's steps and return the mean loss."""
        set_learning_mode(self.network, self._config.freeze_through, frozen_batch_norm=self._config.frozen_batch_norm)
        losses = []
        end = self._step + self._config.sampling.steps
        for batch in self._batches.between(self._step, end):
            losses.append(self._learn(batch.to(self._process.device)))
            self._step += 1
            rate = self._optimizer.param_groups[0]["lr"]
            curves.add_step(self._step, {"loss": losses[-1], "learning rate": rate})
            on_step(1)
        return float(np.mean(losses))

    def _learn(self, batch: Batch) -> float:
        """Take one step and return its loss."""
        set_rate(self._optimizer, rate_factor(self._config, self._step))
        self._optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            loss: Tensor = self._learner(batch.maps, batch.labels, batch.classes)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingError(
                f"the loss of step {self._step} is {value}, expected a finite number; lower optimizer.learning_rate, "
                "or set optimizer.clip_norm"
            )
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self._config.optimizer.clip_norm:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._learner.parameters(), self._config.optimizer.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._average.update(self.network)
        return value

    def _finish_epoch(self, epoch: int, loss: float | None, began: float, curves: Curves, on_epoch: OnEpoch) -> None:
        """Judge, keep the best, write the checkpoint; the first process alone."""
        if self._process.is_first:
            with self._average.worn_by(self.network):
                sets = self.judge()
            rate = self._optimizer.param_groups[0]["lr"] if self._optimizer.param_groups else 0.0
            figures = EpochFigures(epoch, self._step, loss, rate, time.perf_counter() - began, sets)
            self.history.append(figures)
            if best_of(self.history) is figures:
                self._best = {name: value.clone() for name, value in self._average.weights.items()}
            curves.add_epoch(figures)
            write_table(self.history, self._out)
            self._save()
            on_epoch(figures)
        self._process.wait_for_all()

    def _save(self) -> None:
        Checkpoint(
            step=self._step,
            network=self.network.state_dict(),
            loss=self._loss.state_dict(),
            optimizer=self._optimizer.state_dict(),
            scaler=self._scaler.state_dict(),
            average=self._average.weights,
            average_steps=self._average.steps,
            best=self._best,
            history=history_values(self.history),
            corrupt={name: dict(pool.corrupt) for name, pool in self._pools().items()},
        ).save(self._out / LAST, self._config)

    def _pools(self) -> dict[str, ViewPool]:
        return {"learned": self._learned, **({"judged": self._judged} if self._judged else {})}

    def _is_out_of_patience(self, epoch: int) -> bool:
        patience = self._config.patience
        is_out = bool(patience and self.history) and epoch - 1 - best_of(self.history).epoch >= patience
        return self._process.first_says(is_out)

    def _autocast(self) -> torch.autocast:
        half = _HALF.get(self._config.precision)
        return torch.autocast(self._process.device.type, dtype=half, enabled=half is not None)


def _optimizer_or_refuse(network: PlaceNetwork, loss: PlaceLoss, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimizer.

    Raises:
        TrainingError: Nothing learns, and there are steps to take.
    """
    if not any(parameter.requires_grad for parameter in network.parameters()):
        if config.epochs:
            raise TrainingError(
                f"freeze_through '{config.freeze_through}' leaves nothing to learn, because no head has weights; "
                "expected a head such as mixvpr, an earlier stage, or epochs: 0 to export as it is"
            )
        return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.0)
    return build_optimizer(network, loss, config.optimizer)


def _trained_dim(network: PlaceNetwork) -> int:
    return network.dim if network.is_projecting else network.joined_dim


def refuse_precision(config: TrainingConfig, device: torch.device) -> None:
    """Refuse half precision that a device has not.

    Raises:
        TrainingError: It has not.
    """
    if config.precision == "fp16" and device.type != "cuda":
        raise TrainingError("precision is fp16, which needs a CUDA GPU, and there is none; take bf16 or fp32")
