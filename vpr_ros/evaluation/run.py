"""Running a recording through the detector, the same object that the node runs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vpr_ros.core import Decision, Frame, LoopClosure
from vpr_ros.detection import LoopDetector, Observation, Settings
from vpr_ros.encoders import Recipe
from vpr_ros.evaluation.environment import peak_memory_mib
from vpr_ros.evaluation.recording import POSE_TOLERANCE_NS, Recording, SeenKeyframe, StageTiming
from vpr_ros.place_map import PlaceMap
from vpr_ros.sources import Source

OnFrame = Callable[[Frame, Observation], None]


@dataclass(slots=True)
class _Log:
    """What a run has given so far."""

    frames: int = 0
    timed: bool = True
    keyframes: list[SeenKeyframe] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    closures: list[LoopClosure] = field(default_factory=list)
    spent_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, observation: Observation) -> None:
        self.decisions.extend(observation.decisions)
        self.closures.extend(observation.closures)
        for stage, spent_ms in observation.timing_ms.items():
            self.spent_ms[stage].append(spent_ms)


def run_recording(source: Source, detector: LoopDetector, on_frame: OnFrame | None = None) -> Recording:
    """Give every frame of a source to a detector and return what came of it.

    Args:
        source: Open source; its frames are read once.
        detector: Fresh detector. Thumbnails of the keyframes are in its map afterwards.
        on_frame: Called after each frame, such as for progress.

    Raises:
        SourceError: The source can't be read.
        VprError: The detector could not go on, such as on a full disk.
    """
    began = time.perf_counter()
    log = _Log()
    for frame in _timed_reading(source.frames(), log.spent_ms["read"]):
        observation = detector.observe(frame)
        log.frames += 1
        log.timed &= frame.timed
        log.add(observation)
        if observation.keyframe is not None:
            log.keyframes.append(_seen(observation.keyframe.id, frame, source))
        if on_frame is not None:
            on_frame(frame, observation)
    log.add(detector.finish())
    return Recording(
        source=source.uri,
        encoder=detector.encoder.recipe.name,
        engine=detector.encoder.engine,
        frames=log.frames,
        keyframes=tuple(log.keyframes),
        decisions=tuple(log.decisions),
        closures=tuple(log.closures),
        timing=stage_timing(log.spent_ms),
        peak_memory_mib=peak_memory_mib(),
        seconds=time.perf_counter() - began,
        drops=dict(source.drops),
        timed=log.timed,
    )


def open_map(settings: Settings, recipe: Recipe) -> PlaceMap:
    """Open the map the settings name: in memory where they name none, read only in ``mode: localization``.

    Raises:
        MapError: It can't be opened, or holds another encoder's descriptors.
    """
    choice = settings.choice
    if not choice.map:
        return PlaceMap.in_memory(recipe)
    if choice.mode == "localization":
        return PlaceMap.open(Path(choice.map), recipe, read_only=True)
    return PlaceMap.open_or_create(Path(choice.map), recipe, durable=choice.durable)


def stage_timing(spent_ms: Mapping[str, Iterable[float]]) -> dict[str, StageTiming]:
    """Return median and 95th percentile of each stage that ran."""
    timing = {}
    for stage, values in spent_ms.items():
        all_ms = np.fromiter(values, dtype=np.float64)
        if all_ms.size:
            p50_ms, p95_ms = np.percentile(all_ms, [50, 95])
            timing[stage] = StageTiming(float(p50_ms), float(p95_ms))
    return timing


def _timed_reading(frames: Iterator[Frame], spent_ms: list[float]) -> Iterator[Frame]:
    while True:
        began = time.perf_counter()
        frame = next(frames, None)
        if frame is None:
            return
        spent_ms.append(1000 * (time.perf_counter() - began))
        yield frame


def _seen(keyframe_id: int, frame: Frame, source: Source) -> SeenKeyframe:
    truth = source.truth if frame.timed else None
    return SeenKeyframe(
        id=keyframe_id,
        frame=frame.index,
        stamp_ns=frame.stamp_ns,
        t_odom_camera=frame.t_odom_camera,
        t_world_camera=truth.at(frame.stamp_ns, POSE_TOLERANCE_NS) if truth is not None else None,
    )
