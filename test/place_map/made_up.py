"""Places that nobody saw, for tests of the map."""

import numpy as np

from vpr_ros.core import Camera, Keyframe, Pose, Recipe

DIM = 8
RECIPE = Recipe("made-up", 32, 32, "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), DIM, "ab" * 32, "none")
CAMERA = Camera(640, 480, 500.0, 501.0, 320.0, 240.0, "plumb_bob", (0.1, -0.2, 0.0, 0.0, 0.05))


def unit(values):
    """Return a vector of length 1, float32."""
    vector = np.asarray(values, np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def descriptor(number):
    """Return a descriptor that no other number has."""
    return unit(np.random.default_rng(number).standard_normal(DIM))


def keyframe(number, session=0, **changed):
    """Return the keyframe of a number, everything filled in."""
    known = {
        "id": number,
        "session": session,
        "stamp_ns": 1_700_000_000_000_000_000 + number,
        "descriptor": descriptor(number),
        "thumbnail": b"jpeg of %d" % number,
        "patches": b"patches of %d" % number,
        "features": b"features of %d" % number,
        "frame_id": "front_camera_optical",
        "camera": CAMERA,
        "t_odom_camera": Pose.from_xyz_quaternion([number, 0.5, -1.0, 0.0, 0.0, 0.6, 0.8]),
    }
    return Keyframe(**known | changed)


def fill(place_map, count):
    """Begin a session and add places."""
    session = place_map.start_session()
    for number in range(place_map.next_id, place_map.next_id + count):
        place_map.add(keyframe(number, session))


def assert_same(seen, expected):
    """Check that a place is the keyframe that was added, thumbnail apart."""
    for name in ("id", "session", "stamp_ns", "frame_id", "camera", "timed"):
        assert getattr(seen, name) == getattr(expected, name)
    np.testing.assert_array_equal(seen.descriptor, expected.descriptor)
    assert (seen.t_odom_camera is None) == (expected.t_odom_camera is None)
    if expected.t_odom_camera is not None:
        np.testing.assert_allclose(seen.t_odom_camera.matrix, expected.t_odom_camera.matrix, atol=1e-12)
