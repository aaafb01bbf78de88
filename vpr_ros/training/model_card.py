"""The page that comes with trained weights: what they are, what they learned from, how well they find places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from vpr_ros.core import Recipe
from vpr_ros.encoders.models.network_spec import HeadSpec, NetworkSpec
from vpr_ros.encoders.models.place_network import plain
from vpr_ros.training.checkpoint import config_values
from vpr_ros.training.config import TrainingConfig
from vpr_ros.training.datasets.views import DataFacts
from vpr_ros.training.history import EpochFigures
from vpr_ros.training.writing import write_text

_LEFT_OUT = ("out", "workers", "threads", "tensorboard", "data", "network")


def write_card(
    path: Path,
    config: TrainingConfig,
    recipe: Recipe,
    *,
    learned_from: Sequence[DataFacts],
    judged_on: Sequence[DataFacts],
    undrawn: int,
    corrupt: int,
    history: Sequence[EpochFigures],
    final: EpochFigures,
) -> None:
    """Write the card, whole or not at all.

    Args:
        path: Markdown file.
        config: Of the training.
        recipe: Of the encoder.
        learned_from: Training data.
        judged_on: Validation data.
        undrawn: Training places of one image, which were never drawn.
        corrupt: Images that could not be read.
        history: All epochs.
        final: Figures of the weights that were exported, projection included.

    Raises:
        TrainingError: It can't be written.
    """
    of_which = "" if config.cache.enabled else " of those that were drawn"
    text = "\n".join(
        (
            f"# {config.name}\n",
            *_about(config, recipe, history[-1].epoch if history else 0),
            "\n## Data\n",
            *_data(learned_from, judged_on, undrawn, f"{corrupt}{of_which}"),
            "\n## Results\n",
            *_results(history, final),
            "\n## Settings\n",
            "```yaml",
            yaml.safe_dump(_settings(config), sort_keys=False).strip(),
            "```",
            f"Network and data, to the last setting: `{config.name}-training.yaml`.",
            "",
        )
    )
    write_text(path, text)


def _about(config: TrainingConfig, recipe: Recipe, epochs: int) -> tuple[str, ...]:
    return (
        "| what | value |",
        "|---|---|",
        f"| file | `{config.name}.onnx`, recipe beside it in `{config.name}.yaml`, torch weights `{config.name}.pt` |",
        f"| network | {network_in_words(config.network)} |",
        f"| gives | a {recipe.dim}-D descriptor, and the stride-16 map for re-ranking from the same pass |",
        f"| takes | {recipe} |",
        f"| weights | sha256 `{recipe.weights_sha256}` |",
        f"| licence | {config.licence} |",
        f"| made by | `vpr_ros train`, {epochs} epochs of {config.sampling.steps} steps, seed {config.seed} |",
    )


def network_in_words(spec: NetworkSpec) -> str:
    """Return a network in one line."""
    heads = " + ".join(map(_head_in_words, spec.heads))
    projected = {
        "none": "",
        "linear": f", a linear layer to {spec.projection.dim}",
        "pca": f", {spec.projection.dim} principal axes{' whitened' if spec.projection.whitened else ''}",
    }[spec.projection.kind]
    return f"{spec.backbone} at {spec.input_size} x {spec.input_size}; {heads}{projected}; unit length"


def _head_in_words(head: HeadSpec) -> str:
    weight = "" if head.weight == 1 else f"{head.weight:g} x "
    size = {
        "mixvpr": f" {head.dim}-D",
        "netvlad": f" K = {head.clusters}",
        "grid": f" {head.rows} x {head.columns}",
    }.get(head.kind, "")
    columns = " and ".join(map(str, head.moved_columns))
    moved = f", mean over it as it is and moved by {columns} columns" if columns else ""
    return f"{weight}{head.kind}{size} of the {'stride-16' if head.map == 'stride16' else 'last'} map{moved}"


def _data(
    learned_from: Sequence[DataFacts], judged_on: Sequence[DataFacts], undrawn: int, corrupt: str
) -> tuple[str, ...]:
    rows = [
        f"| {what} | {facts.about} | {facts.images} | {facts.places} | {facts.views} | {_counts(facts.licences)} |"
        for what, group in (("learned from", learned_from), ("judged on", judged_on))
        for facts in group
    ]
    sources: Counter[str] = Counter()
    for facts in (*learned_from, *judged_on):
        sources.update(facts.sources)
    return (
        "| | what | images | places | views | images by licence |",
        "|---|---|---|---|---|---|",
        *rows,
        f"\nPlaces of one image, which were never drawn: {undrawn}." if undrawn else "",
        f"\nImages that could not be read, and were left out: {corrupt}.",
        f"\nSources: {_counts(sources)}." if sources else "",
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "not stated"


def _results(history: Sequence[EpochFigures], final: EpochFigures) -> tuple[str, ...]:
    rows = [
        f"| {name} | {figures.name} | {figures.queries} | {figures.database} | "
        + " | ".join(f"{figures.recall_at[depth]:.3f}" for depth in (1, 5, 10))
        + f" | {figures.recall_at_100_precision:.3f} |"
        for name, epoch in (
            *((f"epoch {each.epoch}" if each.epoch else "before", each) for each in history),
            (f"**exported (epoch {final.epoch})**", final),
        )
        for figures in epoch.sets
    ]
    if not rows:
        return ("There was no validation set.",)
    return (
        "Varied views ask, plain ones are searched; places are none of the training's.\n",
        "| weights | set | queries | database | R@1 | R@5 | R@10 | recall at 100 % precision |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    )


def _settings(config: TrainingConfig) -> object:
    values = config_values(config)
    return plain({name: value for name, value in values.items() if name not in _LEFT_OUT})
