"""The figures of closures, against worked examples, plain loops, and the recordings' own judge."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpr_ros.core import stamp_ns_from_text
from vpr_ros.scoring import (
    FrameNames,
    LoopFigures,
    PairLabel,
    PoseRules,
    PoseTruth,
    RevisitTruth,
    read_pose_file,
    read_revisits,
    score_closures,
)


def figures(closures, keyframes, truth):
    """Return the figures of lists."""
    return score_closures(np.array(closures, np.int64).reshape(-1, 2), np.array(keyframes, np.int64), truth)


def test_right_wrong_missed_and_ignored_by_hand():
    """Frames 4, 5, 6 show 0, 1, 2 again; 7 is ambiguous; 3 is nowhere else. 6 is found, 5 missed, 3 wrong."""
    truth = RevisitTruth([(4, 0), (5, 1), (6, 2)], ignored=[7])

    seen = figures([(6, 2), (3, 0), (7, 0), (4, 1)], range(8), truth)

    assert seen == LoopFigures(queries_with_revisit=3, correct=1, wrong=2)
    assert (seen.missed, seen.recall, seen.precision) == (2, 1 / 3, 1 / 3)


def test_a_revisit_counts_only_if_query_and_an_earlier_match_became_keyframes():
    truth = RevisitTruth([(4, 0), (5, 1), (6, 7)])
    assert figures([], [0, 4, 5, 6, 7], truth).queries_with_revisit == 1


def test_nothing_to_find_and_nothing_said_is_no_figure():
    seen = figures([], range(5), RevisitTruth([]))
    assert (seen.recall, seen.precision) == (None, None)
    assert figures([(3, 1)], range(5), RevisitTruth([])).precision == 0.0
    assert figures([], [], RevisitTruth([])) == LoopFigures(0, 0, 0)


def test_two_right_closures_of_one_query_are_one_query_answered():
    seen = figures([(5, 0), (5, 1)], range(6), RevisitTruth([(5, 0), (5, 1)]))
    assert (seen.correct, seen.recall) == (1, 1.0)


frames = st.integers(0, 9)
pairs = st.tuples(frames, frames).filter(lambda pair: pair[0] > pair[1])
truths = st.builds(RevisitTruth, st.lists(pairs, max_size=12), st.lists(frames, max_size=3))
runs = st.lists(pairs, max_size=10, unique_by=lambda pair: pair[0])


@given(truths, runs, st.sets(frames).map(sorted))
def test_figures_are_what_plain_loops_count(truth, closures, keyframes):
    revisiting = {
        query
        for query in keyframes
        for match in keyframes
        if match < query and truth.label(query, match) == PairLabel.RIGHT
    }
    closures = [(q, m) for q, m in closures if q in keyframes and m in keyframes]
    right = {q for q, m in closures if truth.label(q, m) == PairLabel.RIGHT}
    wrong = sum(truth.label(q, m) == PairLabel.WRONG for q, m in closures)

    seen = figures(closures, keyframes, truth)

    assert seen == LoopFigures(len(revisiting), len(right), wrong)
    assert seen.recall is None or 0 <= seen.recall <= 1
    assert seen.missed >= 0


@given(truths, runs, pairs)
def test_a_wrong_closure_more_never_raises_precision_nor_changes_recall(truth, closures, extra):
    before = figures(closures, range(10), truth)
    after = figures([*closures, extra], range(10), truth)

    if truth.label(*extra) == PairLabel.WRONG:
        assert after.precision <= (1.0 if before.precision is None else before.precision)
        assert after.recall == before.recall
    if truth.label(*extra) == PairLabel.IGNORED:
        assert after == before


@pytest.fixture(scope="module")
def judge(shared_data):
    """The program that judges runs on the development recordings, by its own reading of the definitions."""
    path = shared_data.parent / "checks" / "loops.py"
    if not path.is_file():
        pytest.skip(f"no judge at {path}")
    spec = importlib.util.spec_from_file_location("judge_of_loops", path)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def random_run(rng, count, made):
    """Return keyframes and closures back in time, at random."""
    keyframes = np.sort(rng.choice(count, made, replace=False))
    queries = rng.choice(keyframes[1:], made // 2, replace=False)
    return keyframes, np.array([(q, rng.choice(keyframes[keyframes < q])) for q in queries])


def as_result(keyframes, closures):
    """Return what the judge reads."""
    return {
        "keyframe_frames": keyframes.tolist(),
        "closures": [{"query": q, "match": m, "metric": False} for q, m in closures.tolist()],
    }


@pytest.mark.parametrize("recording", ["rtabmap_samples", "donkeycar", "campus_lap"])
@pytest.mark.parametrize("seed", range(3))
def test_the_judge_of_revisit_tables_counts_the_same(judge, shared_data, monkeypatch, recording, seed):
    names = tuple(sorted(path.name for path in (shared_data / recording / "images").iterdir()))
    rng = np.random.default_rng(seed)
    keyframes, closures = random_run(rng, len(names), len(names) // 2)
    truth = read_revisits(shared_data / recording / "revisits.csv", FrameNames(len(names), names))
    # Half of the closures at random are nearly all wrong; put right ones in where there are any.
    for row, (query, _) in enumerate(closures):
        earlier = keyframes[keyframes < query]
        right = earlier[truth.labels(query, earlier) == PairLabel.RIGHT]
        if len(right) and row % 2:
            closures[row, 1] = rng.choice(right)
    monkeypatch.setattr(judge, "loops", lambda *_: as_result(keyframes, closures))

    right, wrong, revisits = judge.by_revisits(recording)

    assert figures(closures, keyframes, truth) == LoopFigures(revisits, right, wrong)


@pytest.mark.parametrize("seed", range(3))
def test_the_judge_of_poses_counts_the_same(judge, tmp_path, seed):
    """A random walk in a small room, with gaps in the poses, judged at 0.5 m, 30 degrees and 5 s."""
    rng = np.random.default_rng(seed)
    stamps_s = np.arange(0, 60, 0.05)
    stamps_s = stamps_s[rng.random(len(stamps_s)) > 0.3]
    position = np.cumsum(rng.normal(0, 0.08, (len(stamps_s), 3)) * [1, 1, 0.1], axis=0)
    position = np.abs((position + 1.5) % 6 - 3)  # reflected by walls 3 m apart
    yaw = np.cumsum(rng.normal(0, 0.05, len(stamps_s)))
    lines = [
        f"{t:.6f} {x:.6f} {y:.6f} {z:.6f} 0 0 {np.sin(a / 2):.9f} {np.cos(a / 2):.9f}"
        for t, (x, y, z), a in zip(stamps_s, position, yaw, strict=True)
    ]
    (tmp_path / "groundtruth.txt").write_text("\n".join(lines))
    images_ns = np.arange(1_000_000_000, 59_000_000_000, 333_000_000)
    (tmp_path / "rgb.txt").write_text("\n".join(f"{ns // 10**9}.{ns % 10**9:09d} rgb.png" for ns in images_ns))
    keyframes, closures = random_run(rng, len(images_ns), 120)
    poses = read_pose_file(tmp_path / "groundtruth.txt").at_frames(keyframes, images_ns[keyframes], timed=True)
    truth = PoseTruth(poses, PoseRules(radius_m=0.5, angle_deg=30, gap_s=5))

    program = [sys.executable, "-c", judge.POSES, tmp_path / "groundtruth.txt", tmp_path / "rgb.txt"]
    result = json.dumps(as_result(keyframes, closures))
    output = subprocess.run(program, input=result, capture_output=True, text=True, check=True).stdout
    wrong, right, revisits, *_ = json.loads(output)

    assert revisits > 5
    assert figures(closures, keyframes, truth) == LoopFigures(revisits, right, wrong)


def test_a_real_recording_has_the_revisits_its_readme_counts(shared_data):
    """fr1_rpy at 0.5 m, 30 degrees, 5 s: "197 of the 347 frames have one, 8880 pairs"; 346 frames have a pose."""
    folder = shared_data / "fr1_rpy"
    stamps_ns = read_stamps(folder / "rgb.txt")
    frames = np.arange(len(stamps_ns))
    poses = read_pose_file(folder / "groundtruth.txt").at_frames(frames, stamps_ns, timed=True)
    truth = PoseTruth(poses, PoseRules(radius_m=0.5, angle_deg=30, gap_s=5))

    is_right = truth.labels(frames[:, None], frames[None]) == PairLabel.RIGHT

    assert len(frames) == 347
    assert int(np.isfinite(poses.positions_m[:, 0]).sum()) == 346
    # How the README took a pose at a stamp isn't said; the nearest one instead of the interpolated gives 8867.
    assert np.tril(is_right).sum() == pytest.approx(8880, rel=0.002)
    assert figures([], frames, truth).queries_with_revisit == 197


def read_stamps(path):
    """Return the stamps of a TUM list of images in ns."""
    texts = [line.split()[0] for line in path.read_text().splitlines() if not line.startswith("#")]
    return np.array([stamp_ns_from_text(text) for text in texts])
