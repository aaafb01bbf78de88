"""Equirectangular panoramas: overlapping crops of one heading are a place, distant headings are others."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.training.appearance import ViewSettings
from vpr_ros.training.datasets.families import family_of
from vpr_ros.training.datasets.image_set import existing_folder, image_files, read_training_image
from vpr_ros.training.datasets.manifest import MANIFEST, facts_of, manifest_rows
from vpr_ros.training.datasets.panorama_crop import Look, crop_panorama
from vpr_ros.training.datasets.specs import USUAL_PANORAMAS, PanoramaSpec
from vpr_ros.training.datasets.views import CorruptImageError, DataFacts, LabelRule, Role, ViewTable
from vpr_ros.training.errors import TrainingError

_PANORAMAS_KEPT = 4  # in memory; views are read in an order that asks for the same one several times
_SEED = 0  # of the headings: the same views in every run, so that kept maps stay right


@dataclass(frozen=True, slots=True, eq=False)
class PanoramaSet:
    """Crops of panoramas; see :class:`~vpr_ros.training.datasets.views.DataSet`.

    Attributes:
        paths: The panorama of each view.
        spec: What the config says.
        decoded: Panoramas read last.
    """

    name: str
    table: ViewTable
    rule: LabelRule
    appearance: ViewSettings
    share: float
    facts: DataFacts
    paths: tuple[Path, ...]
    spec: PanoramaSpec
    self_supervised: bool = False
    decoded: OrderedDict[Path, NDArray[np.uint8]] = field(default_factory=OrderedDict)

    def read(self, view: int, rng: np.random.Generator | None) -> NDArray[np.uint8]:
        """Return a crop; without ``rng`` it is level and of the middle field of view.

        Raises:
            CorruptImageError: The file holds no whole image, one that is too small, or one not twice as wide as high.
        """
        spec = self.spec
        yaw_rad = math.radians(float(self.table.heading_deg[view]))
        look = Look(yaw_rad, fov_rad=math.radians(sum(spec.fov_deg) / 2))
        if rng is not None:
            pitch_deg = rng.uniform(-spec.pitch_deg, spec.pitch_deg)
            roll_deg = rng.uniform(-spec.roll_deg, spec.roll_deg)
            fov_deg = rng.uniform(*spec.fov_deg)
            look = Look(yaw_rad, math.radians(pitch_deg), math.radians(roll_deg), math.radians(fov_deg))
        return crop_panorama(self._panorama(self.paths[view]), look, spec.width, spec.height)

    def _panorama(self, path: Path) -> NDArray[np.uint8]:
        if path not in self.decoded:
            image = read_training_image(path)
            height, width = image.shape[:2]
            if width != 2 * height:
                raise CorruptImageError(
                    f"{path} is {width} x {height}, expected an equirectangular panorama, twice as wide as high"
                )
            self.decoded[path] = image
            while len(self.decoded) > _PANORAMAS_KEPT:
                self.decoded.popitem(last=False)
        self.decoded.move_to_end(path)
        return self.decoded[path]


def open_panoramas(spec: PanoramaSpec, root: Path) -> PanoramaSet:
    """Return the data set of a folder of panoramas.

    Raises:
        TrainingError: There is no such folder or no panorama in it, rows are chosen but there is no manifest, or the
            overlaps don't go together.
    """
    folder = existing_folder(root / spec.path)
    rows: Sequence[Mapping[str, str]]
    if (folder / MANIFEST).is_file():
        rows = manifest_rows(folder, split=spec.split, only_open=spec.only_open, paths=spec.paths, without="")
    else:
        _refuse_choice(spec, folder)
        found = [path.relative_to(folder) for path in image_files(folder)]
        rows = [
            {"path": str(path), "place_id": str(path.with_suffix(""))}
            for path in found
            if spec.paths == USUAL_PANORAMAS or fnmatchcase(str(path), spec.paths)
        ]
        if not rows:
            raise TrainingError(
                f"none of the {len(found)} images in '{folder}' has a path like '{spec.paths}'; check paths"
            )
    each = spec.headings * spec.views_a_heading
    part = f", split {spec.split}" if spec.split else ""
    about = f"panoramas of {folder.name}{part}: {spec.headings} headings of {spec.views_a_heading} views each"
    return PanoramaSet(
        name=f"{folder.name} panoramas",
        table=_table(rows, spec),
        rule=LabelRule(
            positive_overlap=spec.positive_overlap,
            negative_overlap=spec.negative_overlap,
            fov_deg=sum(spec.fov_deg) / 2,
        ),
        appearance=spec.views,
        share=spec.share,
        facts=facts_of(rows, about, views=len(rows) * each, places=len(rows) * spec.headings),
        paths=tuple(folder / row["path"] for row in rows for _ in range(each)),
        spec=spec,
    )


def _refuse_choice(spec: PanoramaSpec, folder: Path) -> None:
    if spec.split or spec.only_open:
        asked = f"split is '{spec.split}'" if spec.split else "only_open is true"
        raise TrainingError(
            f"{asked}, but '{folder}' has no {MANIFEST} that says which panoramas are; expected one with the columns "
            "path, place_id, split and open, or neither split nor only_open"
        )


def _table(rows: Sequence[Mapping[str, str]], spec: PanoramaSpec) -> ViewTable:
    """Return a row for each view of each heading of each panorama."""
    rng = np.random.default_rng(_SEED)
    shape = (len(rows), spec.headings, spec.views_a_heading)
    turned = rng.uniform(0, 360 / spec.headings, (len(rows), 1, 1))
    middles = turned + np.arange(spec.headings)[:, np.newaxis] * 360 / spec.headings
    headings = (middles + rng.uniform(-spec.jitter_deg, spec.jitter_deg, shape)) % 360
    sites = np.broadcast_to(np.arange(len(rows))[:, np.newaxis, np.newaxis], shape).ravel()
    names = [family_of(row, spec.one_site, numbered_site=spec.numbered_site) for row in rows]
    families = np.unique(names, return_inverse=True)[1].astype(np.int64)
    places = sites * spec.headings + np.broadcast_to(np.arange(spec.headings)[:, np.newaxis], shape).ravel()
    count = len(sites)
    return ViewTable(
        site=sites.astype(np.int64),
        family=families[sites],
        region=families[sites],
        place=places.astype(np.int64),
        position_m=np.zeros((count, 3)),
        heading_deg=headings.ravel(),
        role=np.full(count, Role.EITHER, np.int8),
    )
