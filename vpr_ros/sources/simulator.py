"""The simulated robot: a camera driven around closed routes through Freedoom levels, with exact truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from types import TracebackType
from typing import get_args
from urllib.parse import parse_qsl

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import NS_PER_S, Frame, Pose, Trajectory
from vpr_ros.sources.doom_level import for_robot, read_level
from vpr_ros.sources.simulator_drive import Drive, plan_drive
from vpr_ros.sources.simulator_engine import CAMERA, DoomCamera, doom_folder
from vpr_ros.sources.simulator_routes import Route, RouteFacts, find_route, routes
from vpr_ros.sources.simulator_sensors import CameraNoise, Exposure, drifting_odometry
from vpr_ros.sources.source import SourceError, SourceOptions

__all__ = ["RouteFacts", "Simulator", "open_simulator", "routes"]

_SCHEME = "sim:"


@dataclass(frozen=True, slots=True)
class _Lamps:
    """How a level is lit: factor and summand of each sector's light (0 to 255), a dark sky or not, and the camera."""

    gain: float
    lift: float
    dark_sky: bool
    exposure: Exposure


# Day lifts the levels' own light, which is made for suspense. Night leaves the lamps that shine by themselves, a third
# of the rest, a sky with few stars, and a camera that turns up its gain: more noise, and the yellow of sodium lamps.
_LAMPS = {
    "day": _Lamps(1.0, 40, dark_sky=False, exposure=Exposure(noise=2.0, cast=(1.0, 1.0, 1.0))),
    "night": _Lamps(0.55, 0, dark_sky=True, exposure=Exposure(noise=6.0, cast=(1.0, 0.92, 0.8))),
}
_LIGHTS = ("day", "night", "night_lap2")


@dataclass(frozen=True, slots=True)
class _Query:
    """What stands behind the question mark of a URI; each field is one key."""

    laps: int = 2
    seed: int = 0
    light: str = "day"
    shift_m: float = 0.0
    rate_hz: float = 10.0
