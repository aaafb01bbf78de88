"""The Doom engine as a camera that is put somewhere and looks: one process, no window, no files left behind."""

from __future__ import annotations

import shlex
import struct
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Camera
from vpr_ros.sources.doom_level import Level, pack_wad
from vpr_ros.sources.source import SourceError

if TYPE_CHECKING:
    from vizdoom import DoomGame

UNITS_PER_M = 32.0  # map units along x and y
# The renderer draws one map unit of height 1.2 times as large as one of width, as the 320 x 200 screen it was made for
# did. Told in metres that way, the pixels are square.
HEIGHT_UNITS_PER_M = UNITS_PER_M / 1.2
EYE_UNITS = 41.0  # eye above the feet, the player's own view height
HEADING_STEPS = 8192  # the renderer's sine table has that many entries a turn; finer angles look the same
# 90 degrees across 640 pixels: fx = 320. The principal point was measured with a room known to the corner
# (docs/simulator.md): pixel (0, 0) is centred on (0, 0), and the horizon lies on row 239.
CAMERA = Camera(width=640, height=480, fx=320.0, fy=320.0, cx=320.0, cy=239.0)

# One step of the engine's depth buffer, measured against levels' own walls between 4 and 8 m (docs/simulator.md).
BUFFER_STEP_M = 1 / 4.12

_FIXED_POINT = 65536  # the engine's 16.16 numbers
# The script runs after the engine has placed the eye over the feet, so the height is a tic late.
_TICS_A_LOOK = 2
_REACHED_UNITS = 0.01
_SWITCHED_OFF = ("hud", "weapon", "crosshair", "decals", "particles", "effects_sprites", "messages", "corpses")
# ACS bytecode of: script 1 (x, y, z, angle) { SetActorPosition(0, x, y, z, 0); SetActorAngle(0, angle); }
# 3 push number, 28 push argument, 283 SetActorPosition, 25 store its result, 276 SetActorAngle, 1 end (p_acs.h).
_PUT_SCRIPT = (3, 0, 28, 0, 28, 1, 28, 2, 3, 0, 283, 25, 0, 3, 0, 28, 3, 276, 1)

# How the engine is started: in a folder of its own, because it makes files where it runs; silent on standard output,
# which is for results; and so that the kernel ends it with us even when we are killed (1 is PR_SET_PDEATHSIG in
# linux/prctl.h, 9 is SIGKILL).
_START = """#!/bin/sh
cd {} && exec {} -IS -c '
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
os.execv(sys.argv[1], sys.argv[1:])
' {} "$@" >/dev/null
"""


def doom_folder() -> Path:
    """Return the folder of the engine and its two Freedoom games.

    Raises:
        SourceError: The package is not installed.
    """
    try:
        import vizdoom
    except ImportError as error:
        raise SourceError(
            f"the simulated robot needs the package vizdoom, which can't be imported ({error}); pip install vizdoom"
        ) from error
    return Path(str(vizdoom.__file__)).parent


class DoomCamera:
    """A running engine whose player is the camera. Made by ``open``; ``close`` ends the process."""

    def __init__(self, game: DoomGame) -> None:
        """Take over a started engine."""
        self._game = game

    @classmethod
    def open(
        cls, game_wad: str, level_name: str, level: Level, textures: dict[str, bytes], *, with_depth: bool = False
    ) -> DoomCamera:
        """Start the engine in a level.

        Args:
            game_wad: File name of the game the level belongs to; its textures are used.
            level_name: Such as ``MAP12`` or ``E1M5``.
            level: The level's lumps, as they are to be.
            textures: PNG files that replace textures of these names.
            with_depth: Whether ``depth_buffer`` will be asked for.

        Raises:
            SourceError: vizdoom is missing or does not start.
        """
        folder = doom_folder()
        # The folder can go once the engine runs, which keeps open what it needs: nothing is left if we are killed.
        with tempfile.TemporaryDirectory(prefix="vpr_ros_sim_") as scratch:
            Path(scratch, "level.wad").write_bytes(pack_wad(_patch(level_name, level, textures)))
            game = _configured_game(folder, game_wad, level_name, Path(scratch))
            game.set_depth_buffer_enabled(with_depth)
            try:
                game.init()
            except Exception as error:  # the binding's errors have no common root
                game.close()
                raise SourceError(
                    f"the Doom engine did not start: {error}; 'vpr_ros doctor' says what is missing"
                ) from error
        return cls(game)

    def look(self, *, x: float, y: float, floor_z: float, heading_step: int) -> NDArray[np.uint8]:
        """Put the camera somewhere and return what it sees.

        Args:
            x: East, in map units.
            y: North, in map units.
            floor_z: Height of the feet, in map units; the eye is ``EYE_UNITS`` higher.
            heading_step: Counter-clockwise from east, in turns / ``HEADING_STEPS``.

        Returns:
            RGB image, shape (480, 640, 3), uint8.

        Raises:
            SourceError: A wall is in the way, or the engine ended.
        """
        angle = heading_step % HEADING_STEPS * (_FIXED_POINT // HEADING_STEPS)
        numbers = " ".join(str(round(value * _FIXED_POINT)) for value in (x, y, floor_z))
        try:
            self._game.send_game_command(f"puke 1 {numbers} {angle}")
            self._game.advance_action(_TICS_A_LOOK)
            state = self._game.get_state()
            image: NDArray[np.uint8] = np.asarray(state.screen_buffer)
            seen: NDArray[np.float64] = np.asarray(state.game_variables)
        except Exception as error:
            raise SourceError(f"the Doom engine ended ({error}), expected an image; run it again") from error
        if np.abs(seen - (x, y, floor_z + EYE_UNITS)).max() > _REACHED_UNITS:
            raise SourceError(
                f"the simulated robot is at {seen.round(1)}, expected {x:.1f} {y:.1f} {floor_z + EYE_UNITS:.1f}; "
                "something is in the way: use a smaller shift_m"
            )
        return image

    def depth_buffer(self) -> NDArray[np.uint8]:
        """Return the engine's own depth of the last look, shape (480, 640): steps of ``BUFFER_STEP_M``, 255 for far.

        Decoration and bars are in it.
        """
        return np.asarray(self._game.get_state().depth_buffer)

    def wait(self, looks: int) -> None:
        """Let pass the time of so many looks, so that blinking lamps go on as if they had been taken."""
        if looks > 0:
            self._game.advance_action(_TICS_A_LOOK * looks, False)

    def close(self) -> None:
        """End the engine's process."""
        self._game.close()

    def __enter__(self) -> DoomCamera:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def _patch(level_name: str, level: Level, textures: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """Return the lumps of the patch: the level, the script that moves the camera, the textures."""
    code = struct.pack(f"<{len(_PUT_SCRIPT)}i", *_PUT_SCRIPT)
    # Header, code, then the directory: one script, number 1, at byte 8, four arguments; no strings (ACS, format 0).
    script = b"ACS\0" + struct.pack("<i", 8 + len(code)) + code + struct.pack("<5i", 1, 1, 8, 4, 0)
    return [
        *((level_name, b""), *level.items()),
        *(("A_START", b""), ("VPRPUT", script), ("A_END", b""), ("LOADACS", b"VPRPUT\n")),
        *(("TX_START", b""), *textures.items(), ("TX_END", b"")),
    ]


def _configured_game(folder: Path, game_wad: str, level_name: str, scratch: Path) -> DoomGame:
    """Return an engine that is set up but not started."""
    import vizdoom

    start = scratch / "start"
    start.write_text(_START.format(*map(shlex.quote, (str(scratch), sys.executable, str(folder / "vizdoom")))))
    start.chmod(0o700)
    game = vizdoom.DoomGame()
    game.set_vizdoom_path(str(start))
    game.set_doom_game_path(str(folder / game_wad))
    game.set_doom_scenario_path(str(scratch / "level.wad"))
    game.set_doom_config_path(str(scratch / "engine.ini"))
    game.set_doom_map(level_name)
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_640X480)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_window_visible(False)
    game.set_sound_enabled(False)
    for what in _SWITCHED_OFF:
        getattr(game, f"set_render_{what}")(False)
    axes = ("X", "Y", "Z")
    game.set_available_game_variables([getattr(vizdoom.GameVariable, f"CAMERA_POSITION_{axis}") for axis in axes])
    game.add_game_args("-nomonsters +sv_gravity 0")  # without gravity the camera stays where it was put
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_episode_timeout(0)
    game.set_seed(0)  # blinking lamps; what varies with the user's seed is the driver and the sensors
    return game
