"""The simulated robot: a camera driven around closed routes through Freedoom levels, with exact truth."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import TypeVar
from urllib.parse import parse_qsl

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Frame, Trajectory
from vpr_ros.sources.doom_depth import LevelDepth
from vpr_ros.sources.doom_level import floor_plan, for_robot, read_level
from vpr_ros.sources.simulator_drive import plan_drive
from vpr_ros.sources.simulator_engine import (
    BUFFER_STEP_M,
    CAMERA,
    HEADING_STEPS,
    HEIGHT_UNITS_PER_M,
    UNITS_PER_M,
    DoomCamera,
    doom_folder,
)
from vpr_ros.sources.simulator_routes import Route, RouteFacts, find_route, routes
from vpr_ros.sources.simulator_sensors import CameraNoise, Exposure, drifting_odometry, sensed_depth
from vpr_ros.sources.source import SourceError, SourceOptions
from vpr_ros.sources.window import window_of_stamps

__all__ = ["RouteFacts", "Simulator", "open_simulator", "routes"]

_SCHEME = "sim:"
_Number = TypeVar("_Number", int, float, bool)


@dataclass(frozen=True, slots=True)
class _Lamps:
    """How a level is lit: factor and summand of each sector's light (0 to 255), a dark sky or not, and the camera."""

    gain: float
    lift: float
    dark_sky: bool
    exposure: Exposure


# Day lifts the levels' own light, which is made for suspense. Night leaves the lamps that shine by themselves, about
# half of the rest, a sky with few stars, and a camera that turns up its gain: more noise, and sodium lamps' yellow.
_LAMPS = {
    "day": _Lamps(1.0, 40, dark_sky=False, exposure=Exposure(noise=2.0, cast=(1.0, 1.0, 1.0))),
    "night": _Lamps(0.6, 36, dark_sky=True, exposure=Exposure(noise=6.0, cast=(1.0, 0.92, 0.8))),
}
_LIGHTS: dict[str, tuple[str, str]] = {  # lamps of the first lap, lamps of the later ones
    "day": ("day", "day"),
    "night": ("night", "night"),
    "night_lap2": ("day", "night"),
}
_SKIES = ("SKY1", "SKY2", "SKY3", "SKY4")  # the games' names
_SKY_SHAPE = (128, 256)
_STARS = 60
_BEFORE_THE_WALL = 0.8  # share of a wall's depth; what the buffer puts nearer than that stands before the wall
_KEYS = {  # each key of the URI with what it may be
    "laps": "1 to 20",
    "seed": "a whole number from 0",
    "light": ", ".join(_LIGHTS),
    "shift_m": "metres to the left",
    "rate_hz": "1 to 30",
    "depth": "true or false",
}


@dataclass(frozen=True, slots=True)
class _Wish:
    """What stands behind the question mark of a URI; each field is one key."""

    laps: int = 2
    seed: int = 0
    light: str = "day"
    shift_m: float = 0.0
    rate_hz: float = 10.0
    depth: bool = False

    def __post_init__(self) -> None:
        """Check ranges once."""
        allowed = {
            "laps": 1 <= self.laps <= 20,
            "seed": self.seed >= 0,
            "light": self.light in _LIGHTS,
            "shift_m": np.isfinite(self.shift_m),
            "rate_hz": 1 <= self.rate_hz <= 30,
        }
        for key, is_allowed in allowed.items():
            if not is_allowed:
                raise SourceError(f"simulated robot: {key} is {getattr(self, key)}, expected {_KEYS[key]}")


class Simulator:
    """The simulated robot as a source. Made by ``open_simulator``; starts the engine when frames are asked for.

    Attributes:
        uri: As the user gave it.
        truth: Exact poses of the camera in the level's frame (x east, y north, z up).
        drops: Always empty.
        odometry: ``t_odom_camera`` of each frame of the whole drive, by index.
    """

    def __init__(self, uri: str, route: Route, wish: _Wish, options: SourceOptions) -> None:
        """Plan the drive; nothing is started."""
        self.uri = uri
        self.drops: Counter[str] = Counter()
        self._route = route
        self._wish = wish
        # One number of route and seed, so that two routes do not share their noise.
        self._run = zlib.crc32(f"{route.facts.name} {wish.seed}".encode())
        self._drive = plan_drive(route, laps=wish.laps, rate_hz=wish.rate_hz, seed=self._run, shift_m=wish.shift_m)
        self._poses = self._drive.t_level_camera()
        self.truth: Trajectory | None = Trajectory(self._drive.stamps_ns, self._poses)
        self.odometry = drifting_odometry(self._poses, self._run)
        self._wanted = window_of_stamps(self._drive.stamps_ns.tolist(), len(self._drive), options)
        self._camera: DoomCamera | None = None
        self._depth: LevelDepth | None = None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._wanted)

    def frames(self) -> Iterator[Frame]:
        """Yield frames in order, rendered one at a time.

        A second call starts again from the beginning and ends a first one that is not finished.

        Raises:
            SourceError: The engine does not start or ends.
        """
        for lamps_name, indexes in groupby(self._wanted, key=self._lamps_of):
            lamps = _LAMPS[lamps_name]
            noise = CameraNoise(lamps.exposure, (CAMERA.height, CAMERA.width), self._run)
            camera = self._started(lamps)
            passed = self._first_of(lamps_name)
            for index in indexes:
                if camera is not self._camera:
                    return
                camera.wait(index - passed)
                passed = index + 1
                yield self._frame(camera, noise, index)
        self.close()

    def _lamps_of(self, index: int) -> str:
        return _LIGHTS[self._wish.light][min(int(self._drive.laps[index]), 1)]

    def _first_of(self, lamps_name: str) -> int:
        """Return the frame at which these lamps went on, whether it is wanted or not."""
        return next(index for index in range(len(self._drive)) if self._lamps_of(index) == lamps_name)

    def _started(self, lamps: _Lamps) -> DoomCamera:
        """Return a new engine in the route's level; an earlier one ends."""
        self.close()
        level = read_level(doom_folder() / self._route.game_wad, self._route.level_name)
        lit = for_robot(level, light_gain=lamps.gain, light_lift=lamps.lift)
        skies = dict.fromkeys(_SKIES, _night_sky()) if lamps.dark_sky else {}
        if self._wish.depth:
            plan = floor_plan(lit, units_per_m=UNITS_PER_M, height_units_per_m=HEIGHT_UNITS_PER_M)
            self._depth = LevelDepth(plan, CAMERA)
        self._camera = DoomCamera.open(
            self._route.game_wad, self._route.level_name, lit, skies, with_depth=self._wish.depth
        )
        return self._camera

    def _frame(self, camera: DoomCamera, noise: CameraNoise, index: int) -> Frame:
        x, y, floor_z = self._drive.places[index]
        image = camera.look(x=x, y=y, floor_z=floor_z, heading_step=int(self._drive.heading_steps[index]))
        return Frame(
            index=index,
            stamp_ns=int(self._drive.stamps_ns[index]),
            image=noise.expose(image, index),
            camera=CAMERA,
            depth_m=self._depth_m(camera, self._depth, index) if self._depth is not None else None,
            t_odom_camera=self.odometry[index],
        )

    def _depth_m(self, camera: DoomCamera, depth: LevelDepth, index: int) -> NDArray[np.float32]:
        yaw_rad = self._drive.heading_steps[index] * (2 * np.pi / HEADING_STEPS)
        depth_m = depth.seen_from(self._poses[index].translation, float(yaw_rad))
        # Before a wall may stand a picture without a body, a tree or bars: the buffer has it, too coarse to be used.
        seen_m = camera.depth_buffer() * np.float32(BUFFER_STEP_M)
        depth_m[seen_m < _BEFORE_THE_WALL * depth_m - 2 * BUFFER_STEP_M] = np.nan
        return sensed_depth(depth_m, self._run, index)

    def close(self) -> None:
        """End the engine, if it runs."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def __enter__(self) -> Simulator:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def open_simulator(uri: str, options: SourceOptions) -> Simulator:
    """Return the simulated robot of a URI ``sim:ROUTE[?laps=2&seed=0&light=day&shift_m=0&rate_hz=10&depth=false]``.

    Args:
        uri: ``sim:`` alone is the default route. The second and later laps are driven ``shift_m`` metres to the left
            of the first; ``light`` is day, night or night_lap2 (the first lap by day, the later ones by night);
            ``depth`` gives the robot a depth camera.
        options: Only ``from_s`` and ``to_s`` mean something here.

    Raises:
        SourceError: An unknown route, key or value, which lists what is allowed; no frame between
            ``from_s`` and ``to_s``; or vizdoom is missing.
    """
    name, _, query = uri.removeprefix(_SCHEME).partition("?")
    route, wish = find_route(name), _wish(query)
    if abs(wish.shift_m) > route.facts.max_shift_m:
        raise SourceError(
            f"simulated robot: shift_m is {wish.shift_m:g}, expected at most {route.facts.max_shift_m:g} to either "
            f"side on route {route.facts.name}, or it hits a wall"
        )
    doom_folder()
    return Simulator(uri, route, wish, options)


def _wish(query: str) -> _Wish:
    """Return the keys and values of a query, checked."""
    texts = dict(parse_qsl(query, keep_blank_values=True))
    for key in texts:
        if key not in _KEYS:
            raise SourceError(f"simulated robot: unknown key '{key}'; there are: {', '.join(_KEYS)}")
    plain = _Wish()
    return _Wish(
        laps=_number(int, "laps", texts, plain.laps),
        seed=_number(int, "seed", texts, plain.seed),
        light=texts.get("light", plain.light),
        shift_m=_number(float, "shift_m", texts, plain.shift_m),
        rate_hz=_number(float, "rate_hz", texts, plain.rate_hz),
        depth=_number(_true_or_false, "depth", texts, plain.depth),
    )


def _number(kind: Callable[[str], _Number], key: str, texts: dict[str, str], default: _Number) -> _Number:
    """Return a key's number, or the default where the key is not given."""
    try:
        return kind(texts[key]) if key in texts else default
    except ValueError:
        raise SourceError(f"simulated robot: {key} is '{texts[key]}', expected {_KEYS[key]}") from None


def _true_or_false(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _night_sky() -> bytes:
    """Return a nearly black sky with stars as a PNG file."""
    rng = np.random.default_rng(0)
    sky: NDArray[np.uint8] = np.full((*_SKY_SHAPE, 3), (14, 8, 6), dtype=np.uint8)  # blue first
    sky[rng.integers(_SKY_SHAPE[0], size=_STARS), rng.integers(_SKY_SHAPE[1], size=_STARS)] = 150
    return bytes(cv2.imencode(".png", sky)[1])
