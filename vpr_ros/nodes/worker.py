"""The one thread that owns encoder, map and detector. Everybody else asks it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from vpr_ros.core import Camera, Frame, Keyframe, VprError
from vpr_ros.core.settings import SettingsError
from vpr_ros.detection import LoopDetector, Observation, RelocalizationAnswer, Relocalizer, Settings
from vpr_ros.encoders import Encoder, open_encoder
from vpr_ros.evaluation.run import open_map
from vpr_ros.nodes.inbox import Inbox, Question
from vpr_ros.nodes.vitals import Vitals
from vpr_ros.place_map import PlaceMap
from vpr_ros.sources.assembly import Exposure
from vpr_ros.sources.messages import frame_of, image_of

Answer = TypeVar("Answer")
_LOG = logging.getLogger(__name__)


class NotActiveError(VprError):
    """Something was asked for that only an active node does."""


@dataclass(frozen=True, slots=True)
class FoundPlace:
    """A place that looks like what was asked for.

    Attributes:
        place: The place, without its thumbnail.
        similarity: Cosine of the descriptors, in [-1, 1].
    """

    place: Keyframe
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class _Belongings:
    """What the worker's thread owns once it is open."""

    encoder: Encoder
    place_map: PlaceMap
    relocalizer: Relocalizer


class Worker:
    """Looks at frames, one after the other, and answers questions between them.

    A question's answer is a future; those that look at the map go before the frames that wait, those that begin or end
    a session after them.
    """

    def __init__(self, settings: Settings, vitals: Vitals, announce: Callable[[Observation, PlaceMap], None]) -> None:
        """Start the thread; ``open`` makes it useful.

        Args:
            settings: All settings.
            vitals: Where drops and timings are noted.
            announce: Called in the worker's thread with what each frame led to.
        """
        self._settings = settings
        self._vitals = vitals
        self._announce = announce
        self._at_end = ExitStack()
        self._own: _Belongings | None = None
        self._detector: LoopDetector | None = None
        self._frames = 0
        self._camera: Camera | None = None
        self.inbox: Inbox[Exposure] = Inbox(settings.node.queue_size, self._note_full)
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)
        self._thread.start()

    def open(self) -> Encoder:
        """Load the weights, open the map, and return the encoder, to be looked at only.

        Raises:
            VprError: Unknown encoder, missing weights, foreign or locked map.
        """
        return self.inbox.ask(self._open).result()

    def begin(self) -> None:
        """Begin a session.

        Raises:
            MapError: The map can't take one.
        """
        self.inbox.ask(self._begin).result()

    def end(self) -> None:
        """Look at the frames that wait, decide what is open, and end the session."""
        self.inbox.ask_after_frames(self._end).result()

    def close(self) -> None:
        """Drop the frames that wait, close the map and end the thread."""
        self.inbox.close()
        self._thread.join()

    def start_session(self) -> Future[int]:
        """Have a new session begun after the frames that wait; gives its number."""
        return self.inbox.ask_after_frames(self._start_session)

    def checkpoint(self) -> Future[int]:
        """Have the map put whole into its file; gives its number of places."""
        return self.inbox.ask(self._checkpoint)

    def locate(self, image: Image | CompressedImage, max_hypotheses: int) -> Future[RelocalizationAnswer]:
        """Have an image located in the map; it is taken to be of the camera whose frames come, if it has their size."""
        return self.inbox.ask(lambda: self._locate(image, max_hypotheses))

    def find(
        self, looked_for: NDArray[np.float32] | Image | CompressedImage, most: int
    ) -> Future[tuple[FoundPlace, ...]]:
        """Have the places found that look most like an image or a descriptor (dim,)."""
        return self.inbox.ask(lambda: self._find(looked_for, most))

    def places(self) -> tuple[int, int]:
        """Return the number of places and the running session; both may be a keyframe old."""
        own = self._own
        return (0, -1) if own is None else (len(own.place_map), own.place_map.session)

    def _work(self) -> None:
        with self._at_end:
            while (item := self.inbox.take()) is not None:
                if isinstance(item, Question):
                    item.run()
                else:
                    self._look(item)

    def _open(self) -> Encoder:
        choice = self._settings.choice
        if choice.mode == "localization" and not choice.map:
            raise SettingsError("mode is localization, but map is empty; set map to the directory of an existing map")
        encoder = open_encoder(choice.encoder, choice.engine)
        place_map = self._at_end.enter_context(open_map(self._settings, encoder.recipe))
        self._own = _Belongings(encoder, place_map, Relocalizer(encoder, place_map, self._settings))
        return encoder

    @property
    def _belongings(self) -> _Belongings:
        assert self._own is not None, "nothing is asked before open() has returned"
        return self._own

    def _begin(self) -> None:
        self._detector = LoopDetector(self._belongings.encoder, self._belongings.place_map, self._settings)

    def _end(self) -> None:
        if self._detector is not None:
            self._tell(self._detector.finish())
            self._detector = None

    def _start_session(self) -> int:
        if self._detector is None:
            raise NotActiveError("no session is running: the node is not active; activate it first")
        self._tell(self._detector.start_session())
        return self._detector.place_map.session

    def _checkpoint(self) -> int:
        self._belongings.place_map.checkpoint()
        return len(self._belongings.place_map)

    def _locate(self, image: Image | CompressedImage, max_hypotheses: int) -> RelocalizationAnswer:
        frame = frame_of(Exposure(image), self._frames, self._vitals.notice)
        camera = self._camera
        if camera is not None and (camera.height, camera.width) == frame.image.shape[:2]:
            frame = replace(frame, camera=camera)
        answer = self._belongings.relocalizer.locate(frame, max_hypotheses)
        self._note_damage(answer.damage)
        return answer

    def _find(self, looked_for: NDArray[np.float32] | Image | CompressedImage, most: int) -> tuple[FoundPlace, ...]:
        encoder, place_map = self._belongings.encoder, self._belongings.place_map
        if isinstance(looked_for, (Image, CompressedImage)):
            looked_for = encoder.encode(image_of(looked_for)).descriptor
        found = place_map.search(looked_for, max(1, most))
        return tuple(FoundPlace(place_map.place(match.id), match.similarity) for match in found)

    def _look(self, exposure: Exposure) -> None:
        """Take one frame; whatever is wrong with it is counted, and the node lives on."""
        began = time.perf_counter()
        try:
            self._observe(frame_of(exposure, self._frames, self._vitals.notice))
        except VprError as error:
            self._vitals.drop_for(error)
        except Exception as error:  # noqa: BLE001 - one bad frame must not end the node
            _LOG.exception("a frame could not be looked at; this is a bug of vpr_ros")
            self._vitals.drop_for(error)
        self._vitals.note_time("frame", 1e3 * (time.perf_counter() - began))

    def _observe(self, frame: Frame) -> None:
        self._frames += 1
        self._camera = frame.camera or self._camera
        if self._detector is None:  # it came while the node was deactivated
            return
        self._vitals.note("frames")
        self._tell(self._detector.observe(frame))

    def _tell(self, observation: Observation) -> None:
        for stage, spent_ms in observation.timing_ms.items():
            self._vitals.note_time(stage, spent_ms)
        self._note_damage(observation.damage)
        self._announce(observation, self._belongings.place_map)

    def _note_damage(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self._vitals.notice("damaged place", sentence)

    def _note_full(self) -> None:
        self._vitals.drop("queue full", f"{self.inbox.capacity} frames waited, the oldest was dropped; see queue_size")
