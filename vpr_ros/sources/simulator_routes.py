"""The closed routes of the simulated robot, as knots of smooth curves through Freedoom levels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from vpr_ros.sources.simulator_engine import UNITS_PER_M
from vpr_ros.sources.source import SourceError

DEFAULT_ROUTE = "office"
# Cubic B-spline: weights of four knots for 1, t, t^2, t^3 (de Boor 1978). It is smooth in position, heading and
# curvature and stays within the hull of its knots.
_BASIS = np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6.0
_STEPS_A_KNOT = 32  # knots are half a metre apart, so the curve is sampled every 2 cm


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """What there is to know about a route before driving it.

    Attributes:
        name: As it stands in ``sim:NAME``.
        level: Game and level, such as ``freedoom1 E1M5``.
        length_m: Length of one lap in metres.
        max_shift_m: How far to either side a lap can be driven, in metres.
        about: What one sees.
    """

    name: str
    level: str
    length_m: float
    max_shift_m: float
    about: str


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A closed curve through a level.

    Attributes:
        facts: What there is to know about it.
        game_wad: File name of the game.
        level_name: Level in that game.
        curve: Points x, y, floor height in map units, shape (n, 3), float64; the last joins the first.
    """

    facts: RouteFacts
    game_wad: str
    level_name: str
    curve: NDArray[np.float64]


def routes() -> tuple[RouteFacts, ...]:
    """Return the facts of all routes, the default first."""
    return tuple(route.facts for route in _all_routes().values())


def find_route(name: str) -> Route:
    """Return a route by name; the empty name is the default's.

    Raises:
        SourceError: There is no such route; lists those there are.
    """
    known = _all_routes()
    if (name or DEFAULT_ROUTE) not in known:
        raise SourceError(f"there is no simulated route '{name}'; there are: {', '.join(known)}")
    return known[name or DEFAULT_ROUTE]


@cache
def _all_routes() -> dict[str, Route]:
    """Read the routes that ship with the code."""
    text = resources.files("vpr_ros.sources").joinpath("simulator_routes.json").read_text(encoding="utf-8")
    return {name: _route(name, **stored) for name, stored in json.loads(text).items()}


def _route(
    name: str, *, game: str, level: str, max_shift_m: float, about: str, knots: list[tuple[float, float, float]]
) -> Route:
    curve = _closed_spline(np.array(knots, dtype=np.float64))
    ahead = np.roll(curve, -1, axis=0) - curve
    length_m = float(np.linalg.norm(ahead[:, :2], axis=1).sum() / UNITS_PER_M)
    facts = RouteFacts(name, f"{game} {level}", length_m, max_shift_m, about)
    return Route(facts, f"{game}.wad", level, curve)


def _closed_spline(knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points along the closed cubic B-spline of the knots, shape (32 n, columns)."""
    t = np.arange(_STEPS_A_KNOT) / _STEPS_A_KNOT
    weights = np.stack([np.ones_like(t), t, t**2, t**3], axis=1) @ _BASIS
    four_knots = np.stack([np.roll(knots, 1 - k, axis=0) for k in range(4)], axis=1)
    points: NDArray[np.float64] = np.einsum("sk,nkc->nsc", weights, four_knots)
    return points.reshape(-1, knots.shape[1])
