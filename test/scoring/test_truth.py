"""Truth from tables, poses and positions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpr_ros.core import Pose, Trajectory, TrajectoryError
from vpr_ros.scoring import (
    FrameNames,
    FramePoses,
    PairLabel,
    PoseRules,
    PoseTruth,
    PositionTruth,
    RevisitTruth,
    ToleranceTruth,
    TruthError,
    read_pose_file,
    read_revisits,
    utm_positions,
    with_revisit,
)

RIGHT, WRONG, IGNORED = PairLabel.RIGHT, PairLabel.WRONG, PairLabel.IGNORED
IMAGES = FrameNames(4, ("a.jpg", "b.jpg", "c.jpg", "7.jpg"))
S = 1_000_000_000


def table(tmp_path, text):
    """Write a table of revisits."""
    path = tmp_path / "revisits.csv"
    path.write_text(text)
    return path


class TestRevisitTables:
    """Header query,match; several matches by semicolon; ignore; no row, no revisit."""

    def test_names_and_indexes_lists_and_ignored_rows(self, tmp_path):
        truth = read_revisits(table(tmp_path, "query,match\nc.jpg,a.jpg; 1\n\n3,ignore\n"), IMAGES)

        assert [truth.label(2, match) for match in range(4)] == [RIGHT, RIGHT, WRONG, WRONG]
        assert [truth.label(3, match) for match in range(3)] == [IGNORED] * 3
        assert truth.label(1, 0) == WRONG, "a query without a row has no revisit"
        assert "revisits.csv" in truth.about

    def test_a_name_comes_before_an_index(self, tmp_path):
        names = FrameNames(3, ("2", "1", "0"))
        truth = read_revisits(table(tmp_path, "query,match\n0,2\n"), names)
        assert truth.label(2, 0) == RIGHT

    def test_rows_of_one_query_add_up(self, tmp_path):
        truth = read_revisits(table(tmp_path, "query,match\n3,0\n3,1\n"), IMAGES)
        assert [truth.label(3, match) for match in range(3)] == [RIGHT, RIGHT, WRONG]

    def test_two_folders_have_names_of_their_own(self, tmp_path):
        truth = read_revisits(table(tmp_path, "query,match\na.jpg,z.jpg\n"), IMAGES, FrameNames(2, ("y.jpg", "z.jpg")))
        assert truth.label(0, 1) == RIGHT

    def test_a_spreadsheet_s_byte_order_mark_and_line_ends_are_read(self, tmp_path):
        path = tmp_path / "revisits.csv"
        path.write_bytes(b"\xef\xbb\xbfquery,match\r\nb.jpg,a.jpg\r\n")
        assert read_revisits(path, IMAGES).label(1, 0) == RIGHT

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "line 1: header is '', expected 'query,match'"),
            ("a,b\n", "line 1: header is 'a,b'"),
            ("query,match\nb.jpg,a.jpg\nx.jpg,a.jpg\n", "line 3: there is no frame 'x.jpg', expected names such as"),
            ("query,match\nb.jpg,a.jpg;4\n", "line 2: there is no frame '4', expected .* indexes from 0 to 3"),
            ("query,match\nb.jpg,-1\n", "line 2: there is no frame '-1'"),
            ("query,match\nb.jpg,a.jpg;\n", "line 2: there is no frame ''"),
            ("query,match\nb.jpg,\n", "line 2: 'b.jpg,' is no row"),
            ("query,match\nb.jpg\n", "line 2: 'b.jpg' is no row"),
            ("query,match\nb.jpg,a.jpg\nb.jpg,ignore\n", "frame 1 has matches in one row and 'ignore' in another"),
        ],
    )
    def test_a_table_that_means_nothing_is_refused_with_file_and_line(self, tmp_path, text, said):
        with pytest.raises(TruthError, match=rf"revisits\.csv.*{said}"):
            read_revisits(table(tmp_path, text), IMAGES)

    def test_a_file_that_is_no_table_is_refused(self, tmp_path):
        (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
        for path in (tmp_path / "photo.jpg", tmp_path / "nothing.csv", tmp_path):
            with pytest.raises(TruthError, match="can't read revisits"):
                read_revisits(path, IMAGES)


def pose(x_m, yaw_deg=0.0):
    """Return a pose on a line, turned about z."""
    half = math.radians(yaw_deg) / 2
    return Pose.from_xyz_quaternion([x_m, 0, 0, 0, 0, math.sin(half), math.cos(half)])


def pose_truth(poses, stamps_s=None, **rules):
    """Return the truth of poses, ten seconds apart."""
    stamps_s = np.arange(len(poses)) * 10.0 if stamps_s is None else np.array(stamps_s)
    frames = FramePoses.of(np.arange(len(poses)), (stamps_s * S).astype(np.int64), poses)
    return PoseTruth(frames, PoseRules(**rules))


class TestPoses:
    """Right within radius and angle, wrong beyond twice either, grey between."""

    @pytest.mark.parametrize(
        ("x_m", "yaw_deg", "label"),
        [
            (0.0, 0, RIGHT),
            (0.99, 29, RIGHT),
            (1.01, 0, IGNORED),
            (0.0, 31, IGNORED),
            (1.99, 59, IGNORED),
            (2.01, 0, WRONG),
            (0.0, 61, WRONG),
            (0.0, 180, WRONG),
            (0.0, -29, RIGHT),
        ],
    )
    def test_distance_and_angle(self, x_m, yaw_deg, label):
        assert pose_truth([pose(0), pose(x_m, yaw_deg)], radius_m=1.0, angle_deg=30).label(1, 0) == label

    def test_a_camera_that_sees_all_around_is_judged_by_distance_alone(self):
        assert pose_truth([pose(0), pose(0.5, 180)], angle_deg=180).label(1, 0) == RIGHT

    def test_pairs_close_in_time_count_neither_way(self):
        truth = pose_truth([pose(0), pose(0), pose(50), pose(0)], stamps_s=[0, 4.999, 4.999, 5.0], gap_s=5.0)
        assert [truth.label(q, 0) for q in (1, 2, 3)] == [IGNORED, IGNORED, RIGHT]

    def test_without_stamps_there_is_no_gap(self):
        frames = FramePoses.of(np.arange(2), None, [pose(0), pose(0)])
        assert PoseTruth(frames, PoseRules()).label(1, 0) == RIGHT

    def test_a_frame_without_a_pose_is_not_scored(self):
        truth = pose_truth([pose(0), None, pose(0)])
        assert [truth.label(2, 0), truth.label(1, 0), truth.label(2, 1), truth.label(2, 7)] == [RIGHT, *[IGNORED] * 3]

    def test_two_recordings_in_one_frame_have_no_gap_between_them(self):
        night = FramePoses.of(np.arange(1), np.array([0]), [pose(0)])
        day = FramePoses.of(np.array([3, 8]), np.array([0, 1]), [pose(9), pose(0.5)])
        truth = PoseTruth(night, PoseRules(), matches=day)
        assert [truth.label(0, m) for m in (3, 8, 5)] == [WRONG, RIGHT, IGNORED]

    def test_poses_are_interpolated_and_farther_than_20_ms_nothing_is_scored(self):
        trajectory = Trajectory(np.array([0, 1 * S, 1 * S + 30_000_000]), (pose(0), pose(10), pose(13)))
        stamps = np.array([0, 20_000_000, 20_000_001, 1 * S + 15_000_000])
        poses = FramePoses.along(trajectory, np.arange(4), stamps)
        np.testing.assert_allclose(poses.positions_m[:, 0], [0, 0.2, np.nan, 11.5])

    @given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-180, 180)), min_size=2, max_size=8))
    def test_a_pair_is_the_same_both_ways_and_all_pairs_at_once_are_each_pair(self, places):
        truth = pose_truth([pose(x, yaw) for x, yaw in places])
        frames = np.arange(len(places))
        labels = truth.labels(frames[:, None], frames[None])
        np.testing.assert_array_equal(labels, labels.T)
        for query in frames:
            assert truth.has_revisit(query, frames) == any(truth.label(query, m) == RIGHT for m in frames)
            assert labels[query].tolist() == [truth.label(query, m) for m in frames]

    @pytest.mark.parametrize("rules", [{"radius_m": 0}, {"angle_deg": 181}, {"gap_s": -1}, {"radius_m": math.nan}])
    def test_rules_that_no_pair_can_follow_are_refused(self, rules):
        with pytest.raises(TruthError, match="expected a positive radius"):
            PoseRules(**rules)


class TestPoseFiles:
    """TUM has eight numbers a line, KITTI twelve."""

    def test_tum_poses_belong_to_stamps(self, tmp_path):
        (tmp_path / "gt.txt").write_text("# stamp x y z q\n1.0 5 0 0 0 0 0 1\n2.0 6 0 0 0 0 0 1\n")
        poses = read_pose_file(tmp_path / "gt.txt").at_frames(np.array([4, 9]), np.array([2 * S, 3 * S]), timed=True)
        np.testing.assert_array_equal(poses.positions_m[:, 0], [6, np.nan])

    def test_kitti_poses_belong_to_frames(self, tmp_path):
        (tmp_path / "00.txt").write_text("1 0 0 5 0 1 0 0 0 0 1 0\n0 -1 0 6 1 0 0 7 0 0 1 8\n")
        poses = read_pose_file(tmp_path / "00.txt").at_frames(np.array([1]), np.array([0]), timed=False)
        np.testing.assert_array_equal(poses.positions_m, [[6, 7, 8]])
        assert poses.rotations[0, 1, 0] == 1
        assert poses.stamps_ns is None

    def test_poses_of_another_recording_are_refused(self, tmp_path):
        (tmp_path / "00.txt").write_text("1 0 0 5 0 1 0 0 0 0 1 0\n")
        with pytest.raises(TruthError, match="1 poses, one a frame, but there is a frame 1"):
            read_pose_file(tmp_path / "00.txt").at_frames(np.array([0, 1]), np.array([0, 1]), timed=True)

    def test_stamped_poses_need_stamped_images(self, tmp_path):
        (tmp_path / "gt.txt").write_text("1.0 5 0 0 0 0 0 1\n")
        with pytest.raises(TruthError, match="give --rate-hz"):
            read_pose_file(tmp_path / "gt.txt").at_frames(np.array([0]), np.array([0]), timed=False)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "line 1: 0 numbers, expected 8 .TUM"),
            ("# x\n1 2 3\n", "line 2: 3 numbers, expected 8"),
            ("1 0 0 5 0 1 0 0 0 0 1 0\n1 0 0 5\n", "line 2: .*expected a 3 x 4 rigid matrix"),
            ("1 0 0 5 0 1 0 0 0 0 1 0\n2 0 0 5 0 1 0 0 0 0 1 0\n", "line 2: .*not orthonormal"),
            ("1 0 0 x 0 1 0 0 0 0 1 0\n", "line 1: .*expected a 3 x 4 rigid matrix"),
        ],
    )
    def test_a_file_that_is_neither_is_refused_with_the_line(self, tmp_path, text, said):
        (tmp_path / "poses.txt").write_text(text)
        with pytest.raises(TruthError, match=rf"poses\.txt, {said}"):
            read_pose_file(tmp_path / "poses.txt")

    def test_a_broken_line_of_a_tum_file_is_named(self, tmp_path):
        (tmp_path / "gt.txt").write_text("1.0 5 0 0 0 0 0 1\n2.0 5 0 0\n")
        with pytest.raises(TrajectoryError, match="line 2"):
            read_pose_file(tmp_path / "gt.txt")

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(TruthError, match="can't read poses"):
            read_pose_file(tmp_path / "gone.txt")


def test_positions_in_names_are_right_within_25_m():
    queries = utm_positions(["@548000.0@4178000.0@10@S@.jpg"])
    database = utm_positions(["@548000.0@4178024.9@10@S@.jpg", "@548000.0@4178025.1@.png"])
    truth = PositionTruth(queries, database)
    assert [truth.label(0, 0), truth.label(0, 1)] == [RIGHT, WRONG]


@pytest.mark.parametrize("name", ["cat.jpg", "@1.0@north@.jpg", "@1.0"])
def test_a_name_without_a_position_is_shown(name):
    with pytest.raises(TruthError, match=f"'{name}' carries no position"):
        utm_positions([name])


def test_folders_in_step_are_right_within_a_tolerance():
    truth = ToleranceTruth(1)
    assert [truth.label(5, match) for match in (3, 4, 5, 6, 7)] == [WRONG, RIGHT, RIGHT, RIGHT, WRONG]
    with pytest.raises(TruthError, match="-1"):
        ToleranceTruth(-1)


def test_only_earlier_candidates_count_in_one_sequence():
    truth = RevisitTruth([(3, 1), (1, 3)])
    frames = np.arange(5)
    assert np.flatnonzero(with_revisit(truth, frames, frames, only_earlier=True)).tolist() == [3]
    assert np.flatnonzero(with_revisit(truth, frames, frames, only_earlier=False)).tolist() == [1, 3]
