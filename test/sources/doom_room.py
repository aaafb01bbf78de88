"""A square room whose every corner is known, as a Doom level."""

import numpy as np

ROOM_HALF, ROOM_HEIGHT = 256, 128  # map units


def room_level():
    """Return a square room; the engine builds the nodes of a level that has none."""
    corners = [(-ROOM_HALF, -ROOM_HALF), (-ROOM_HALF, ROOM_HALF), (ROOM_HALF, ROOM_HALF), (ROOM_HALF, -ROOM_HALF)]
    no_side = 0xFFFF
    lines = [(k, (k + 1) % 4, 1, 0, 0, k, no_side) for k in range(4)]
    sides = [
        b"\0\0\0\0" + b"-".ljust(8, b"\0") * 2 + (b"WALLX", b"WALLY")[k % 2].ljust(8, b"\0") + b"\0\0" for k in range(4)
    ]
    sector = (
        np.array([0, ROOM_HEIGHT], "<i2").tobytes() + b"GROUND\0\0ABOVE\0\0\0" + np.array([255, 0, 0], "<i2").tobytes()
    )
    return {
        "THINGS": np.array([0, 0, 0, 1, 7], "<i2").tobytes(),
        "LINEDEFS": np.array(lines, "<u2").tobytes(),
        "SIDEDEFS": b"".join(sides),
        "VERTEXES": np.array(corners, "<i2").tobytes(),
        **dict.fromkeys(("SEGS", "SSECTORS", "NODES"), b""),
        "SECTORS": sector,
        **dict.fromkeys(("REJECT", "BLOCKMAP"), b""),
    }


def predicted_surfaces(x, y, floor_z, heading_step, camera):
    """Return what each pixel of a pinhole camera shows, by cutting its ray with the room's planes."""
    yaw_rad = heading_step * 2 * np.pi / 8192
    right, down = (np.arange(640) - camera.cx) / camera.fx, (np.arange(480) - camera.cy) / camera.fy
    east = np.cos(yaw_rad) + np.sin(yaw_rad) * right
    north = np.sin(yaw_rad) - np.cos(yaw_rad) * right
    to_x, to_y = (ROOM_HALF * np.sign(east) - x) / east, (ROOM_HALF * np.sign(north) - y) / north
    height = 1.2 * (floor_z + 41) - down[:, None] * np.minimum(to_x, to_y)
    wall = np.where(to_x < to_y, 0, 1)
    return np.where(height < 0, 2, np.where(height > 1.2 * ROOM_HEIGHT, 3, wall))
