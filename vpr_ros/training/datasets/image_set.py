"""A data set whose views are image files."""

from __future__ import annotations

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
_SHORTEST_SIDE = 16  # and no less is left of a strip when its longer side is made smaller


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
            CorruptImageError: The file holds no whole image, or one that is too small.
        """
        image = read_training_image(self.paths[view])
        scale = _LONGEST_SIDE / max(image.shape[:2])
        if scale >= 1:
            return image
        return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def read_training_image(path: Path) -> NDArray[np.uint8]:
    """Return an image file, RGB.

    Raises:
        CorruptImageError: It holds no whole image, can't be read, or is too small or too narrow to show a place.
    """
    try:
        image = read_image(path)
    except (ImageFileError, OSError) as error:
        raise CorruptImageError(str(error)) from error
    height, width = image.shape[:2]
    scale = min(_LONGEST_SIDE / max(height, width), 1)
    if scale * min(height, width) < _SHORTEST_SIDE:
        raise CorruptImageError(
            f"{path} is {width} x {height} pixels, expected at least {_SHORTEST_SIDE} x {_SHORTEST_SIDE} and no side "
            f"over {_LONGEST_SIDE // _SHORTEST_SIDE} times the other"
        )
    return image


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


def counted(values: Iterable[str]) -> dict[str, int]:
    """Return how often each value stands there, the most frequent first; an empty one is left out."""
    return dict(Counter(value for value in values if value).most_common())
