"""Batches of P places with K views each, drawn so that places of a batch really are different ones."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vpr_ros.scoring import PairLabel
from vpr_ros.training.config import SamplingConfig
from vpr_ros.training.datasets.views import DataSet
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.pool import PLAIN, ViewPool

_TRIES_A_PLACE = 20
_FIRST_VARIED = PLAIN + 1
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class DrawnBatch:
    """Which views a step learns from.

    Attributes:
        views: Numbers in the pool, shape (n,), int64.
        renderings: Of each, shape (n,), int64.
        labels: Place within the batch: 0 to P - 1, shape (n,), int64.
    """

    views: NDArray[np.int64]
    renderings: NDArray[np.int64]
    labels: NDArray[np.int64]


class PlaceSampler:
    """Draws batches. A batch depends on seed, step and rank alone, so a resumed training draws the same.

    Whether an image can be read counts for nothing here, for that is known only once it was asked for.
    """

    def __init__(
        self,
        pool: ViewPool,
        config: SamplingConfig,
        seed: int,
        *,
        renderings: int | None,
        rank: int = 0,
        within_class: bool = False,
    ):
        """Take what is drawn from.

        Args:
            pool: The views.
            config: How many.
            seed: Of all batches.
            renderings: How many renderings of each view there are; None if new ones are made all the time.
            rank: Number of this process; each draws batches of its own.
            within_class: Whether all views of a place have one class, as losses with proxies need it; without, a place
                known by position may reach across the cells that are the classes.

        Raises:
            TrainingError: The views of a place of one image would be one rendering, so that nothing is learned.
        """
        if renderings is not None and not within_class and any(map(_has_places_of_one_image, pool.sets)):
            _refuse_one_rendering(config, renderings, is_first=rank == 0)
        self._pool = pool
        self._config = config
        self._seed = (seed, rank)
        self._renderings = renderings
        self._sets = [_SetSampler(data, config, within_class=within_class) for data in pool.sets]
        self._has_told = False
        shares = np.array([data.share for data in pool.sets], np.float64)
        self._shares = shares / shares.sum()

    def batch(self, step: int, attempt: int = 0) -> DrawnBatch:
        """Return the batch of a step.

        Args:
            step: Number of the step.
            attempt: Number of the draw for it, where too little of the one before could be read.

        Raises:
            TrainingError: There are fewer than two places that are surely different.
        """
        rng = np.random.default_rng((*self._seed, step, *([attempt] if attempt else [])))
        counts = rng.multinomial(self._config.places, self._shares)
        drawn: list[NDArray[np.int64]] = []
        for sampler, offset, count in zip(self._sets, self._pool.offsets, counts, strict=False):
            drawn += [views + offset for views in sampler.places(int(count), rng)]
        if len(drawn) < 2:
            raise TrainingError(
                f"step {step} found {len(drawn)} places that are surely different, expected at least 2; give more "
                "places, smaller negative radii, smaller batches (sampling.places), or other sites (column site, "
                "one_site and numbered_site of a manifest)"
            )
        self._tell_of_few(len(drawn), step)
        views = np.concatenate(drawn)
        labels = np.repeat(np.arange(len(drawn)), [len(place) for place in drawn])
        return DrawnBatch(views, self._renderings_of(views, rng), labels)

    def _tell_of_few(self, found: int, step: int) -> None:
        """Say once that batches are much smaller than asked, which nobody would see otherwise."""
        if found < self._config.places / 2 and not self._has_told:
            self._has_told = True
            _LOG.warning(
                "step %d found %d places that are surely different, asked for %d (sampling.places); batches this small "
                "teach less: give more places, or other sites",
                step,
                found,
                self._config.places,
            )

    def _renderings_of(self, views: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw a rendering for each view: the plain one now and then, and a view that repeats never twice the same."""
        limit = np.iinfo(np.int32).max if self._renderings is None else max(self._renderings, _FIRST_VARIED + 1)
        distinct, view_of = np.unique(views, return_inverse=True)
        start = rng.integers(_FIRST_VARIED, limit, len(distinct))[view_of]
        repeats = _occurrences(views)
        varied = _FIRST_VARIED + (start - _FIRST_VARIED + repeats) % (limit - _FIRST_VARIED)
        is_plain = (rng.random(len(views)) < self._config.plain) & (repeats == 0)
        chosen = np.where(is_plain, PLAIN, varied)
        return np.minimum(chosen, (self._renderings or limit) - 1).astype(np.int64)


def _has_places_of_one_image(data: DataSet) -> bool:
    return data.self_supervised and bool((np.unique(data.table.site, return_counts=True)[1] == 1).any())


def _refuse_one_rendering(config: SamplingConfig, renderings: int, *, is_first: bool) -> None:
    """Refuse or, where only some are alike, tell of views of one image that are alike; as batches draw renderings."""
    varied = renderings - _FIRST_VARIED
    different = min(config.views, varied + 1 if config.plain == 1 else varied)
    if different < 2:
        raise TrainingError(
            f"cache.renderings is {renderings}, so that all views of a place of one image are alike and teach nothing; "
            f"expected at least {config.views + 1}"
        )
    if different < config.views and is_first:
        _LOG.warning(
            "cache.renderings is %d, so that some of the %d views of a place of one image are alike; "
            "set it to %d or more, or take fewer sampling.views",
            renderings,
            config.views,
            config.views + 1,
        )


@dataclass(slots=True)
class _Batch:
    """What one set has put into a batch: views of each place, by family, and from which regions."""

    places: list[NDArray[np.int64]] = field(default_factory=list)
    by_family: dict[int, list[NDArray[np.int64]]] = field(default_factory=dict)
    regions: list[int] = field(default_factory=list)

    def add(self, family: int, region: int, views: NDArray[np.int64]) -> None:
        self.places.append(views)
        self.by_family.setdefault(family, []).append(views)
        if region not in self.regions:
            self.regions.append(region)


class _SetSampler:
    """Draws places of one data set."""

    def __init__(self, data: DataSet, config: SamplingConfig, *, within_class: bool) -> None:
        table = data.table
        self._data = data
        self._config = config
        self._within_class = within_class
        self._lacks_heading = np.isnan(table.heading_deg)
        self._classes = _groups(table.place)
        self._families, self._regions = _groups(table.family), _groups(table.region)
        self._family_of = np.unique(table.family, return_inverse=True)[1].reshape(-1)
        self._region_of = np.unique(table.region, return_inverse=True)[1].reshape(-1)

    def places(self, count: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """Return up to ``count`` places, each the rows of K views; rows repeat where a place has fewer."""
        batch = _Batch()
        for _ in range(_TRIES_A_PLACE * count):
            if len(batch.places) == count:
                break
            anchor = self._anchor(batch, rng)
            family = int(self._family_of[anchor])
            views = self._views_of(anchor, family, batch, rng)
            if views is not None:
                batch.add(family, int(self._region_of[anchor]), views)
        return batch.places

    def _anchor(self, batch: _Batch, rng: np.random.Generator) -> int:
        """Draw a view: of any class, or now and then of a region that is in the batch already."""
        if batch.regions and rng.random() < self._config.neighbours:
            return int(rng.choice(self._regions[batch.regions[rng.integers(len(batch.regions))]]))
        return int(rng.choice(self._classes[rng.integers(len(self._classes))]))

    def _views_of(self, anchor: int, family: int, batch: _Batch, rng: np.random.Generator) -> NDArray[np.int64] | None:
        """Return the rows of K views of the anchor's place; None if it may be one with a place of the batch."""
        rule, table = self._data.rule, self._data.table
        members = self._families[family]
        # What lacks a heading would join views that look opposite ways.
        members = members[self._lacks_heading[members] == self._lacks_heading[anchor]]
        if self._within_class:
            members = members[table.place[members] == table.place[anchor]]
        found = members[rule.labels(table, np.array(anchor), members) == PairLabel.RIGHT]
        for taken in batch.by_family.get(family, ()):
            found = found[(rule.labels(table, taken[:, np.newaxis], found) == PairLabel.WRONG).all(axis=0)]
        if anchor not in found:
            return None
        others = rng.permutation(found[found != anchor])[: self._config.views - 1]
        if not len(others) and not self._data.self_supervised:
            return None
        return np.resize(np.append(anchor, others), self._config.views)


def _groups(keys: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows of each distinct key, in the keys' order."""
    order = np.argsort(keys, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)


def _occurrences(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each value stood before it."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    first = np.append(True, np.diff(ranked) != 0)
    start = np.maximum.accumulate(np.where(first, np.arange(len(values)), 0))
    counts = np.empty(len(values), np.int64)
    counts[order] = np.arange(len(values)) - start
    return counts
