"""How recipes, sessions and places are written in a map's tables: JSON and little-endian arrays, nothing that runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Literal, get_args

import dacite
import numpy as np

from vpr_ros.core import Camera, Keyframe
from vpr_ros.place_map.places import NO_POSE, POSE_SIZE, PlaceColumns

SCHEMA_VERSION = 2
# "VPRM" in ASCII: tells a map from any other SQLite file (https://sqlite.org/fileformat.html, offset 68).
APPLICATION_ID = 0x5650524D

CREATE_TABLES = f"""
BEGIN;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE recipe (json TEXT NOT NULL) STRICT;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, started_ns INTEGER NOT NULL, map_frame TEXT NOT NULL) STRICT;
CREATE TABLE places (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (id),
    stamp_ns INTEGER NOT NULL,
    timed INTEGER NOT NULL,        -- 0: the stamp only numbers the frames
    frame_id TEXT NOT NULL,
    camera TEXT,                   -- JSON, NULL if uncalibrated
    t_odom_camera BLOB,            -- x y z qx qy qz qw, little-endian float64, NULL without odometry
    descriptor BLOB NOT NULL,      -- little-endian float32
    thumbnail BLOB,                -- JPEG
    patches BLOB,                  -- patch descriptors as vpr_ros.reranking writes them
    features BLOB                  -- local features as vpr_ros.geometry writes them
) STRICT;
"""
INSERT_PLACE = "INSERT INTO places VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_SESSION = "INSERT INTO sessions VALUES (?, ?, ?)"
SELECT_PLACES = """
SELECT id, session, stamp_ns, timed, frame_id, camera, t_odom_camera, descriptor FROM places ORDER BY id
"""
# What is read place by place, when it is needed.
Attachment = Literal["thumbnail", "patches", "features"]
SELECT_ATTACHMENT = {kind: f"SELECT {kind} FROM places WHERE id = ?" for kind in get_args(Attachment)}  # noqa: S608

_FLOAT32 = np.dtype("<f4")
_FLOAT64 = np.dtype("<f8")
_NO_POSE = NO_POSE.astype(_FLOAT64).tobytes()
_STRICT = dacite.Config(strict=True, cast=[tuple])


def row_of(keyframe: Keyframe) -> tuple[object, ...]:
    """Return a keyframe as ``INSERT_PLACE`` takes it."""
    pose, camera = keyframe.t_odom_camera, keyframe.camera
    return (
        keyframe.id,
        keyframe.session,
        keyframe.stamp_ns,
        int(keyframe.timed),
        keyframe.frame_id,
        None if camera is None else json.dumps(asdict(camera)),
        None if pose is None else pose.xyz_quaternion.astype(_FLOAT64).tobytes(),
        keyframe.descriptor.astype(_FLOAT32, copy=False).tobytes(),
        keyframe.thumbnail,
        keyframe.patches,
        keyframe.features,
    )


def columns_of(rows: Sequence[tuple[Any, ...]], *, first_id: int, dim: int) -> PlaceColumns:
    """Return rows of ``SELECT_PLACES`` as columns.

    Raises:
        ValueError: Ids have gaps, or a descriptor or a pose has another length.
        CameraError: A calibration is none; likewise ``dacite.DaciteError``.
    """
    ids, sessions, stamps_ns, timed, frame_ids, cameras, poses, descriptors = zip(*rows, strict=True)
    if not np.array_equal(ids, np.arange(first_id, first_id + len(rows))):
        raise ValueError(f"ids of places from {first_id} on are not counted up without gaps")
    pose_bytes = _joined([pose or _NO_POSE for pose in poses], POSE_SIZE * _FLOAT64.itemsize)
    return PlaceColumns(
        first_id=first_id,
        sessions=np.array(sessions, np.int64),
        stamps_ns=np.array(stamps_ns, np.int64),
        timed=np.array(timed, np.bool_),
        t_odom_camera=np.frombuffer(pose_bytes, _FLOAT64).reshape(-1, POSE_SIZE),
        frame_ids=frame_ids,
        cameras=tuple(map(_camera_from_json, cameras)),
        descriptors=np.frombuffer(_joined(descriptors, dim * _FLOAT32.itemsize), _FLOAT32).reshape(-1, dim),
    )


@lru_cache(maxsize=64)  # a map has a handful of cameras and thousands of places
def _camera_from_json(text: str | None) -> Camera | None:
    return None if text is None else dacite.from_dict(Camera, json.loads(text), _STRICT)


def _joined(blobs: Sequence[bytes], size: int) -> bytes:
    if (sizes := set(map(len, blobs))) != {size}:
        raise ValueError(f"a descriptor or pose has {sorted(sizes)} bytes, expected {size}")
    return b"".join(blobs)
