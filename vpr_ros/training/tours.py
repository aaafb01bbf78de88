"""Tours: a camera that turns about in one panorama after another, twice, so that real views come as a sequence.

The simulated robot's textures repeat, and its walls are few: what it teaches of geometry is too little trust. A tour
has the looks of the world and the order of a drive; what it lacks is a way from place to place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Frame
from vpr_ros.detection import Settings
from vpr_ros.detection.calibration import Label, LabelledCandidate
from vpr_ros.encoders import Encoder
from vpr_ros.training.appearance import ViewSettings, vary
from vpr_ros.training.datasets.panorama_crop import Look, crop_panorama
from vpr_ros.training.labelled_drives import labelled_queries

# Of one panorama, headings this near are one place, and beyond twice as far others.
SAME_HEADING_DEG = 30.0
_STOPS = 16  # panoramas of one tour
_NEW_STOPS = 4  # of them only on the second lap
_SWEEP_DEG = 210.0
SIZES = ((640, 480), (320, 240), (160, 120), (512, 384))  # what robots' cameras give, width by height
_FIRST_LAP = ViewSettings(sideways=0.0, night=0.0, sun=0.1, haze=0.05, season=0, rain=0, occlusion=0.1, grey=0)
_LATER = ViewSettings(sideways=0.7, sideways_shift=0.12, grey=0, night=0.0, season=0, occlusion=0.3)
_AT_NIGHT = ViewSettings(sideways=0.7, sideways_shift=0.12, grey=0, night=1.0, season=0, rain=0, occlusion=0.2)


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a tour's camera looks: in which panorama, and to which heading."""

    panorama: int
    yaw_rad: float

    def label(self, other: Stand) -> Label:
        """Return whether two stands see one place."""
        if self.panorama != other.panorama:
            return Label.WRONG
        apart_deg = abs((np.degrees(self.yaw_rad - other.yaw_rad) + 180) % 360 - 180)
        if apart_deg <= SAME_HEADING_DEG:
            return Label.RIGHT
        return Label.IGNORED if apart_deg <= 2 * SAME_HEADING_DEG else Label.WRONG


def tours_of(panoramas: list[Path], seed: int = 0) -> list[list[Path]]:
    """Return the panoramas by tours, shuffled, so that a tour is not of one kind."""
    order = np.random.default_rng(seed).permutation(len(panoramas))
    return [[panoramas[i] for i in order[at : at + _STOPS]] for at in range(0, len(order) - _STOPS // 2, _STOPS)]


def tour(panoramas: list[Path], seed: int) -> Iterator[tuple[Frame, Stand]]:
    """Yield the frames of two laps, and where they stand; the second comes in another light, some places are new."""
    rng = np.random.default_rng(seed)
    size = SIZES[seed % len(SIZES)]
    later = _AT_NIGHT if rng.random() < 0.3 else _LATER
    known = list(range(max(1, len(panoramas) - _NEW_STOPS)))
    starts = rng.uniform(-np.pi, np.pi, len(panoramas))
    again = rng.permutation(len(panoramas)).tolist()
    step_rad = np.radians(rng.uniform(12, 26))
    index = 0
    for lap, stops in enumerate((known, again)):
        for stop in stops:
            panorama = read_panorama(panoramas[stop])
            # The second lap goes about somewhere else of the circle, and sometimes the other way round.
            first_rad = starts[stop] + lap * rng.uniform(-0.4, 0.4)
            sweep = np.arange(0, np.radians(_SWEEP_DEG), step_rad)
            for turn_rad in sweep if not lap or rng.random() < 0.7 else sweep[::-1]:
                yaw_rad = float(first_rad + turn_rad + rng.normal(0, 0.04))
                look = Look(
                    yaw_rad,
                    pitch_rad=rng.normal(0, 0.03),
                    roll_rad=rng.normal(0, 0.02),
                    fov_rad=np.radians(70) * (1 if not lap else rng.uniform(0.85, 1.15)),
                )
                view = vary(crop_panorama(panorama, look, *size), later if lap else _FIRST_LAP, rng)
                yield Frame(index, index, view, timed=False), Stand(stop, yaw_rad)
                index += 1


def tour_queries(
    panoramas: list[Path], seed: int, encoder: Encoder, settings: Settings
) -> list[list[LabelledCandidate]]:
    """Make a tour with open eyes and return each query's candidates, labelled."""
    return labelled_queries(tour(panoramas, seed), Stand.label, encoder, settings)


def read_panorama(path: Path) -> NDArray[np.uint8]:
    """Return an image, RGB."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), np.uint8)
