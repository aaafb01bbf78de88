"""From what a config says to a data set: the one table of layouts."""

from __future__ import annotations

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
            "expected several images a place: give them the same place_id, or set self_supervised: true to learn from "
            "variations of each image"
        )
    return data


def places_of_one_image(data: DataSet) -> int:
    """Return how many places are never drawn, because one image is all there is of them and must not be a place."""
    counts = np.unique(data.table.site, return_counts=True)[1]
    return 0 if data.self_supervised else int((counts == 1).sum())


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
