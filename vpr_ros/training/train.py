"""A whole training: open the data, build the network, train, fit the last layer, export, write the card."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from vpr_ros.core import Recipe
from vpr_ros.core.memory import keep_freed_memory
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.backbones import BACKBONES, packaged_weights
from vpr_ros.encoders.models.export import export_network
from vpr_ros.encoders.models.network_spec import moved_further
from vpr_ros.encoders.models.place_network import PlaceNetwork, moves_of, save_network
from vpr_ros.encoders.models.vgg16_netvlad import NetVlad
from vpr_ros.encoders.weights import sha256_of
from vpr_ros.training.batches import Batches
from vpr_ros.training.checkpoint import LAST, Checkpoint, config_values, load_initial
from vpr_ros.training.config import PROXY_LOSSES, TrainingConfig
from vpr_ros.training.datasets.open_dataset import open_dataset, places_of_one_image, tell_of_places_of_one_image
from vpr_ros.training.datasets.separation import refuse_shared
from vpr_ros.training.datasets.specs import DataSpec
from vpr_ros.training.datasets.views import DataSet
from vpr_ros.training.describing import describe
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.fitted_layers import fit_axes, fit_clusters, join_beside, refuse_too_many_axes
from vpr_ros.training.freezing import freeze, stages_going_back
from vpr_ros.training.history import EpochFigures, best_of
from vpr_ros.training.map_cache import MapCache
from vpr_ros.training.model_card import write_card
from vpr_ros.training.output_folder import prepare_folder, write_skipped
from vpr_ros.training.pool import PLAIN, ViewPool
from vpr_ros.training.processes import Process, joined_processes
from vpr_ros.training.sampling import PlaceSampler
from vpr_ros.training.trainer import Trainer, refuse_precision
from vpr_ros.training.validation import RENDERINGS as JUDGED_RENDERINGS
from vpr_ros.training.validation import refuse_unaskable
from vpr_ros.training.weight_average import copied_weights, move_towards
from vpr_ros.training.writing import told_as_unwritable, write_text

_VIEWS_FOR_CLUSTERS, _POSITIONS_FOR_CLUSTERS = 500, 50_000  # The authors'.
_VIEWS_FOR_AXES = 10_000  # As Patch-NetVLAD takes for its PCA.
_AT_ONCE = 32
_LOG = logging.getLogger(__name__)

# From what is counted and how many to a context that yields what is called with how many more are done.
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The outcome of ``vpr_ros train``.

    Attributes:
        schema: Version of these keys.
        name: Of the encoder.
        onnx: The exported network, its recipe beside it.
        weights: The same for torch.
        card: The model card.
        epochs: All epochs, the one before the first step included.
        best: Epoch whose weights were exported.
        exported: Figures of what was exported, projection included.
        corrupt: Images that could not be read; without kept maps those of them that were drawn.
    """

    schema: int
    name: str
    onnx: str
    weights: str
    card: str
    epochs: tuple[EpochFigures, ...]
    best: int
    exported: EpochFigures
    corrupt: int


def silent(_what: str, _total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Show no progress."""
    return nullcontext(lambda _count: None)


def train(
    config: TrainingConfig,
    root: Path,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress = silent,
    on_epoch: Callable[[EpochFigures], None] = lambda _: None,
) -> TrainingResult | None:
    """Train a network and write ``<name>.onnx``, its recipe, torch weights, card and figures into a folder.

    Args:
        config: What to train, from what, how.
        root: Folder that the data sets' paths are relative to.
        out: Folder for all that is written; is made.
        resume: Whether to go on from the checkpoint in it.
        progress: Shows how far it is.
        on_epoch: Called with the figures of each epoch.

    Returns:
        What came out; None in the processes of a distributed training that are not the first.

    Raises:
        TrainingError: Data, config or checkpoint that don't fit; says what was seen and expected.
        EncoderError: Weights that can't be read or don't fit, or an export that does not compute the same.
        SourceError: A recording that can't be opened.
    """
    keep_freed_memory()
    with joined_processes() as process:
        if config.threads:
            torch.set_num_threads(config.threads)
        if process.is_first:
            prepare_folder(out, resume=resume)
        process.wait_for_all()
        return _Training(config, root, out, process, progress, resume=resume).run(on_epoch)


class _Training:
    """Everything of one training, opened."""

    def __init__(
        self, config: TrainingConfig, root: Path, out: Path, process: Process, progress: Progress, *, resume: bool
    ) -> None:
        """Open data and network; what can be refused at once is, before drives and kept maps take their hours.

        Raises:
            TrainingError: As :func:`train`.
        """
        torch.manual_seed(config.seed)
        refuse_precision(config, process.device)
        self._kept = Checkpoint.read(out / LAST, config) if resume else None
        self._config = config
        self._root = root
        self._out = out
        self._process = process
        self._progress = progress
        self._network = PlaceNetwork(config.network)
        if columns := config.fitting.moved_columns:  # to be refused now and not after all steps
            moves_of(moved_further(config.network, columns))
        _fill(self._network, config)
        self._going_back = stages_going_back(self._network, config.start_share_after) if config.start_share else None
        self._start = copied_weights(self._going_back) if self._going_back is not None else {}
        freeze(self._network, config.freeze_through)
        self._network.to(memory_format=torch.channels_last)
        recipe = self._network.input_recipe()
        learned, judged = _open_sets(config, root, progress)
        self._learned = ViewPool(learned, recipe, config.seed)
        self._judged = ViewPool(judged, recipe, config.seed) if judged else None
        if config.network.projection.kind == "pca":  # fitted when all steps are done, which is late to be refused
            views = min(len(self._learned), _VIEWS_FOR_AXES)
            refuse_too_many_axes(config.network.projection.dim, views=views, length=self._network.joined_dim)
        if process.is_first:
            for spec, data in zip(config.data.train, learned, strict=True):
                tell_of_places_of_one_image(spec, data)

    def run(self, on_epoch: Callable[[EpochFigures], None]) -> TrainingResult | None:
        """Train and write what comes out."""
        config, process = self._config, self._process
        renderings = config.cache.renderings if config.cache.enabled else None
        sampler = PlaceSampler(
            self._learned,
            config.sampling,
            config.seed,
            renderings=renderings,
            rank=process.rank,
            within_class=config.loss.kind in PROXY_LOSSES,
        )
        caches = (self._cache(self._learned, renderings), self._cache(self._judged, JUDGED_RENDERINGS))
        if self._kept is None and not config.init_from:
            self._fit_clusters()
            if config.fitting.axes_first:
                self._network.is_projecting = False
                fit_axes(self._network, self._training_descriptors(caches[0]))
        trainer = Trainer(
            config,
            self._network,
            batches=Batches(self._learned, sampler, caches[0], config.workers),
            classes=int(self._learned.places.max()) + 1,
            pools=(self._learned, self._judged),
            caches=caches,
            process=process,
            out=self._out,
        )
        if self._kept is not None:
            trainer.resume(self._kept)
            self._kept = None  # its memory
        with self._progress("steps", config.steps) as on_step:
            trainer.run(on_step, on_epoch)
        return self._finish(trainer, caches[0]) if process.is_first else None

    def _cache(self, pool: ViewPool | None, renderings: int | None) -> MapCache | None:
        """Return the kept maps of a pool, computed by the first process; None where none are wanted."""
        if pool is None or renderings is None or not self._config.cache.enabled:
            return None
        folder = self._out / self._config.cache.folder
        if self._process.is_first:
            cache = MapCache(folder, pool, self._network, self._config.freeze_through, renderings)
            with self._progress("kept maps", cache.missing) as on_row:
                cache.fill(on_row, self._process.device)
        self._process.wait_for_all()
        if self._process.is_first:
            return cache
        return MapCache(folder, pool, self._network, self._config.freeze_through, renderings)

    def _fit_clusters(self) -> None:
        """Set the clusters of NetVLAD heads from maps of training views.

        Raises:
            TrainingError: None could be read, or their maps have too few positions.
        """
        heads = [
            (h, s) for h, s in zip(self._network.heads, self._network.spec.heads, strict=True) if s.kind == "netvlad"
        ]
        if not heads:
            return
        rng = np.random.default_rng(self._config.seed)
        views = rng.permutation(len(self._learned))[:_VIEWS_FOR_CLUSTERS]
        network = self._network.to(self._process.device).eval()
        parts = []
        for start in range(0, len(views), _AT_ONCE):
            some = views[start : start + _AT_ONCE]
            inputs, _ = self._learned.inputs(some, np.full(len(some), PLAIN))
            with torch.no_grad():
                parts.append(network.maps(torch.from_numpy(inputs).to(self._process.device)))
        self._refuse_nothing_read(len(views), sum(len(part["stride16"]) for part in parts))
        for head, spec in heads:
            assert isinstance(head, NetVlad)
            fit_clusters(head, torch.cat([part[spec.map] for part in parts]), _POSITIONS_FOR_CLUSTERS, rng)

    def _finish(self, trainer: Trainer, cache: MapCache | None) -> TrainingResult:
        """Go back towards the start, move maps further, fit the last layer, judge what comes out, and write it."""
        best, network = best_of(trainer.history), self._network
        is_other = self._going_back is not None
        if self._going_back is not None:
            move_towards(self._going_back, self._start, self._config.start_share)
        if self._config.fitting.moved_columns:
            network.move_further(self._config.fitting.moved_columns)
        if network.projection is not None and (not network.is_projecting or any(self._config.fitting.beside)):
            network.is_projecting = False
            joined = self._training_descriptors(cache)
            if self._config.network.projection.kind == "pca":
                fit_axes(network, joined)
            else:
                fitting = self._config.fitting
                join_beside(network, joined, fitting.beside, centered=fitting.centered)
            is_other = True
        return self._write(trainer, replace(best, sets=trainer.judge()) if is_other else best)

    def _training_descriptors(self, cache: MapCache | None) -> NDArray[np.float32]:
        """Return descriptors of training views, half of them plain.

        Raises:
            TrainingError: None could be read.
        """
        rng = np.random.default_rng(self._config.seed)
        views = rng.permutation(len(self._learned))[:_VIEWS_FOR_AXES]
        most = self._config.cache.renderings - 1 if cache is not None else 1
        renderings = np.where(np.arange(len(views)) % 2 == 0, PLAIN, min(1, most))
        self._network.to(self._process.device)
        through = self._config.freeze_through
        descriptors, _ = describe(self._network, self._learned, cache, through, views, renderings)
        self._refuse_nothing_read(len(views), len(descriptors))
        return descriptors

    def _refuse_nothing_read(self, asked: int, read: int) -> None:
        if not read:
            reason = next(iter(self._learned.corrupt.values()), "")
            raise TrainingError(f"of {asked} training views none could be read: {reason}; check the images")

    def _write(self, trainer: Trainer, exported: EpochFigures) -> TrainingResult:
        config, out = self._config, self._out
        network = self._network.cpu().eval()
        try:
            weights, onnx, recipe = self._store(network, stored_in_half=config.stored_in_half)
        except EncoderError as error:
            if not config.stored_in_half:
                raise
            # The training must not be lost because half precision is too coarse for its weights.
            _LOG.warning("stored in float32 instead, twice the size: %s", error)
            weights, onnx, recipe = self._store(network, stored_in_half=False)
        corrupt = write_skipped(out, [self._learned, *([self._judged] if self._judged else [])])
        card = out / f"{config.name}.md"
        write_card(
            card,
            config,
            recipe,
            learned_from=[data.facts for data in self._learned.sets],
            judged_on=[data.facts for data in self._judged.sets] if self._judged else [],
            undrawn=sum(map(places_of_one_image, self._learned.sets)),
            corrupt=corrupt,
            history=trainer.history,
            final=exported,
        )
        settings = config_values(config)
        settings["data"]["root"] = str(self._root.resolve())  # or it would be relative to this file
        write_text(out / f"{config.name}-training.yaml", yaml.safe_dump(settings, sort_keys=False))
        return TrainingResult(
            schema=1,
            name=config.name,
            onnx=str(onnx),
            weights=str(weights),
            card=str(card),
            epochs=tuple(trainer.history),
            best=exported.epoch,
            exported=exported,
            corrupt=corrupt,
        )

    def _store(self, network: PlaceNetwork, *, stored_in_half: bool) -> tuple[Path, Path, Recipe]:
        """Write the weights for torch and the ONNX file, and return both with the recipe.

        Raises:
            EncoderError: The ONNX file does not compute the same, or can't be written.
            TrainingError: The weights can't be written.
        """
        config, weights = self._config, self._out / f"{self._config.name}.pt"
        with told_as_unwritable(weights):
            save_network(network, config.name, config.licence, weights, stored_in_half=stored_in_half)
        recipe = network.recipe(config.name, sha256_of(weights), config.licence)
        onnx = export_network(network, recipe, self._out / f"{config.name}.onnx", stored_in_half=stored_in_half)
        return weights, onnx, recipe


def _open_sets(config: TrainingConfig, root: Path, progress: Progress) -> tuple[list[DataSet], list[DataSet]]:
    specs: list[tuple[DataSpec, bool]] = [
        *((spec, True) for spec in config.data.train),
        *((spec, False) for spec in config.data.validation),
    ]
    opened = []
    with progress("data sets", len(specs)) as on_set:
        for spec, _ in specs:
            opened.append(open_dataset(spec, root))
            on_set(1)
    learned, judged = (
        [(spec, data) for data, (spec, is_learned) in zip(opened, specs, strict=True) if is_learned is wanted]
        for wanted in (True, False)
    )
    if judged:
        refuse_shared(learned, judged, root)
    for _, data in judged:
        refuse_unaskable(data)
    return [data for _, data in learned], [data for _, data in judged]


def _fill(network: PlaceNetwork, config: TrainingConfig) -> None:
    """Load the weights to start from.

    Raises:
        EncoderError: They can't be read or don't fit.
    """
    if config.init_from:
        load_initial(network, Path(config.init_from).expanduser())
    elif config.backbone_weights != "random":
        name = config.network.backbone
        given = config.backbone_weights
        path = packaged_weights(name) if given == "packaged" else Path(given).expanduser()
        BACKBONES[name].fill(network.backbone, path)
