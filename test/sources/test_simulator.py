"""The simulated robot drives what it says it drives, sees it with the camera it states, and never twice differently."""

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from doom_room import predicted_surfaces, room_level

from vpr_ros.core import NS_PER_S
from vpr_ros.sources.doom_level import for_robot, read_level
from vpr_ros.sources.simulator import open_simulator, routes
from vpr_ros.sources.simulator_drive import MAX_TURN_RAD_S, SPEED_M_S
from vpr_ros.sources.simulator_engine import CAMERA, DoomCamera, doom_folder
from vpr_ros.sources.source import SourceError, SourceOptions

pytest.importorskip("vizdoom")

NAMES = [facts.name for facts in routes()]
OPTIONS = SourceOptions()
THING_BYTES, THING_KIND = 10, slice(6, 8)  # Unofficial Doom Specs, section 4-2


def drive(uri, from_s=0.0, to_s=None):
    """Return the frames of a drive, or of a part of it."""
    with open_simulator(uri, replace(OPTIONS, from_s=from_s, to_s=to_s)) as robot:
        return list(robot.frames())


def plan(uri):
    """Return the exact poses and the stamps in seconds, without rendering anything."""
    with open_simulator(uri, OPTIONS) as robot:
        return robot.truth.poses, robot.truth.stamps_ns / NS_PER_S


def fingerprint(frames):
    """Return one text of everything that varies in frames."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(frame.image.tobytes() + frame.t_odom_camera.matrix.tobytes() + str(frame.stamp_ns).encode())
    return digest.hexdigest()


def in_another_process(code):
    """Run code that may import this file."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)


def wait_until(condition, patience_s=5.0):
    end = time.monotonic() + patience_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def positions(poses):
    return np.array([pose.translation for pose in poses])


def nearest_m(poses, others):
    """Return each pose's horizontal distance to the nearest of the others, metres."""
    gaps = positions(poses)[:, None, :2] - positions(others)[None, :, :2]
    return np.linalg.norm(gaps, axis=2).min(axis=1)


def laps(uri):
    """Return the poses of the first and of the second half of two laps."""
    poses, _ = plan(uri)
    return poses[: len(poses) // 2], poses[len(poses) // 2 :]


def rotation_error_deg(before, after, t_before_after):
    """Return how far the rotation of two images' essential matrix is from the truth."""
    sift = cv2.SIFT_create(2000)
    (points, descriptors), (others, other_descriptors) = (
        sift.detectAndCompute(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), None) for frame in (before, after)
    )
    pairs = [
        a for a, b in cv2.BFMatcher().knnMatch(descriptors, other_descriptors, k=2) if a.distance < 0.8 * b.distance
    ]
    here = np.array([points[pair.queryIdx].pt for pair in pairs])
    there = np.array([others[pair.trainIdx].pt for pair in pairs])
    essential, inliers = cv2.findEssentialMat(here, there, CAMERA.matrix, cv2.USAC_MAGSAC, 0.999, 1.0)
    _, rotation, _, _ = cv2.recoverPose(essential, here, there, CAMERA.matrix, mask=inliers)
    turn = rotation @ t_before_after.rotation  # OpenCV's rotation is that of the first camera in the second
    return np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))


def test_routes_lead_through_many_levels_and_are_laps_of_30_to_150_metres():
    assert len({facts.level for facts in routes()}) >= 10
    assert all(30 <= facts.length_m <= 150 for facts in routes())


@pytest.mark.parametrize("name", NAMES)
def test_a_route_is_driven_without_touching_a_wall_and_always_shows_something(name):
    """The engine itself refuses a place where a player does not fit; a camera in a wall sees one flat colour."""
    frames = drive(f"sim:{name}?laps=1&rate_hz=1")
    grey = [cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY) for frame in frames]

    assert 40 <= len(frames) <= 150
    assert min(picture.std() for picture in grey) > 8
    assert all(cv2.absdiff(before, after).mean() > 2 for before, after in pairwise(grey))


@pytest.mark.parametrize("name", NAMES)
def test_the_outermost_lane_of_a_route_is_free_on_both_sides(name):
    shift_m = next(facts.max_shift_m for facts in routes() if facts.name == name)
    for sign in "", "-":
        uri = f"sim:{name}?rate_hz=1&shift_m={sign}{shift_m}"
        duration_s = np.ptp(plan(uri)[1])
        assert drive(uri, from_s=duration_s / 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_robot_drives_smoothly_and_comes_back_to_where_it_started(name):
    poses, seconds = plan(f"sim:{name}")
    moves_m = np.linalg.norm(np.diff(positions(poses), axis=0)[:, :2], axis=1)
    turns_rad = np.array([before.angle_rad(after) for before, after in pairwise(poses)])

    assert (moves_m / np.diff(seconds)).max() < 1.02 * SPEED_M_S
    assert (
        turns_rad / np.diff(seconds)
    ).max() < MAX_TURN_RAD_S + 0.01  # the renderer's headings are steps of 0.044 deg
    assert poses[0].distance_m(poses[-1]) < 0.4
    assert np.degrees(poses[0].angle_rad(poses[-1])) < 15


def test_the_second_lap_follows_the_first_but_never_exactly():
    first, second = laps("sim:office")
    apart_m = nearest_m(second[20:-20], first)

    assert 0.01 < apart_m.mean() < 0.15
    assert apart_m.max() < 0.3


def test_a_shifted_second_lap_is_driven_that_far_beside_the_first():
    first, second = laps("sim:office?shift_m=0.5")

    assert np.median(nearest_m(second[60:-20], first)) == pytest.approx(0.5, abs=0.08)


def test_the_camera_is_upright_at_eye_height_and_its_optical_frame_is_the_house_s():
    poses, _ = plan("sim:office")
    ahead = positions(poses[1:]) - positions(poses[:-1])

    down = np.array([pose.rotation[:, 1] for pose in poses])
    forward = np.array([pose.rotation[:, 2] for pose in poses[:-1]])
    assert np.allclose(down, (0, 0, -1))
    assert ((ahead * forward).sum(axis=1) / np.linalg.norm(ahead, axis=1) > np.cos(np.radians(15))).all()


def test_a_room_known_to_the_corner_appears_where_the_stated_camera_puts_it(room):
    """Each pixel's ray is cut with the room's walls, floor and ceiling; only the seams may differ by a pixel."""
    engine, predicted_surfaces, seen_surfaces = room
    for x, y, floor_z, step in ((10.5, -30.25, 0.0, 100), (-120.0, 75.0, 20.5, 3001), (60.0, 140.0, 45.0, 6500)):
        seen = seen_surfaces(engine.look(x=x, y=y, floor_z=floor_z, heading_step=step))

        wrong = predicted_surfaces(x, y, floor_z, step, CAMERA) != seen
        moved_px = replace(CAMERA, cy=CAMERA.cy + 1)
        assert wrong.mean() < 0.001
        assert (predicted_surfaces(x, y, floor_z, step, moved_px) != seen).mean() > 2 * wrong.mean()


def test_the_relative_rotation_of_two_laps_images_is_the_true_one_within_a_degree():
    uri = "sim:depot?rate_hz=1&shift_m=0.4"
    poses, frames = plan(uri)[0], drive(uri)
    half = len(poses) // 2

    errors_deg = []
    for query in range(half + 5, len(poses) - 3, 8):
        match = min(range(half), key=lambda place: poses[place].distance_m(poses[query]))
        truth = poses[match].inverse() @ poses[query]
        errors_deg.append(rotation_error_deg(frames[match], frames[query], truth))
    assert len(errors_deg) > 5
    assert np.median(errors_deg) < 0.3
    assert np.mean(np.array(errors_deg) < 1) > 0.8


def test_two_processes_see_the_same_frames_and_odometry():
    code = """
from test_simulator import drive, fingerprint
print(fingerprint(drive("sim:temple?seed=4&laps=1", to_s=3.0)))
"""
    here = fingerprint(drive("sim:temple?seed=4&laps=1", to_s=3.0))

    assert in_another_process(code).stdout.strip() == here


def test_frames_can_be_asked_for_again_and_a_part_is_the_same_as_in_the_whole():
    with open_simulator("sim:temple?light=night_lap2", replace(OPTIONS, to_s=3.0)) as robot:
        whole, again = list(robot.frames()), list(robot.frames())
    part = drive("sim:temple?light=night_lap2", from_s=1.0, to_s=3.0)

    assert len(whole) == len(again) == 31
    assert fingerprint(whole) == fingerprint(again)
    assert part[0].index == 10
    assert fingerprint(part) == fingerprint(whole[10:])


def test_another_seed_is_another_driver_and_other_odometry():
    first, second = drive("sim:office?seed=1", to_s=2.0), drive("sim:office?seed=2", to_s=2.0)

    assert not np.array_equal(first[-1].image, second[-1].image)
    assert not np.allclose(first[-1].t_odom_camera.matrix, second[-1].t_odom_camera.matrix)


@pytest.mark.parametrize("name", ["office", "court", "halls"])
def test_odometry_is_good_over_a_metre_and_drifts_over_two_laps(name):
    with open_simulator(f"sim:{name}", OPTIONS) as robot:
        truth = robot.truth.poses
        said = [robot.odometry[index] for index in range(len(truth))]
    metre = 15
    moved, said_moved = truth[0].inverse() @ truth[metre], said[0].inverse() @ said[metre]
    ended, said_ended = truth[0].inverse() @ truth[-1], said[0].inverse() @ said[-1]

    assert moved.distance_m(said_moved) < 0.1
    driven_m = 2 * next(facts.length_m for facts in routes() if facts.name == name)
    assert 0.001 * driven_m < ended.distance_m(said_ended) < 0.08 * driven_m


def test_night_is_darker_and_noisier_and_night_lap2_is_night_only_from_the_second_lap_on():
    _, seconds = plan("sim:office")
    lap_s = np.ptp(seconds) / 2
    parts = {"start": (0.0, 1.0), "second lap": (lap_s + 5, lap_s + 6)}

    def brightness(light, part):
        return np.mean([frame.image.mean() for frame in drive(f"sim:office?light={light}", *parts[part])])

    day, night = brightness("day", "start"), brightness("night", "start")
    assert 10 < night < 0.7 * day
    assert brightness("night_lap2", "start") == day
    assert brightness("night_lap2", "second lap") == pytest.approx(brightness("night", "second lap"), rel=1e-3)
    assert brightness("night_lap2", "second lap") < 0.7 * brightness("day", "second lap")


def test_frames_carry_camera_stamps_and_no_depth():
    frames = drive("sim:office?rate_hz=5", to_s=1.0)

    assert [frame.stamp_ns - frames[0].stamp_ns for frame in frames] == [k * NS_PER_S // 5 for k in range(6)]
    assert frames[0].stamp_ns > 0
    assert all(frame.timed and frame.camera == CAMERA and frame.depth_m is None for frame in frames)
    assert frames[0].image.shape == (CAMERA.height, CAMERA.width, 3)


def test_a_level_for_a_robot_has_decoration_only_and_open_doors():
    level = read_level(doom_folder() / "freedoom1.wad", "E1M5")
    ours = for_robot(level, light_gain=1.0, light_lift=0.0)

    def kinds(things):
        records = [things[at : at + THING_BYTES] for at in range(0, len(things), THING_BYTES)]
        return {int.from_bytes(record[THING_KIND], "little") for record in records}

    imp, shotgun, player = 3001, 2001, 1
    assert {imp, player} <= kinds(level["THINGS"])
    assert not {imp, shotgun} & kinds(ours["THINGS"])
    assert player in kinds(ours["THINGS"])
    assert ours["SECTORS"] != level["SECTORS"]
    assert {name for name in level if ours[name] != level[name]} == {"THINGS", "SECTORS"}


def test_the_engine_ends_and_leaves_no_file_where_it_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(engines())
    with open_simulator("sim:", OPTIONS) as robot:
        next(robot.frames())
        ours = set(engines()) - before
    assert ours
    assert not ours & set(engines())
    assert not list(tmp_path.iterdir())


def test_the_engine_ends_with_a_robot_that_is_killed():
    code = """
import os, signal
from test_simulator import OPTIONS, engines, open_simulator
frames = open_simulator("sim:", OPTIONS).frames()
next(frames)
print(*engines(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = in_another_process(code)

    assert done.returncode == -9
    assert done.stdout.split()
    assert wait_until(lambda: not any(Path("/proc", pid, "exe").exists() for pid in done.stdout.split()))


def test_the_engine_refuses_a_place_inside_a_wall(room):
    with pytest.raises(SourceError, match=r"expected 254\.0 .* something is in the way"):
        room[0].look(x=254.0, y=0.0, floor_z=0.0, heading_step=0)


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("sim:moon", "there is no simulated route 'moon'; there are: office, "),
        ("sim:office?lap=3", "unknown key 'lap'; there are: laps, seed, light, shift_m, rate_hz"),
        ("sim:office?laps=many", "laps is 'many', expected 1 to 20"),
        ("sim:office?laps=0", "laps is 0, expected 1 to 20"),
        ("sim:office?seed=-1", "seed is -1, expected a whole number from 0"),
        ("sim:office?light=dusk", "light is dusk, expected day, night, night_lap2"),
        ("sim:office?shift_m=nan", "shift_m is nan, expected metres to the left"),
        ("sim:station?shift_m=2", "shift_m is 2, expected at most 0.15 to either side on route station"),
        ("sim:office?rate_hz=1000", "rate_hz is 1000.0, expected 1 to 30"),
    ],
)
def test_a_wrong_uri_is_answered_with_what_is_allowed(uri, sentence):
    with pytest.raises(SourceError) as refused:
        open_simulator(uri, OPTIONS)
    assert sentence in str(refused.value)


def test_without_vizdoom_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "vizdoom", None)  # what Python itself does for a module that can't be imported

    with pytest.raises(SourceError, match="pip install vizdoom"):
        open_simulator("sim:", OPTIONS)


def engines():
    """Return the engines that this process started, as process ids."""
    return [pid for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()]


@pytest.fixture(scope="module")
def room():
    """A running engine in an empty room, and what its pixels show: 0 and 1 walls, 2 floor, 3 ceiling."""
    colours = {"WALLX": (255, 0, 0), "WALLY": (0, 255, 0), "GROUND": (0, 0, 255), "ABOVE": (200, 200, 200)}
    textures = {
        name: cv2.imencode(".png", np.full((64, 64, 3), colour[::-1], np.uint8))[1].tobytes()
        for name, colour in colours.items()
    }

    def seen(image):
        is_grey = np.ptp(image, axis=2) < 20
        return np.where(is_grey, 3, np.argmax(image, axis=2))

    with DoomCamera.open("freedoom2.wad", "MAP01", room_level(), textures) as engine:
        yield engine, predicted_surfaces, seen
