"""Images whose places a ``manifest.csv`` names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from vpr_ros.training.datasets.families import family_of
from vpr_ros.training.datasets.image_set import ImageSet, counted, existing_folder
from vpr_ros.training.datasets.specs import ManifestSpec
from vpr_ros.training.datasets.table import TableRow, read_table
from vpr_ros.training.datasets.views import DataFacts, LabelRule, ViewTable
from vpr_ros.training.errors import TrainingError

MANIFEST = "manifest.csv"


def open_manifest(spec: ManifestSpec, root: Path) -> ImageSet:
    """Return the data set of a manifest.

    Raises:
        TrainingError: There is no manifest, it lacks a column, or no row is left.
    """
    folder = existing_folder(root / spec.path)
    rows = manifest_rows(folder, split=spec.split, only_open=spec.only_open, paths=spec.paths, without=spec.without)
    places = np.array([row["place_id"] for row in rows])
    families = [family_of(row, spec.one_site, numbered_site=spec.numbered_site) for row in rows]
    table = ViewTable.of_names(places, np.array(families))
    return ImageSet(
        name=f"{folder.name}/{MANIFEST}",
        table=table,
        rule=LabelRule(),
        appearance=spec.views,
        share=spec.share,
        self_supervised=spec.self_supervised,
        facts=facts_of(rows, f"photographs of {folder.name}/{MANIFEST}{_part(spec.split)}", views=len(rows)),
        paths=tuple(folder / row["path"] for row in rows),
    )


def manifest_rows(folder: Path, *, split: str, only_open: bool, paths: str, without: str) -> list[TableRow]:
    """Return the rows of a folder's manifest that are wanted.

    Raises:
        TrainingError: There is no manifest, it lacks a column, no row is left, or one of them names no place, no file,
            or one that another row has.
    """
    columns = ["path", "place_id", *(["split"] if split else []), *(["open"] if only_open else [])]
    rows = [
        row
        for row in read_table(folder / MANIFEST, columns)
        if fnmatchcase(row["path"], paths)
        and not (without and fnmatchcase(row["path"], without))
        and (not split or row["split"] == split)
        and (not only_open or row["open"] == "yes")
    ]
    if not rows:
        raise TrainingError(
            f"'{folder / MANIFEST}' has no row of split '{split or 'any'}' with a path like '{paths}'"
            f"{' and open = yes' if only_open else ''}; check split, paths and only_open"
        )
    seen: dict[Path, TableRow] = {}
    for row in rows:
        row.filled("place_id")  # or all rows without one would be one place
        row.file_name("path")
        if (first := seen.setdefault(Path(row["path"]), row)) is not row:
            raise TrainingError(
                f"{row.where}: path is '{row['path']}', as in {first.where}; expected an image once, or it would be "
                "its own pair: remove one of the rows"
            )
    return rows


def facts_of(rows: Sequence[Mapping[str, str]], about: str, *, views: int, places: int | None = None) -> DataFacts:
    """Return what a card says of the rows of a manifest."""
    return DataFacts(
        about=about,
        images=len(rows),
        places=len({row["place_id"] for row in rows}) if places is None else places,
        views=views,
        licences=counted(row.get("licence") or "" for row in rows),
        sources=counted((row.get("source") or "").partition(":")[0] for row in rows),
    )


def _part(split: str) -> str:
    return f", split {split}" if split else ""
