"""The simulated robot's depth camera: exact by the level's geometry, and then as noisy and blind as a real one."""

import numpy as np
import pytest
from doom_room import ROOM_HALF, ROOM_HEIGHT, predicted_surfaces, room_level

from vpr_ros.sources.doom_depth import LevelDepth
from vpr_ros.sources.doom_level import floor_plan, for_robot, read_level
from vpr_ros.sources.simulator import open_simulator, routes
from vpr_ros.sources.simulator_engine import CAMERA, doom_folder
from vpr_ros.sources.simulator_sensors import sensed_depth
from vpr_ros.sources.source import SourceError, SourceOptions

pytest.importorskip("vizdoom")

NAMES = [facts.name for facts in routes()]
OPTIONS = SourceOptions()
SCALE = {"units_per_m": 32, "height_units_per_m": 32 / 1.2}


def test_the_depth_of_a_room_known_to_the_corner_is_exact():
    eye_units, heading_step = np.array([40.0, -90.0, 41.0]), 700
    eye_m = eye_units / (32, 32, 32 / 1.2)
    plan = floor_plan(room_level(), **SCALE)

    depth_m = LevelDepth(plan, CAMERA).seen_from(eye_m, heading_step * 2 * np.pi / 8192)

    points_m = _points(depth_m, eye_m, heading_step)
    surfaces = predicted_surfaces(40.0, -90.0, 0.0, heading_step, CAMERA)
    half_m, height_m = ROOM_HALF / 32, ROOM_HEIGHT * 1.2 / 32
    beside_m = [
        np.abs(np.abs(points_m[..., 0]) - half_m),
        np.abs(np.abs(points_m[..., 1]) - half_m),
        np.abs(points_m[..., 2]),
        np.abs(points_m[..., 2] - height_m),
    ]
    assert np.isfinite(depth_m).all()
    assert np.choose(surfaces, beside_m).mean() < 1e-3
    assert np.min(beside_m, axis=0).max() < 1e-4  # rounding to pixels may exchange two surfaces at their seam


@pytest.mark.parametrize("name", NAMES)
def test_two_views_of_a_level_agree_in_depth(name):
    """What one view says of a point is what another says of it, unless something stands between."""
    with open_simulator(f"sim:{name}?laps=1", OPTIONS) as robot:
        level = for_robot(
            read_level(doom_folder() / robot._route.game_wad, robot._route.level_name), light_gain=1, light_lift=0
        )
        depth = LevelDepth(floor_plan(level, **SCALE), CAMERA)
        poses, steps = robot.truth.poses, robot._drive.heading_steps
    agreeing = []
    for here, there in ((k, k + 5) for k in range(0, len(poses) - 5, 80)):
        seen, other = (
            depth.seen_from(poses[k].translation, steps[k] * 2 * np.pi / 8192).astype(float) for k in (here, there)
        )
        points_m = _points(seen, poses[here].translation, steps[here])[np.isfinite(seen)]
        inside = (points_m - poses[there].translation) @ poses[there].rotation
        inside = inside[inside[:, 2] > 0.5]
        columns = np.round(inside[:, 0] / inside[:, 2] * CAMERA.fx + CAMERA.cx).astype(int)
        rows = np.round(inside[:, 1] / inside[:, 2] * CAMERA.fy + CAMERA.cy).astype(int)
        shown = (columns >= 0) & (columns < 640) & (rows >= 0) & (rows < 480)
        said = other[rows[shown], columns[shown]]
        agreeing.append(np.mean(np.abs(said / inside[shown, 2] - 1) < 0.03))

    assert np.mean(agreeing) > 0.97


def test_the_depth_camera_sees_what_the_engine_drew():
    """The engine's own depth, a quarter of a metre a step, says the same."""
    with open_simulator("sim:depot?laps=1&rate_hz=1&depth=true", OPTIONS) as robot:
        for frame in robot.frames():
            coarse_m = robot._camera.depth_buffer() / 4.12
            known = np.isfinite(frame.depth_m)
            assert frame.depth_m.shape == frame.image.shape[:2]
            assert known.mean() > 0.2
            assert np.median(np.abs(coarse_m - frame.depth_m)[known]) < 0.25


def test_a_depth_camera_s_noise_grows_with_distance_and_it_sees_neither_edges_nor_far_things():
    truth_m = np.repeat(np.array([0.2, 1.0, 4.0, 7.0, 20.0], np.float32), 128)[None].repeat(480, axis=0)

    sensed_m = sensed_depth(truth_m, seed=1, index=2)

    middle = {near: sensed_m[:, 128 * k + 8 : 128 * k + 120] for k, near in enumerate((0.2, 1.0, 4.0, 7.0, 20.0))}
    assert np.isnan(middle[0.2]).all()
    assert np.isnan(middle[20.0]).all()
    for distance_m in 1.0, 4.0, 7.0:
        expected_m = 0.0012 + 0.0019 * (distance_m - 0.4) ** 2
        assert middle[distance_m].std() == pytest.approx(expected_m, rel=0.1)
        assert middle[distance_m].mean() == pytest.approx(distance_m, abs=4 * expected_m / 50)
    assert np.isnan(sensed_m[:, 255:257]).all()
    assert np.array_equal(sensed_m, sensed_depth(truth_m, seed=1, index=2), equal_nan=True)


def test_the_same_drive_has_the_same_images_with_and_without_a_depth_camera():
    plain, with_depth, again = (drive(f"sim:garden{query}") for query in ("", "?depth=true", "?depth=true"))

    assert all(np.array_equal(a.image, b.image) for a, b in zip(plain, with_depth, strict=True))
    assert all(frame.depth_m is None for frame in plain)
    assert all(np.array_equal(a.depth_m, b.depth_m, equal_nan=True) for a, b in zip(with_depth, again, strict=True))


def _points(depth_m, eye_m, heading_step):
    """Return each pixel's point in the level's frame, shape (480, 640, 3)."""
    yaw_rad = heading_step * 2 * np.pi / 8192
    right = (np.arange(640) - CAMERA.cx) / CAMERA.fx * depth_m
    down = ((np.arange(480) - CAMERA.cy) / CAMERA.fy)[:, None] * depth_m
    east = np.cos(yaw_rad) * depth_m + np.sin(yaw_rad) * right
    north = np.sin(yaw_rad) * depth_m - np.cos(yaw_rad) * right
    return np.stack([east, north, -down], axis=2) + eye_m


def drive(uri):
    """Return the frames of a drive's first second."""
    with open_simulator(uri, SourceOptions(to_s=1)) as robot:
        return list(robot.frames())


def test_a_depth_that_is_neither_true_nor_false_is_refused():
    with pytest.raises(SourceError, match="depth is 'maybe', expected true or false"):
        open_simulator("sim:office?depth=maybe", OPTIONS)
