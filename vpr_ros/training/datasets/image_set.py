"""A data set whose views are image files."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.sources.image_file import IMAGE_SUFFIXES, ImageFileError, read_image
from vpr_ros.training.appearance import ViewSettings
from vpr_ros.training.datasets.views import CorruptImageError, DataFacts, LabelRule, ViewTable
from vpr_ros.training.errors import TrainingError

# Longer sides are halved before their look is varied: networks take 320 pixels or so.
_LONGEST_SIDE = 640


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """One image file a view; see :class:`~vpr_ros.training.datasets.views.DataSet`.

    Attributes:
        paths: The file of each view.
    """

    name: str
    table: ViewTable
    rule: LabelRule
    appearance: ViewSettings
    share: float
    self_supervised: bool
    facts: DataFacts
    paths: tuple[Path, ...]

    def read(self, view: int, rng: np.random.Generator | None) -> NDArray[np.uint8]:  # noqa: ARG002  # the protocol's
        """Return the image.

        Raises:
            CorruptImageError: The file holds no whole image.
        """
        image = read_training_image(self.paths[view])
        scale = _LONGEST_SIDE / max(image.shape[:2])
        if scale >= 1:
            return image
        return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def read_training_image(path: Path) -> NDArray[np.uint8]:
    """Return an image file, RGB.

    Raises:
        CorruptImageError: It holds no whole image, or can't be read.
    """
    try:
        return read_image(path)
    except (ImageFileError, OSError) as error:
        raise CorruptImageError(str(error)) from error


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder and those below it, in plain order of their paths.

    Raises:
        TrainingError: There is no such folder, or no image in it.
    """
    existing_folder(folder)
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not found:
        raise TrainingError(f"there is no image in '{folder}', expected files such as .jpg or .png; check the path")
    return found


def existing_folder(folder: Path) -> Path:
    """Return a folder that is there.

    Raises:
        TrainingError: It is not.
    """
    if not folder.is_dir():
        raise TrainingError(f"there is no folder '{folder}'; check data.root and path, or give --data FOLDER")
    return folder


def read_table(path: Path, wanted: Iterable[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV file.

    Raises:
        TrainingError: It can't be read, holds no row, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"can't read table '{path}': {error}; expected CSV with a header") from error
    absent = [name for name in wanted if not rows or name not in rows[0]]
    if absent:
        seen = ", ".join(map(str, rows[0])) if rows else "no row"
        raise TrainingError(f"table '{path}' has {seen}; expected the columns {', '.join(wanted)}")
    return rows


def counted(values: Iterable[str]) -> dict[str, int]:
    """Return how often each value stands there, the most frequent first; an empty one is left out."""
    return dict(Counter(value for value in values if value).most_common())
