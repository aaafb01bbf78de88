"""From what a config says to a data set: the one table of layouts."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from vpr_ros.scoring import PairLabel
from vpr_ros.training.datasets.image_set import ImageSet, existing_folder, image_files
from vpr_ros.training.datasets.manifest import open_manifest
from vpr_ros.training.datasets.panoramas import open_panoramas
from vpr_ros.training.datasets.robot import open_robot
from vpr_ros.training.datasets.specs import (
    DataSpec,
    GsvCitiesSpec,
    ManifestSpec,
    MslsSpec,
    PanoramaSpec,
    PhotosSpec,
    RobotSpec,
    UtmSpec,
)
from vpr_ros.training.datasets.street_views import open_gsv_cities, open_msls, open_utm_folders
from vpr_ros.training.datasets.views import DataFacts, DataSet, LabelRule, ViewTable
from vpr_ros.training.errors import TrainingError

_LOG = logging.getLogger(__name__)


def open_dataset(spec: DataSpec, root: Path) -> DataSet:
    """Open a data set.

    Args:
        spec: What the config says.
        root: Folder that its path is relative to.

    Raises:
        TrainingError: It is not there, does not have its layout, or every place has one image.
        SourceError: A recording can't be opened.
    """
    data = _opened(spec, root)
    if not data.self_supervised and not _has_pairs(data):
        raise TrainingError(
            f"in '{data.name}' no two of {len(data.table)} views are one place, so there is nothing to learn from; "
            f"expected several images a place: {_to_pair(spec)}"
        )
    return data


def places_of_one_image(data: DataSet) -> int:
    """Return how many places are never drawn, because one image is all there is of them and must not be a place."""
    if data.self_supervised:
        return 0
    table, rule = data.table, data.rule
    lacks_heading = np.isnan(table.heading_deg)  # which joins none that has one
    # Whatever is one place with a view lies in its cell or in one that touches it.
    ground = np.floor(table.position_m[:, :2] / max(rule.positive_radius_m, 1e-9)).astype(np.int64)
    cells: dict[tuple[int, ...], list[int]] = {}
    for row, key in enumerate(np.column_stack((table.site, lacks_heading, ground)).tolist()):
        cells.setdefault(tuple(key), []).append(row)
    alone = 0
    for (site, lacks, x, y), rows in cells.items():
        around = [(site, lacks, x + right, y + up) for right in (-1, 0, 1) for up in (-1, 0, 1)]
        near = np.array([other for key in around for other in cells.get(key, ())])
        is_right = rule.labels(table, np.array(rows)[:, np.newaxis], near) == PairLabel.RIGHT
        alone += int((is_right.sum(axis=1) == 1).sum())
    return alone


def tell_of_places_of_one_image(spec: DataSpec, data: DataSet) -> None:
    """Warn of the places of a training set that are never drawn."""
    if undrawn := places_of_one_image(data):
        _LOG.warning(
            "%d of %d views in '%s' are the only ones of their places and are never drawn; %s",
            undrawn,
            len(data.table),
            data.name,
            _to_pair(spec),
        )


def _to_pair(spec: DataSpec) -> str:
    """Return what to do so that a place has several views."""
    match spec:
        case ManifestSpec():
            return (
                "give images of one place the same place_id, or set self_supervised: true to learn from variations of "
                "each image"
            )
        case PanoramaSpec():
            return "set a smaller jitter_deg"
        case GsvCitiesSpec():
            return "set least_images to 2 or more"
        case _:
            return "give more images a place, or set a larger positive_radius_m or a smaller positive_overlap"


def _opened(spec: DataSpec, root: Path) -> DataSet:
    match spec:
        case ManifestSpec():
            return open_manifest(spec, root)
        case PanoramaSpec():
            return open_panoramas(spec, root)
        case RobotSpec():
            return open_robot(spec)
        case GsvCitiesSpec():
            return open_gsv_cities(spec, root)
        case MslsSpec():
            return open_msls(spec, root)
        case UtmSpec():
            return open_utm_folders(spec, root)
        case PhotosSpec():
            return _open_photos(spec, root)


def _open_photos(spec: PhotosSpec, root: Path) -> ImageSet:
    """Return a folder of photographs, each a place of its own."""
    folder = existing_folder(root / spec.path)
    found = image_files(folder)
    first, last = (round(share * len(found)) for share in spec.part)
    paths = found[first:last]
    if not paths:
        raise TrainingError(
            f"part {list(spec.part)} of the {len(found)} photographs in '{folder}' is none, expected one at least; "
            "give more photographs or a larger part"
        )
    names = np.array([str(path) for path in paths])
    return ImageSet(
        name=f"{folder.name} photographs",
        table=ViewTable.of_names(names, names),
        rule=LabelRule(),
        appearance=spec.views,
        share=spec.share,
        self_supervised=True,
        facts=DataFacts(f"photographs of {folder.name}, each a place of its own", len(paths), len(paths), len(paths)),
        paths=tuple(paths),
    )


def _has_pairs(data: DataSet) -> bool:
    """Say whether any two views are one place, asked in a random order, so that it is soon found."""
    site, counts = np.unique(data.table.site, return_counts=True)
    crowded = np.flatnonzero(np.isin(data.table.site, site[counts > 1]))
    return any(
        (data.rule.labels(data.table, np.array(view), members) == PairLabel.RIGHT).sum() > 1
        for view in np.random.default_rng(0).permutation(crowded)
        for members in (np.flatnonzero(data.table.site == data.table.site[view]),)
    )
