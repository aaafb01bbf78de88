"""A Freedoom level made fit for a robot: monsters and pickups out, doors open, lamps dimmed for the night.

Format: the Unofficial Doom Specs 1.666 (M. Fell, 1994), chapters 2 to 4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.sources.source import SourceError

LEVEL_LUMPS = (
    *("THINGS", "LINEDEFS", "SIDEDEFS", "VERTEXES", "SEGS"),
    *("SSECTORS", "NODES", "SECTORS", "REJECT", "BLOCKMAP"),
)
_THING = np.dtype([("x", "<i2"), ("y", "<i2"), ("angle", "<i2"), ("kind", "<i2"), ("flags", "<i2")])
_LINE = np.dtype([(name, "<u2") for name in ("start", "end", "flags", "special", "tag", "right", "left")])
_SIDE = np.dtype([("offset", "<i2", 2), ("upper", "S8"), ("lower", "S8"), ("middle", "S8"), ("sector", "<u2")])
_SECTOR = np.dtype(
    [("floor_z", "<i2"), ("ceiling_z", "<i2"), ("floor", "S8"), ("ceiling", "S8")]
    + [(name, "<i2") for name in ("light", "special", "tag")]
)
_NO_SIDE = 0xFFFF
_PLAYER_START = 1
# Things that stay: lamps, torches, pillars, trees, hanging decoration (specs, section 4-2). The rest fights, blocks the
# way without being seen on a map, or vanishes when a player walks over it.
_DECORATION = (*range(30, 38), *range(41, 49), 54, 55, 56, 57, 70, 85, 86, 2028)
# Sector effects that only move the light: blink, flicker, glow, strobe (specs, section 4-9).
_LIGHT_EFFECTS = (1, 2, 3, 8, 12, 13, 17)
# Doors opened by hand have their sector behind the line; the others name it by tag (specs, section 4-3-1).
_DOORS_BY_HAND = (1, 26, 27, 28, 31, 32, 33, 34, 117, 118)
_DOORS_BY_TAG = (
    *(2, 3, 4, 16, 29, 42, 46, 50, 61, 63, 75, 76, 86, 90, 99, 103, 105, 106, 107, 108, 109, 110, 111, 112),
    *(113, 114, 115, 116, 133, 134, 135, 136, 137),
)
_DOOR_FRAME = 4  # map units an open door keeps below the lowest ceiling beside it, as the game's own doors do

_SKY = b"F_SKY1"  # the ceiling that is none

Level = dict[str, bytes]  # lump name -> its bytes, in the order of LEVEL_LUMPS


@dataclass(frozen=True, slots=True, eq=False)
class FloorPlan:
    """Walls and floors of a level, in metres; n lines, m sectors.

    Attributes:
        starts_m, ends_m: East and north of each line's ends, shape (n, 2).
        right, left: Sector on each side, seen from start to end, -1 where there is none, shape (n,).
        floor_m, ceiling_m: Heights, shape (m,).
        sky: Whether a sector has the sky for its ceiling, shape (m,).
    """

    starts_m: NDArray[np.float64]
    ends_m: NDArray[np.float64]
    right: NDArray[np.int64]
    left: NDArray[np.int64]
    floor_m: NDArray[np.float64]
    ceiling_m: NDArray[np.float64]
    sky: NDArray[np.bool_]


def read_level(wad: Path, name: str) -> Level:
    """Return the lumps of one level of a WAD file.

    Raises:
        SourceError: The file is no WAD, or the level is not in it; names both.
    """
    with wad.open("rb") as file:
        magic, count, offset = struct.unpack("<4sii", file.read(12))
        if magic not in (b"IWAD", b"PWAD"):
            raise SourceError(f"{wad} starts with {magic!r}, expected a Doom WAD; install vizdoom again")
        file.seek(offset)
        lumps = [struct.unpack("<ii8s", file.read(16)) for _ in range(count)]
        names = [raw.rstrip(b"\0").decode("ascii", "replace") for _, _, raw in lumps]
        if name not in names:
            raise SourceError(f"{wad} has no level {name}; install the vizdoom that requirements name")
        first = names.index(name) + 1
        level: Level = {}
        for start, size, _ in lumps[first : first + len(LEVEL_LUMPS)]:
            file.seek(start)
            level[names[first + len(level)]] = file.read(size)
    return level


def pack_wad(lumps: list[tuple[str, bytes]]) -> bytes:
    """Return the bytes of a patch WAD that holds these lumps in this order."""
    header_bytes = 12
    directory, body = b"", b""
    for name, content in lumps:
        directory += struct.pack("<ii8s", header_bytes + len(body), len(content), name.encode("ascii"))
        body += content
    return struct.pack("<4sii", b"PWAD", len(lumps), header_bytes + len(body)) + body + directory


def for_robot(level: Level, *, light_gain: float, light_lift: float) -> Level:
    """Return the level with decoration only, doors open, no sector that hurts, and its lamps turned.

    Args:
        level: As the game has it. Geometry and BSP stay as they are, so no node builder is needed.
        light_gain: Factor on each sector's light, which is in [0, 255].
        light_lift: Added after the factor.
    """
    things = np.frombuffer(level["THINGS"], _THING)
    sectors = np.frombuffer(level["SECTORS"], _SECTOR).copy()
    _open_doors(sectors, np.frombuffer(level["LINEDEFS"], _LINE), np.frombuffer(level["SIDEDEFS"], _SIDE))
    sectors["special"][~np.isin(sectors["special"], _LIGHT_EFFECTS)] = 0
    sectors["light"] = np.clip(np.round(sectors["light"] * light_gain + light_lift), 0, 255)
    stay = np.isin(things["kind"], (_PLAYER_START, *_DECORATION))
    return level | {"THINGS": things[stay].tobytes(), "SECTORS": sectors.tobytes()}


def floor_plan(level: Level, *, units_per_m: float, height_units_per_m: float) -> FloorPlan:
    """Return where a level's walls, floors and ceilings are.

    Args:
        level: As the engine is given it.
        units_per_m: Map units a metre, along x and y.
        height_units_per_m: The same of heights.
    """
    lines, sectors = np.frombuffer(level["LINEDEFS"], _LINE), np.frombuffer(level["SECTORS"], _SECTOR)
    corners_m = np.frombuffer(level["VERTEXES"], "<i2").reshape(-1, 2) / units_per_m
    # One sector more stands for the side that is not there.
    side_sectors = np.append(np.frombuffer(level["SIDEDEFS"], _SIDE)["sector"].astype(np.int64), -1)
    right, left = (
        side_sectors[np.where(lines[side] == _NO_SIDE, -1, lines[side].astype(np.int64))] for side in ("right", "left")
    )
    return FloorPlan(
        starts_m=corners_m[lines["start"]],
        ends_m=corners_m[lines["end"]],
        right=right,
        left=left,
        floor_m=sectors["floor_z"] / height_units_per_m,
        ceiling_m=sectors["ceiling_z"] / height_units_per_m,
        sky=sectors["ceiling"] == _SKY,
    )


def _open_doors(sectors: NDArray[np.void], lines: NDArray[np.void], sides: NDArray[np.void]) -> None:
    """Raise the ceiling of each door sector to just below the lowest ceiling beside it, in place."""
    between = lines[lines["left"] != _NO_SIDE]
    front, back = sides["sector"][between["right"]], sides["sector"][between["left"]]
    tags = lines["tag"][np.isin(lines["special"], _DOORS_BY_TAG) & (lines["tag"] != 0)]
    doors = np.isin(np.arange(len(sectors)), back[np.isin(between["special"], _DOORS_BY_HAND)])
    doors |= np.isin(sectors["tag"], tags)
    for door in np.flatnonzero(doors):  # a level has some dozen
        beside = np.concatenate([front[back == door], back[front == door]])
        ceilings = sectors["ceiling_z"][beside[~doors[beside]]]
        if len(ceilings):
            sectors["ceiling_z"][door] = max(sectors["ceiling_z"][door], int(ceilings.min()) - _DOOR_FRAME)
