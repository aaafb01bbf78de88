"""Street-level data sets in the layouts of their authors: GSV-Cities, MSLS, and folders with ``@`` in their names."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.training.appearance import ViewSettings
from vpr_ros.training.datasets.image_set import ImageSet, existing_folder, image_files
from vpr_ros.training.datasets.robot import cells
from vpr_ros.training.datasets.specs import GsvCitiesSpec, MslsSpec, UtmSpec
from vpr_ros.training.datasets.table import TableRow, read_table
from vpr_ros.training.datasets.views import DataFacts, LabelRule, Role, ViewTable
from vpr_ros.training.errors import TrainingError

_UTM_FIELDS = 15
_UTM_EAST, _UTM_NORTH, _UTM_HEADING = 1, 2, 9
_GSV_PANOID_FIELD = 7  # of a file name split at "_", after city, place, year, month, heading, latitude and longitude
_QUERY_FOLDERS = ("query", "queries")


def open_gsv_cities(spec: GsvCitiesSpec, root: Path) -> ImageSet:
    """Return the data set of GSV-Cities.

    Files are looked up by place and panorama: the authors build names from floats, so one digit decides.

    Raises:
        TrainingError: A folder or table is missing, a row has no place, or no place has images enough.
    """
    folder = existing_folder(root / spec.path)
    existing_folder(folder / "Dataframes")
    cities = spec.cities or tuple(sorted(path.stem for path in (folder / "Dataframes").glob("*.csv")))
    place_by_image: dict[Path, str] = {}  # so that a row that repeats is no other image
    for city in cities:
        found = _gsv_files(existing_folder(folder / "Images" / city))
        rows = read_table(folder / "Dataframes" / f"{city}.csv", ("place_id", "panoid"))
        for row in rows:
            number = row.whole("place_id")
            if (path := found.get((number, row["panoid"]))) is not None:
                place_by_image[path] = f"{city}/{number}"
    names = np.array(list(place_by_image.values()), dtype=np.str_)
    _, place_of, counts = np.unique(names, return_inverse=True, return_counts=True)
    kept = counts[place_of] >= spec.least_images if len(names) else np.zeros(0, bool)
    if not kept.any():
        raise TrainingError(
            f"no place of {', '.join(cities)} in '{folder}' has {spec.least_images} images (least_images); check that "
            "Images/CITY/ holds the files that Dataframes/CITY.csv lists"
        )
    chosen = tuple(path for path, keep in zip(place_by_image, kept, strict=True) if keep)
    # Places lie 100 m apart by construction, so each is a family of its own.
    table = ViewTable.of_names(names[kept], names[kept], np.array([name.split("/")[0] for name in names[kept]]))
    return _image_set("GSV-Cities", table, LabelRule(), spec.views, spec.share, chosen, f"cities {', '.join(cities)}")


def _gsv_files(folder: Path) -> dict[tuple[int, str], Path]:
    """Return the files of a city by place and panorama; ``CITY_place_year_month_north_lat_lon_panoid.jpg``."""
    found = {}
    for path in image_files(folder):
        # City names hold no "_", panorama ids may.
        parts = path.stem.split("_")
        if len(parts) > _GSV_PANOID_FIELD and parts[1].isdecimal():
            found[int(parts[1]), "_".join(parts[_GSV_PANOID_FIELD:])] = path
    return found


def open_msls(spec: MslsSpec, root: Path) -> ImageSet:
    """Return the data set of MSLS; panoramas are left out.

    Raises:
        TrainingError: A folder or table is missing, a row has no position, or no image is left.
    """
    base = existing_folder(root / spec.path)
    base = base / "train_val" if (base / "train_val").is_dir() else base
    cities = spec.cities or tuple(sorted(path.name for path in base.iterdir() if (path / "database").is_dir()))
    rows: list[tuple[str, str, Path, float, float, float]] = []
    for city in cities:
        for part in ("database", "query"):
            rows += _msls_rows(existing_folder(base / city / part), city, part)
    if not rows:
        raise TrainingError(
            f"'{base}' has no city with images, expected CITY/query and CITY/database with images/, raw.csv and "
            "postprocessed.csv; check the path"
        )
    city_names, parts, paths, east, north, heading = zip(*rows, strict=True)
    rule = LabelRule(
        spec.positive_radius_m, spec.positive_overlap, spec.negative_radius_m, spec.negative_overlap, spec.fov_deg
    )
    table = _positions_table(np.array(city_names), np.column_stack((east, north)), np.array(heading), parts, rule)
    return _image_set("MSLS", table, rule, spec.views, spec.share, paths, f"cities {', '.join(cities)}")


def _msls_rows(folder: Path, city: str, part: str) -> list[tuple[str, str, Path, float, float, float]]:
    """Return city, part, file, east, north and compass angle of each image of one folder."""
    raw = {row["key"]: row for row in read_table(folder / "raw.csv", ("key", "ca", "pano"))}
    placed = {row["key"]: row for row in read_table(folder / "postprocessed.csv", ("key", "easting", "northing"))}
    return [
        (
            city,
            part,
            folder / "images" / f"{row['key']}.jpg",
            row.number("easting"),
            row.number("northing"),
            _compass_angle(raw[row["key"]]),
        )
        for row in placed.values()
        if row["key"] in raw and raw[row["key"]]["pano"].lower() != "true"
    ]


def _compass_angle(row: TableRow) -> float:
    """Return the angle in degrees, NaN where there is none."""
    return row.number("ca") if row["ca"] not in ("", "nan") else float("nan")


def open_utm_folders(spec: UtmSpec, root: Path) -> ImageSet:
    """Return the data set of a folder whose file names hold positions.

    Raises:
        TrainingError: There is no such folder, or a name holds no position.
    """
    folder = existing_folder(root / spec.path)
    paths = image_files(folder)
    places = np.array([_utm_of(path) for path in paths])
    parts = tuple(path.relative_to(folder).parts[0] for path in paths)
    rule = LabelRule(
        spec.positive_radius_m, spec.positive_overlap, spec.negative_radius_m, spec.negative_overlap, spec.fov_deg
    )
    site = np.full(len(paths), folder.name)
    table = _positions_table(site, places[:, :2], places[:, 2], parts, rule)
    return _image_set(folder.name, table, rule, spec.views, spec.share, tuple(paths), "positions in file names")


def _utm_of(path: Path) -> tuple[float, float, float]:
    """Return east, north and heading (NaN where there is none) of ``@east@north@...``; folders' names count nothing."""
    parts = path.name.split("@")
    try:
        heading = float(parts[_UTM_HEADING]) if len(parts) >= _UTM_FIELDS and parts[_UTM_HEADING] else math.nan
        east, north = float(parts[_UTM_EAST]), float(parts[_UTM_NORTH])
    except (IndexError, ValueError):
        east = north = heading = math.nan
    if not (math.isfinite(east) and math.isfinite(north)) or math.isinf(heading):
        raise TrainingError(
            f"'{path}' has no position in its name, expected @utm_east@utm_north@...; rename it or move it away"
        )
    return east, north, heading


def _positions_table(
    names: NDArray[np.str_],
    ground_m: NDArray[np.float64],
    heading_deg: NDArray[np.float64],
    parts: tuple[str, ...],
    rule: LabelRule,
) -> ViewTable:
    """Return the table of views of cities with positions; ``parts`` are the folders that say database or query."""
    site = np.unique(names, return_inverse=True)[1].astype(np.int64)
    # Relative to the first: UTM norths are in the millions, and distances are wanted to the centimetre.
    position_m = np.column_stack((ground_m - ground_m[0], np.zeros(len(site))))
    roles = [Role.QUERY if p in _QUERY_FOLDERS else Role.DATABASE if p == "database" else Role.EITHER for p in parts]
    place = cells(site, position_m, heading_deg, rule.positive_radius_m, rule.fov_deg / 2)
    return ViewTable(site, site, site, place, position_m, heading_deg, np.array(roles, np.int8))


def _image_set(
    name: str,
    table: ViewTable,
    rule: LabelRule,
    views: ViewSettings,
    share: float,
    paths: tuple[Path, ...],
    about: str,
) -> ImageSet:
    facts = DataFacts(f"{name}, {about}", images=len(paths), places=len(np.unique(table.place)), views=len(paths))
    return ImageSet(name, table, rule, views, share, self_supervised=False, facts=facts, paths=paths)
