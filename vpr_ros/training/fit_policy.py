"""Fitting the policy that ships with an encoder, by drives of the simulated robot and open photographs.

    python -m vpr_ros.training.fit_policy --photographs FOLDER --out weights/mixvpr-lite-policy.yaml

``vpr_ros calibrate`` does the same from a user's own recordings.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Candidate, Decision, Frame, Keyframe
from vpr_ros.detection import LoopDetector, Settings
from vpr_ros.detection.calibration import (
    SWITCHED_OFF,
    Label,
    LabelledCandidate,
    all_seen,
    best_pairs,
    fit_to_queries,
    reliability,
)
from vpr_ros.detection.evidence import Evidence
from vpr_ros.detection.judgement import judge
from vpr_ros.detection.memory import Memory
from vpr_ros.detection.odometer import Odometer
from vpr_ros.detection.path import build_stages
from vpr_ros.detection.policy import UNCALIBRATED, Policy, policy_as_yaml
from vpr_ros.detection.stages import Context, Stage, figures_of
from vpr_ros.encoders import Encoder, open_encoder
from vpr_ros.place_map import PlaceMap
from vpr_ros.scoring import PairLabel, PoseFile, PoseRules, PoseTruth
from vpr_ros.sources import SourceOptions, open_source
from vpr_ros.training.fit_reranker import panorama_view


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive of the simulated robot.

    Attributes:
        uri: Route and conditions.
        size: Width and height its images are shrunk to; None as they come (640, 480).
        has_copies: Whether places of the route are copies of each other, so that images alone have nothing to go by.
    """

    uri: str
    size: tuple[int, int] | None = None
    has_copies: bool = False


DRIVES = (
    Drive("sim:ring", has_copies=True),
    Drive("sim:ring?light=night_lap2", (160, 120), has_copies=True),
    Drive("sim:garden?light=night_lap2"),
    Drive("sim:depot?shift_m=0.3"),
    Drive("sim:court?shift_m=0.4"),
    Drive("sim:terraces?light=night_lap2&shift_m=0.2"),
    Drive("sim:halls", (160, 120)),
    Drive("sim:quarry?light=night_lap2"),
    Drive("sim:station"),
    Drive("sim:street", (160, 120)),
    Drive("sim:office?light=night_lap2", (320, 240)),
)
HELD_OUT_DRIVES = (
    Drive("sim:cloister"),
    Drive("sim:temple?shift_m=0.5", (160, 120)),
    Drive("sim:cellblock?light=night_lap2", (320, 240)),
)

_LABELS = {PairLabel.RIGHT: Label.RIGHT, PairLabel.WRONG: Label.WRONG, PairLabel.IGNORED: Label.IGNORED}
# Right within this, wrong beyond twice as far: in a hall two views some metres apart show one place, and geometry says
# so rightly; to call them wrong would teach the policy to distrust it.
_RADIUS_M = 2.0
# Of one panorama, headings this near are one place, and beyond twice as far others.
_SAME_HEADING_RAD = math.radians(30)
_VIEWS_IN_MAP, _VIEWS_AS_QUERY = 4, 2
_SIZES = ((320, 240), (640, 480), (512, 384))  # what robots' cameras give, width by height


def drive_queries(drive: Drive, encoder: Encoder, settings: Settings) -> list[list[LabelledCandidate]]:
    """Drive once with open eyes and return each query's candidates, labelled by the robot's exact poses."""
    with open_source(drive.uri, SourceOptions()) as source, PlaceMap.in_memory(encoder.recipe) as place_map:
        detector = LoopDetector(encoder, place_map, settings, SWITCHED_OFF)
        keyframes: dict[int, tuple[int, int]] = {}
        decisions: list[Decision] = []
        for frame in source.frames():
            observation = detector.observe(_shrunk(frame, drive.size))
            if observation.keyframe is not None:
                keyframes[observation.keyframe.id] = (frame.index, frame.stamp_ns)
            decisions += observation.decisions
        decisions += detector.finish().decisions
        frames, stamps_ns = (np.array(column, np.int64) for column in zip(*keyframes.values(), strict=True))
        poses = PoseFile("the simulator", trajectory=source.truth).at_frames(frames, stamps_ns, timed=True)
    truth = PoseTruth(poses, PoseRules(radius_m=_RADIUS_M))
    queries: dict[int, list[LabelledCandidate]] = {}
    for decision in decisions:
        if "inliers" in decision.figures:
            label = truth.label(keyframes[decision.query_id][0], keyframes[decision.match_id][0])
            queries.setdefault(decision.query_id, []).append(LabelledCandidate(decision.figures, _LABELS[label]))
    return list(queries.values())


def _shrunk(frame: Frame, size: tuple[int, int] | None) -> Frame:
    if size is None:
        return frame
    image = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
    # A camera without intrinsics is part of what a policy has to know.
    return replace(frame, image=np.asarray(image, np.uint8), camera=None, depth_m=None)


@dataclass(frozen=True, slots=True)
class _View:
    """An image of a place: which place, of which site, and where a panorama's view points."""

    image: NDArray[np.uint8]
    place: str
    site: str
    split: str
    heading_rad: float | None = None


class Photographs:
    """A map of every open photograph, and queries that look for them; panoramas give views of several headings.

    Each query is asked twice: with its own place in the map, and without it, when every answer is wrong.
    """

    def __init__(self, folder: Path, encoder: Encoder, settings: Settings, seed: int = 0) -> None:
        """Fill the map from a folder with ``manifest.csv`` (path, place_id, split, open)."""
        self._encoder, self._settings = encoder, settings
        self._random = np.random.default_rng(seed)
        self._map = PlaceMap.in_memory(encoder.recipe)
        self._map.start_session()
        self._evidence = Evidence(encoder.recipe, self._map, settings.geometry, patches=True, features=True)
        self._asked = 0
        self._places: list[_View] = []
        self._queries: list[tuple[_View, int | None]] = []
        for row in _open_rows(folder):
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
        found = list(zip(sighting.place_ids.tolist(), sighting.similarities.tolist(), strict=True))
        found = found[: self._settings.thresholds.top_k]
        memory.note_candidates(query.id, tuple(place_id for place_id, _ in found))
        context = Context(memory, Odometer(self._settings.thresholds), self._evidence)
        candidates = []
        for rank, (place_id, similarity) in enumerate(found):
            candidate = Candidate(query, memory.place(place_id), similarity, rank)
            figures = figures_of(dict(judge(candidate, stages, context, UNCALIBRATED).verdicts))
            if "inliers" in figures:
                candidates.append(LabelledCandidate(figures, _label(view, self._places[place_id])))
        return candidates

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
        site = row["place_id"].rstrip("0123456789_-")
        if image.shape[1] != 2 * image.shape[0]:
            yield _View(image, row["place_id"], site, row["split"]), False
            return
        first_rad, size = self._random.uniform(0, 2 * math.pi), _SIZES[self._random.integers(len(_SIZES))]
        for number in range(_VIEWS_IN_MAP + _VIEWS_AS_QUERY):
            is_query = number >= _VIEWS_IN_MAP
            heading_rad = first_rad + math.pi / 2 * (self._random.integers(4) if is_query else number)
            heading_rad += self._random.uniform(-0.38, 0.38) if is_query else 0.0
            fov_rad = math.radians(self._random.uniform(58, 82)) if is_query else math.radians(70)
            pitch_rad = self._random.uniform(-0.1, 0.1) if is_query else 0.0
            seen = panorama_view(image, yaw_rad=heading_rad, pitch_rad=pitch_rad, fov_rad=fov_rad)
            seen = np.asarray(cv2.resize(seen, size, interpolation=cv2.INTER_AREA), np.uint8)
            seen = self._in_other_light(seen) if is_query else seen
            yield _View(seen, row["place_id"], site, row["split"], heading_rad), is_query

    def _in_other_light(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        gamma, brightness = self._random.uniform(0.6, 1.6), self._random.uniform(0.5, 1.15)
        noise = self._random.normal(0, self._random.uniform(1, 5), image.shape)
        lit = 255 * brightness * (image / 255.0) ** gamma + noise
        return np.clip(lit, 0, 255).astype(np.uint8)


def _open_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["open"] == "yes"]


def _label(query: _View, place: _View) -> Label:
    if query.place != place.place:
        # Neighbouring places of one site may share what lies behind them.
        return Label.IGNORED if query.site == place.site else Label.WRONG
    if query.heading_rad is None or place.heading_rad is None:
        return Label.RIGHT
    apart_rad = abs((query.heading_rad - place.heading_rad + math.pi) % (2 * math.pi) - math.pi)
    if apart_rad <= _SAME_HEADING_RAD:
        return Label.RIGHT
    return Label.IGNORED if apart_rad <= 2 * _SAME_HEADING_RAD else Label.WRONG


def fit(
    encoder: Encoder, photographs: Path, said: Callable[[str], object] = sys.stderr.write
) -> tuple[Policy, dict[str, object]]:
    """Return the policy of an encoder, and notes on what it was fitted to and how it does on what was held out.

    Args:
        encoder: Whose similarities and patches the policy weighs.
        photographs: Folder with ``manifest.csv``; only its open images are read.
        said: Takes a line of progress.
    """
    settings = all_seen(Settings().of_encoder(encoder.recipe))
    photos = Photographs(photographs, encoder, settings)
    fitted, held_out = list(photos.queries("train")), list(photos.queries("val"))
    copies: list[list[LabelledCandidate]] = []
    for drive in (*DRIVES, *HELD_OUT_DRIVES):
        into = held_out if drive in HELD_OUT_DRIVES else copies if drive.has_copies else fitted
        into.extend(drive_queries(drive, encoder, settings))
        said(f"{drive.uri}: {len(into)} queries so far\n")
    policy, pairs = fit_to_queries(fitted, encoder.recipe, "simulated robot and open photographs", copies)
    bins = reliability(policy, best_pairs(held_out, policy.log_odds))
    right = int(pairs.is_same_place.sum())
    return policy, {
        "right": right,
        "wrong": len(pairs.is_same_place) - right,
        "reliability": [{"pairs": b.count, "said": round(b.said, 3), "true": round(b.true, 3)} for b in bins],
    }


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description="Fit the policy that ships with an encoder.")
    parser.add_argument("--encoder", default="mixvpr-lite", help="by its registered name or its ONNX file")
    parser.add_argument("--photographs", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--out", type=Path, required=True, help="policy file to write")
    arguments = parser.parse_args()
    policy, notes = fit(open_encoder(arguments.encoder), arguments.photographs)
    arguments.out.write_text(policy_as_yaml(policy, notes), encoding="utf-8")


if __name__ == "__main__":
    main()
