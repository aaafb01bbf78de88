"""The table of views that every data set becomes, and the rule by which two views are one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vpr_ros.scoring import PairLabel
from vpr_ros.training.appearance import ViewSettings
from vpr_ros.training.errors import TrainingError


class Role(IntEnum):
    """What a view may be in validation."""

    EITHER = 0
    DATABASE = 1
    QUERY = 2


@dataclass(frozen=True, slots=True, eq=False)
class ViewTable:
    """Where each of n views was taken, as far as it is known.

    Attributes:
        site: Views of different sites are never one place. Where places are given by name, each is a site, shape (n,).
        family: Different sites of one family may look alike or overlap without truth saying so, such as neighbouring
            pieces of one video: they are no negatives of each other, shape (n,).
        region: Families of one region are harder to tell apart than others, such as the places of one city: a batch
            may draw its places from the regions that are in it already, shape (n,).
        place: Class of each view, for losses with proxies, shape (n,).
        position_m: Where the camera stood within its site, shape (n, 3); zero where places are given by name.
        heading_deg: Where it looked; NaN where it is unknown or counts for nothing, shape (n,).
        role: A ``Role`` each, shape (n,).
    """

    site: NDArray[np.int64]
    family: NDArray[np.int64]
    region: NDArray[np.int64]
    place: NDArray[np.int64]
    position_m: NDArray[np.float64]
    heading_deg: NDArray[np.float64]
    role: NDArray[np.int8]

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self.site)

    @classmethod
    def of_names(
        cls, places: NDArray[np.str_], families: NDArray[np.str_], regions: NDArray[np.str_] | None = None
    ) -> ViewTable:
        """Return the table of views whose places are given by name; each family is a region where none are given."""
        site = np.unique(places, return_inverse=True)[1].astype(np.int64)
        family = np.unique(families, return_inverse=True)[1].astype(np.int64)
        region = family if regions is None else np.unique(regions, return_inverse=True)[1].astype(np.int64)
        unknown = np.full(len(site), np.nan)
        either = np.full(len(site), Role.EITHER, np.int8)
        return cls(site, family, region, site, np.zeros((len(site), 3)), unknown, either)


@dataclass(frozen=True, slots=True)
class LabelRule:
    """When two views of one site are one place, and when they are two.

    The overlap of two views is 1 - (angle between them) / (field of view), at least 0. A pair that is neither is grey
    and counts neither way.

    Attributes:
        positive_radius_m: One place within this distance,
        positive_overlap: and with at least this overlap.
        negative_radius_m: Two places from this distance on,
        negative_overlap: or with at most this overlap.
        fov_deg: Horizontal field of view.

    Raises:
        TrainingError: Two views that are one place with a third could be two places.
    """

    positive_radius_m: float = 0.0
    positive_overlap: float = 0.65
    negative_radius_m: float = 0.0
    negative_overlap: float = 0.25
    fov_deg: float = 80.0

    def __post_init__(self) -> None:
        """Check the values once."""
        if not 0 <= 2 * self.positive_radius_m <= self.negative_radius_m:
            raise TrainingError(
                f"positive_radius_m is {self.positive_radius_m:g} and negative_radius_m {self.negative_radius_m:g}; "
                "expected the second at least twice the first, or views of one place could be called two"
            )
        if not (self.negative_overlap >= 0 and 2 * (1 - self.positive_overlap) <= 1 - self.negative_overlap):
            raise TrainingError(
                f"positive_overlap is {self.positive_overlap:g} and negative_overlap {self.negative_overlap:g}; "
                "expected 2 (1 - positive_overlap) to be at most 1 - negative_overlap, or views of one place could be "
                "called two"
            )
        if not 0 < self.fov_deg <= 360:
            raise TrainingError(f"fov_deg is {self.fov_deg:g}, expected above 0 to 360")

    def labels(self, table: ViewTable, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return the ``PairLabel`` of each pair of views; the two arrays of rows are broadcast."""
        same_site = table.site[one] == table.site[other]
        distance_m = np.linalg.norm(table.position_m[one] - table.position_m[other], axis=-1)
        turn = np.abs((table.heading_deg[one] - table.heading_deg[other] + 180) % 360 - 180)
        overlap = np.maximum(1 - np.nan_to_num(turn, nan=0.0) / self.fov_deg, 0)
        right = same_site & (distance_m <= self.positive_radius_m) & (overlap >= self.positive_overlap)
        # Where places are given by name, the radius is 0 and so is every distance within one.
        far = (distance_m >= self.negative_radius_m) & (distance_m > 0)
        apart = same_site & (far | (overlap <= self.negative_overlap))
        wrong = apart | (table.family[one] != table.family[other])
        return np.where(right, PairLabel.RIGHT, np.where(wrong, PairLabel.WRONG, PairLabel.IGNORED)).astype(np.int8)


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a model card says of a data set.

    Attributes:
        about: What it is and which part of it, one line.
        images: Files, panoramas or frames.
        places: Places.
        views: Views that are made of them.
        licences: Images by licence; empty where nothing states one.
        sources: Images by source, for attribution; empty where nothing states one.
    """

    about: str
    images: int
    places: int
    views: int
    licences: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)


class DataSet(Protocol):
    """Views of places, read when they are asked for."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def table(self) -> ViewTable:
        """Where each view was taken."""

    @property
    def rule(self) -> LabelRule:
        """Which of them are one place."""

    @property
    def appearance(self) -> ViewSettings:
        """How their look is varied."""

    @property
    def share(self) -> float:
        """Share of a batch's places, relative to the other data sets."""

    @property
    def self_supervised(self) -> bool:
        """Whether one image alone is a place, by strong variation."""

    @property
    def facts(self) -> DataFacts:
        """For the model card."""

    def read(self, view: int, rng: np.random.Generator | None) -> NDArray[np.uint8]:
        """Return a view, RGB, (height, width, 3) uint8, before its appearance is varied.

        Args:
            view: Row of the table.
            rng: Varies what belongs to the taking of it, such as pitch and field of view; None for the plain view.

        Raises:
            CorruptImageError: The file holds no whole image of the kind expected.
        """


class CorruptImageError(TrainingError):
    """An image that can't be learned from; it is counted, listed and left out."""
