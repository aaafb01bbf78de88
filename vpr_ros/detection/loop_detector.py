"""The path from frames to decisions: the one object that the node, the command line and the tests run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Decision, Frame, FrameError, Keyframe, LoopClosure
from vpr_ros.core.settings import SettingsError
from vpr_ros.detection.evidence import Evidence
from vpr_ros.detection.judgement import (
    Judgement,
    accept,
    agrees_better,
    judge,
    refuse,
    refuse_outdone,
    refuse_unfinished,
    strongest,
)
from vpr_ros.detection.keyframes import KeyframeSelector
from vpr_ros.detection.memory import Memory, Sighting
from vpr_ros.detection.path import STAGE_NAMES, build_stages
from vpr_ros.detection.policy import policy_for
from vpr_ros.detection.recent_past import RecentPast
from vpr_ros.detection.settings import Settings
from vpr_ros.detection.stages import Context, Outcome
from vpr_ros.encoders import Encoder
from vpr_ros.place_map import PlaceMap

_THUMBNAIL_WIDTH = 320
_THUMBNAIL_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Observation:
    """What one frame led to.

    Attributes:
        keyframe: The frame as a keyframe, None if it was not chosen.
        decisions: Verdicts reached now, on this keyframe's candidates and on earlier ones that waited for it.
        closures: The accepted among them.
        timing_ms: Milliseconds spent in each step: encode, describe, features, search, store, judge; empty where no
            keyframe was chosen.
        damage: A sentence for each place of the map whose patches or features turned out to be unreadable.
    """

    keyframe: Keyframe | None = None
    decisions: tuple[Decision, ...] = ()
    closures: tuple[LoopClosure, ...] = ()
    timing_ms: dict[str, float] = field(default_factory=dict)
    damage: tuple[str, ...] = ()


class LoopDetector:
    """Turns frames into decisions and remembers keyframes.

    In ``mode: mapping`` each keyframe is stored in the map. In ``mode: localization`` the map is only read, and the ids
    of keyframes count on from the map's without being stored.
    """

    def __init__(
        self, encoder: Encoder, place_map: PlaceMap, settings: Settings, without: tuple[str, ...] = ()
    ) -> None:
        """Begin a session on a map.

        Args:
            encoder: Its recipe must be the map's.
            place_map: Places known so far.
            settings: All thresholds and rules.
            without: Names of stages to switch off.

        Raises:
            SettingsError: ``without`` names no stage.
        """
        if unknown := sorted(set(without) - set(STAGE_NAMES)):
            raise SettingsError(f"there is no stage '{unknown[0]}' to switch off; there are {', '.join(STAGE_NAMES)}")
        self.place_map = place_map
        self.settings = settings = settings.of_encoder(encoder.recipe)
        self.encoder = encoder
        self._policy = policy_for(encoder.recipe, settings.choice.policy)
        self._stages = build_stages(settings.thresholds, self._policy, without)
        self._evidence = Evidence(
            encoder.recipe,
            place_map,
            settings.geometry,
            patches="rerank" not in without,
            features="geometry" not in without,
        )
        self._is_mapping = settings.choice.mode == "mapping"
        self._next_id = place_map.next_id
        self._waiting: list[Judgement] = []
        self._begin_session()

    def observe(self, frame: Frame) -> Observation:
        """Take the next frame.

        Raises:
            FrameError: Its stamp is earlier than the last keyframe's.
            EncoderError: Its image can't be encoded.
            MapError: It could not be stored.

            Whichever is raised, nothing of the frame is remembered and the map is as it was before.
        """
        self._refuse_the_past(frame)
        if not self._selector.is_keyframe(frame):
            return Observation()
        clock = _StepClock()
        keyframe = self._keyframe(frame, clock)
        with clock.step("search"):
            sighting = self._memory.look(keyframe, self._recent_past.excluded(keyframe))
        with clock.step("store"):
            self._remember(frame, sighting)
        with clock.step("judge"):
            self._recent_past.remember(keyframe)
            has_left = partial(self._recent_past.has_left, keyframe)
            candidates = self._memory.candidates_of(sighting, self.settings.thresholds.top_k, has_left)
            self._waiting += [Judgement(candidate, ()) for candidate in candidates]
            decisions, closures = self._judge_waiting()
        return Observation(keyframe, decisions, closures, clock.spent_ms, self._evidence.new_damage())

    def start_session(self) -> Observation:
        """Begin a new session, after an interruption or a jump of the clock; what waits is decided first."""
        ended = self.finish()
        self._begin_session()
        return ended

    def finish(self) -> Observation:
        """Decide what still waits for keyframes that will not come: what can't do without them is refused."""
        self._context.is_over = True
        decisions, closures = self._judge_waiting()
        self._context.is_over = False
        unfinished = tuple(refuse_unfinished(judgement) for judgement in self._waiting)
        self._waiting = []
        return Observation(decisions=decisions + unfinished, closures=closures)

    def _begin_session(self) -> None:
        if self._is_mapping:
            self.place_map.start_session()
        self._selector = KeyframeSelector(self.settings.keyframes)
        self._recent_past = RecentPast(self.settings.thresholds)
        self._memory = Memory(self.place_map, self.settings.thresholds)
        self._context = Context(self._memory, self._recent_past.odometer, self._evidence)

    def _refuse_the_past(self, frame: Frame) -> None:
        last = self._selector.last
        if last is not None and frame.stamp_ns < last.stamp_ns:
            back_s = (last.stamp_ns - frame.stamp_ns) / 1e9
            raise FrameError(
                f"stamp {frame.stamp_ns} ns is {back_s:.3f} s before the last keyframe's; "
                "frames must come in order of time, start a new session after a jump of the clock"
            )

    def _keyframe(self, frame: Frame, clock: _StepClock) -> Keyframe:
        with clock.step("encode"):
            encoding = self.encoder.encode(frame.image)
        with clock.step("describe"):
            patches = self._evidence.patches_of(encoding)
        with clock.step("features"):
            features = self._evidence.features_of(frame)
        return Keyframe(
            id=self._next_id,
            session=self.place_map.session,
            stamp_ns=frame.stamp_ns,
            descriptor=encoding.descriptor,
            thumbnail=_thumbnail(frame.image),
            patches=None if patches is None else patches.to_bytes(),
            features=None if features is None else features.to_bytes(),
            frame_id=frame.frame_id,
            camera=frame.camera,
            t_odom_camera=frame.t_odom_camera,
            timed=frame.timed,
        )

    def _remember(self, frame: Frame, sighting: Sighting) -> None:
        """Store first: what fails here leaves no trace in memory."""
        if self._is_mapping:
            self.place_map.add(sighting.query)
        self._memory.note(sighting)
        self._selector.take(frame)
        self._next_id += 1

    def _judge_waiting(self) -> tuple[tuple[Decision, ...], tuple[LoopClosure, ...]]:
        """Judge all that is open, query by query; a query closes one loop at most, its best."""
        # The newest query first: what geometry says of it supports those before it.
        judged = [judge(w.candidate, self._stages, self._context, self._policy) for w in reversed(self._waiting)][::-1]
        self._waiting = []
        decisions: list[Decision] = []
        closures: list[LoopClosure] = []
        for query_id in dict.fromkeys(judgement.candidate.query.id for judgement in judged):
            of_query = [judgement for judgement in judged if judgement.candidate.query.id == query_id]
            best = strongest(of_query)
            better = None if best is None else agrees_better(best, of_query)
            if best is not None and better is None:
                decision, closure = accept(best)
                decisions.append(decision)
                closures.append(closure)
                self._memory.close(closure)
            for judgement in of_query:
                if judgement.outcome is Outcome.REFUSED:
                    decisions.append(refuse(judgement))
                elif best is None or (better is not None and judgement.outcome is Outcome.WAITING):
                    self._waiting.append(judgement)
                elif judgement is not best or better is not None:
                    decisions.append(refuse_outdone(judgement, better or best))
        return tuple(decisions), tuple(closures)


class _StepClock:
    """Adds up the milliseconds of named steps."""

    def __init__(self) -> None:
        self.spent_ms: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.spent_ms[name] = 1e3 * (time.perf_counter() - start)


def _thumbnail(image: NDArray[np.uint8]) -> bytes:
    """Return the image as a small JPEG for people."""
    height, width = image.shape[:2]
    size = (min(width, _THUMBNAIL_WIDTH), max(1, round(height * min(1, _THUMBNAIL_WIDTH / width))))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY])
    assert done, "OpenCV encodes every non-empty uint8 image"
    return bytes(jpeg)
