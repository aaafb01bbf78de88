"""Photographs as queries whose answers are known: a map of them all, and views that look for their place in it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Frame, Keyframe
from vpr_ros.detection import Settings
from vpr_ros.detection.calibration import Label, LabelledCandidate
from vpr_ros.detection.evidence import Evidence
from vpr_ros.detection.judgement import judge
from vpr_ros.detection.memory import Memory
from vpr_ros.detection.odometer import Odometer
from vpr_ros.detection.path import build_stages
from vpr_ros.detection.policy import UNCALIBRATED
from vpr_ros.detection.stages import Context, Stage, figures_of
from vpr_ros.encoders import Encoder
from vpr_ros.place_map import PlaceMap
from vpr_ros.training.datasets.families import family_of
from vpr_ros.training.datasets.panorama_crop import Look, crop_panorama
from vpr_ros.training.tours import SIZES, Stand

_VIEWS_IN_MAP, _VIEWS_AS_QUERY = 4, 2


@dataclass(frozen=True, slots=True)
class _View:
    """An image of a place: which place, of which family, and where a panorama's view points."""

    image: NDArray[np.uint8]
    place: str
    family: str
    split: str
    heading_rad: float | None = None


class Photographs:
    """A map of every open photograph, and queries that look for them; panoramas give views of several headings.

    Each query is asked twice: with its own place in the map, and without it, when every answer is wrong.
    """

    def __init__(
        self, folder: Path, encoder: Encoder, settings: Settings, one_site: Sequence[str] = (), seed: int = 0
    ) -> None:
        """Fill the map from a folder with ``manifest.csv`` (path, place_id, split, open).

        Args:
            folder: The folder.
            encoder: To run.
            settings: Of every stage.
            one_site: Patterns of place names; different places that fit one count neither as right nor as wrong, and
                nor do those whose names differ in their last numbers alone.
            seed: Of views and their light.
        """
        self._encoder, self._settings, self._one_site = encoder, settings, one_site
        self._random = np.random.default_rng(seed)
        self._map = PlaceMap.in_memory(encoder.recipe)
        self._map.start_session()
        self._evidence = Evidence(encoder.recipe, self._map, settings.geometry, patches=True, features=True)
        self._asked = 0
        self._places: list[_View] = []
        self._queries: list[tuple[_View, int | None]] = []
        for row in open_rows(folder):
            for view, is_query in self._views(folder, row):
                if not is_query:
                    self._map.add(self._keyframe(view.image, self._map.next_id))
                    self._places.append(replace(view, image=view.image[:0]))
                if is_query or view.heading_rad is None:
                    self._queries.append((view, None if is_query else len(self._places) - 1))

    def queries(self, split: str) -> Iterator[list[LabelledCandidate]]:
        """Yield the candidates of each query of a split."""
        stages = build_stages(self._settings.thresholds, UNCALIBRATED, ("sequence", "odometry", "agreement"))
        for view, own in self._queries:
            same = {i for i, place in enumerate(self._places) if place.place == view.place}
            for hidden in (set() if own is None else {own}, same) if view.split == split else ():
                if candidates := self._candidates(view, np.array(sorted(hidden), np.int64), stages):
                    yield candidates

    def _candidates(self, view: _View, hidden: NDArray[np.int64], stages: Sequence[Stage]) -> list[LabelledCandidate]:
        self._asked += 1
        query = self._keyframe(view.image, self._map.next_id + self._asked)  # evidence keeps by id
        memory = Memory(self._map, self._settings.thresholds)
        sighting = memory.look(query, hidden)
        memory.note(sighting)
        context = Context(memory, Odometer(self._settings.thresholds), self._evidence)
        labelled = []
        for candidate in memory.candidates_of(sighting, self._settings.thresholds.top_k):
            figures = figures_of(dict(judge(candidate, stages, context, UNCALIBRATED).verdicts))
            if "inliers" in figures:
                labelled.append(LabelledCandidate(figures, _label(view, self._places[candidate.match.id])))
        return labelled

    def _keyframe(self, image: NDArray[np.uint8], keyframe_id: int) -> Keyframe:
        image = np.ascontiguousarray(image)
        encoding = self._encoder.encode(image)
        patches, features = self._evidence.patches_of(encoding), self._evidence.features_of(Frame(0, 0, image))
        return Keyframe(
            id=keyframe_id,
            session=self._map.session,
            stamp_ns=0,
            descriptor=encoding.descriptor,
            patches=b"" if patches is None else patches.to_bytes(),
            features=b"" if features is None else features.to_bytes(),
            timed=False,
        )

    def _views(self, folder: Path, row: dict[str, str]) -> Iterator[tuple[_View, bool]]:
        image = np.asarray(cv2.imread(str(folder / row["path"]), cv2.IMREAD_COLOR_RGB), np.uint8)
        family = family_of(row, self._one_site, numbered_site=True)
        if image.shape[1] != 2 * image.shape[0]:
            yield _View(image, row["place_id"], family, row["split"]), False
            return
        first_rad, size = self._random.uniform(0, 2 * math.pi), SIZES[self._random.integers(len(SIZES))]
        for number in range(_VIEWS_IN_MAP + _VIEWS_AS_QUERY):
            is_query = number >= _VIEWS_IN_MAP
            heading_rad = first_rad + math.pi / 2 * (self._random.integers(4) if is_query else number)
            heading_rad += self._random.uniform(-0.38, 0.38) if is_query else 0.0
            fov_rad = math.radians(self._random.uniform(58, 82)) if is_query else math.radians(70)
            pitch_rad = self._random.uniform(-0.1, 0.1) if is_query else 0.0
            seen = crop_panorama(image, Look(heading_rad, pitch_rad, fov_rad=fov_rad), *size)
            seen = self._in_other_light(seen) if is_query else seen
            yield _View(seen, row["place_id"], family, row["split"], heading_rad), is_query

    def _in_other_light(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        gamma, brightness = self._random.uniform(0.6, 1.6), self._random.uniform(0.5, 1.15)
        noise = self._random.normal(0, self._random.uniform(1, 5), image.shape)
        lit = 255 * brightness * (image / 255.0) ** gamma + noise
        return np.clip(lit, 0, 255).astype(np.uint8)


def open_rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a folder's manifest that may be learned from."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["open"] == "yes"]


def _label(query: _View, place: _View) -> Label:
    if query.place != place.place:
        # Neighbouring places of one family may share what lies behind them.
        return Label.IGNORED if query.family == place.family else Label.WRONG
    if query.heading_rad is None or place.heading_rad is None:
        return Label.RIGHT
    return Stand(0, query.heading_rad).label(Stand(0, place.heading_rad))
