"""Driving a route: where the camera is at each frame, as a driver who never repeats himself exactly would have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import NS_PER_S, Pose
from vpr_ros.sources.simulator_engine import EYE_UNITS, HEADING_STEPS, HEIGHT_UNITS_PER_M, UNITS_PER_M
from vpr_ros.sources.simulator_routes import Route

SPEED_M_S = 1.0  # on the straight; a usual speed of indoor robots
MAX_TURN_RAD_S = 0.6  # the robot slows down in curves so that it turns no faster
FIRST_STAMP_NS = 1000 * NS_PER_S  # not 0, which ROS takes for "no time"

# The driver's deviation from the route is a sum of waves over the distance driven. Their lengths fit into no lap, so
# each lap deviates in its own way.
_WAVES = 5
_WAVE_LENGTHS_M = (4.0, 20.0)
_SIDEWAYS_M = 0.025  # amplitude of each wave: 4 cm standard deviation, never above 12.5 cm
_HEADING_RAD = np.deg2rad(1.0)  # amplitude of each wave: 1.6 degrees standard deviation, never above 5
_SHIFT_TAKEN_OVER_M = 4.0  # the second lap changes lanes smoothly
_STEP_M = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """Where the camera is at each frame; n frames.

    Attributes:
        stamps_ns: Shape (n,), int64, increasing.
        laps: Lap of each frame, from 0, shape (n,), int64.
        places: x, y, floor height in map units as the engine takes them, shape (n, 3), float64.
        heading_steps: Counter-clockwise from east in turns / ``HEADING_STEPS``, shape (n,), int64.
    """

    stamps_ns: NDArray[np.int64]
    laps: NDArray[np.int64]
    places: NDArray[np.float64]
    heading_steps: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.stamps_ns)

    def t_level_camera(self) -> tuple[Pose, ...]:
        """Return the camera's exact poses: the level's frame has x east, y north, z up, in metres."""
        yaw_rad = self.heading_steps * (2 * np.pi / HEADING_STEPS)
        eyes_m = np.add(self.places, (0, 0, EYE_UNITS)) / (UNITS_PER_M, UNITS_PER_M, HEIGHT_UNITS_PER_M)
        return tuple(level_camera(yaw, eye) for yaw, eye in zip(yaw_rad, eyes_m, strict=True))


def level_camera(yaw_rad: float, position_m: NDArray[np.float64]) -> Pose:
    """Return the pose of an upright optical frame (z forward, x right, y down) in a frame whose z is up."""
    sine, cosine = np.sin(yaw_rad), np.cos(yaw_rad)
    return Pose.from_rotation_translation([[sine, 0, cosine], [-cosine, 0, sine], [0, -1, 0]], position_m)


def plan_drive(route: Route, *, laps: int, rate_hz: float, seed: int, shift_m: float) -> Drive:
    """Return the drive of so many laps.

    Args:
        route: Where to drive.
        laps: How many times around.
        rate_hz: Frames a second.
        seed: The driver's deviations depend on it.
        shift_m: The second and later laps are driven this far to the left of the first, in metres.
    """
    rng = np.random.default_rng((seed, 0))
    driven_m = np.arange(0, laps * route.facts.length_m, _STEP_M)
    sideways_m = _waves(driven_m, _SIDEWAYS_M, rng) + shift_m * _lane_change(driven_m - route.facts.length_m)
    path = _path(route, driven_m, sideways_m)
    tangent = np.gradient(path[:, :2], axis=0)
    yaw_rad = np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0])) + _waves(driven_m, _HEADING_RAD, rng)
    times_s = _times(path, yaw_rad)
    frame_times_s = np.arange(0, times_s[-1], 1 / rate_hz)
    frame_yaw_rad = np.interp(frame_times_s, times_s, yaw_rad)
    return Drive(
        stamps_ns=FIRST_STAMP_NS + np.round(frame_times_s * NS_PER_S).astype(np.int64),
        laps=(np.interp(frame_times_s, times_s, driven_m) / route.facts.length_m).astype(np.int64),
        places=np.stack([np.interp(frame_times_s, times_s, column) for column in path.T], axis=1),
        heading_steps=np.round(frame_yaw_rad * (HEADING_STEPS / (2 * np.pi))).astype(np.int64) % HEADING_STEPS,
    )


def _path(route: Route, driven_m: NDArray[np.float64], sideways_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x, y, floor height in map units at each distance, moved to the left of the route; shape (n, 3)."""
    closed = np.vstack([route.curve, route.curve[:1]])
    along_m = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed[:, :2], axis=0), axis=1))]) / UNITS_PER_M
    lap_m = driven_m % along_m[-1]
    path = np.stack([np.interp(lap_m, along_m, column) for column in closed.T], axis=1)
    tangent = np.roll(route.curve, -1, axis=0)[:, :2] - np.roll(route.curve, 1, axis=0)[:, :2]
    left = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) / np.linalg.norm(tangent, axis=1, keepdims=True)
    left = np.vstack([left, left[:1]])
    path[:, :2] += np.stack([np.interp(lap_m, along_m, column) for column in left.T], axis=1) * (
        sideways_m[:, None] * UNITS_PER_M
    )
    return path


def _waves(driven_m: NDArray[np.float64], amplitude: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a sum of waves of random length and phase, zero at the start."""
    lengths_m = rng.uniform(*_WAVE_LENGTHS_M, size=(_WAVES, 1))
    phases = rng.uniform(0, 2 * np.pi, size=(_WAVES, 1))
    waves: NDArray[np.float64] = amplitude * np.sin(2 * np.pi * driven_m / lengths_m + phases).sum(axis=0)
    return waves


def _lane_change(beyond_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 0 before the second lap, 1 well within it, smooth between (Perlin's smootherstep)."""
    t = np.clip(beyond_m / _SHIFT_TAKEN_OVER_M, 0, 1)
    changed: NDArray[np.float64] = t**3 * (t * (6 * t - 15) + 10)
    return changed


def _times(path: NDArray[np.float64], yaw_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return when each point of the path is reached, in seconds: at full speed, slower where it turns."""
    steps_m = np.linalg.norm(np.diff(path[:, :2], axis=0), axis=1) / UNITS_PER_M
    turns_rad = np.abs(np.diff(yaw_rad))
    times: NDArray[np.float64] = np.concatenate(
        [[0], np.cumsum(np.maximum(steps_m / SPEED_M_S, turns_rad / MAX_TURN_RAD_S))]
    )
    return times
