"""Poses, covariances and degeneracies of scenes whose geometry is known exactly."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import BARE, CAMERA, Scene, error_of, nees, pose, room, wall

from vpr_ros.core import Camera, Pose
from vpr_ros.core.pose import rotation_exp, rotation_log
from vpr_ros.geometry import Degeneracy, GeometryRules, Kind, View, verify
from vpr_ros.geometry.view import zoom

SMALL = st.floats(-0.25, 0.25)


def with_depth_times(view, factor):
    """Return a view whose depths are in another unit."""
    return replace(view, features=view.features.with_depth(view.features.depth_m * factor))


def without_depth(view, count):
    """Return a view that knows no depth at its first keypoints."""
    depth_m = view.features.depth_m.copy()
    depth_m[:count] = np.nan
    return replace(view, features=view.features.with_depth(depth_m))


def rows_of(features, rows):
    """Return some of a view's features."""
    parts = (features.keypoints[rows], features.descriptors[rows], features.depth_m[rows])
    return replace(features, keypoints=parts[0], descriptors=parts[1], depth_m=parts[2])


class TestMetricPose:
    """Depth in either view makes the pose metric."""

    @pytest.mark.parametrize("depth", ["both", "query", "match"])
    def test_exact_points_give_the_exact_pose(self, depth):
        scene = room()
        found = verify(*scene.views(depth=depth))
        assert found.kind is Kind.METRIC
        assert found.metric
        assert np.abs(error_of(found.t_match_query, scene.t_match_query)).max() < 1e-4
        assert found.inlier_ratio == 1
        assert found.residual_px < 0.01

    def test_a_third_of_wrong_matches_changes_nothing(self):
        scene = room()
        query, match = scene.views(noise_px=0.5, outliers=50)
        found = verify(query, match)
        assert found.metric
        assert not found.agrees[:45].mean() > 0.1
        assert np.abs(error_of(found.t_match_query, scene.t_match_query)).max() < 0.02

    def test_the_covariance_is_as_large_as_the_errors(self):
        """Mean NEES over seeds of a six-dimensional error: 6, within what a robust kernel adds."""
        seen = []
        for seed in range(60):
            scene = room(seed)
            query, match = scene.views(noise_px=1.0, depth_noise_m=0.01, seed=seed + 1000)
            seen.append(nees(verify(query, match, BARE), scene.t_match_query))
        assert 3.0 < np.mean(seen) < 9.0
        assert np.mean(np.array(seen) < 12.592) > 0.85

    def test_the_covariance_grows_with_the_noise(self):
        calm, rough = (verify(*room().views(noise_px=noise), BARE).covariance for noise in (0.5, 2.0))
        assert 6 < np.trace(rough[3:, 3:]) / np.trace(calm[3:, 3:]) < 40

    def test_the_stated_floor_is_the_least_covariance(self):
        rules = GeometryRules(floor_rotation_rad=0.02, floor_translation_m=0.05)
        covariance = verify(*room().views(), rules).covariance
        assert np.linalg.eigvalsh(covariance - np.diag([0.05**2] * 3 + [0.02**2] * 3)).min() > -1e-12

    def test_a_camera_that_turns_while_it_reads_an_image_is_seen_through(self):
        """Rolling shutter: the last row is seen after a turn of 2 degrees."""
        scene = room(count=200)
        query, match = scene.views(noise_px=0.3)
        bent = _read_while_turning(query, turn=np.array([0.0, 0.035, 0.0]))
        errors = [
            np.linalg.norm(error_of(verify(bent, match, rules).t_match_query, scene.t_match_query)[:3])
            for rules in (GeometryRules(), BARE)
        ]
        assert errors[0] < 0.5 * errors[1]

    @pytest.mark.parametrize("turn", [(0, 0, 0), (0, 0.035, 0)])
    def test_matches_without_depth_agree_where_they_meet_their_epipolar_lines(self, turn):
        """Of 80 without depth 40 are wrong; a line is met by chance in one of some hundred."""
        query, match = (without_depth(view, 80) for view in room(count=250).views(noise_px=0.2, outliers=40))
        found = verify(_read_while_turning(query, turn=np.array(turn)), match)
        true = len(query.features) - 40

        assert found.metric
        assert 0.95 * true <= found.inliers <= true + 3
        assert found.agrees[:40].sum() <= 3

    def test_matches_without_depth_do_not_move_the_pose(self):
        scene = room(count=250)
        views = [without_depth(view, 80) for view in scene.views(noise_px=0.5, outliers=60)]
        fewer = [replace(view, features=rows_of(view.features, slice(80, None))) for view in views]

        assert verify(*views).t_match_query.distance_m(verify(*fewer).t_match_query) < 1e-9

    def test_one_plane_and_pure_rotation_are_no_trouble_with_depth(self):
        turned = room(t_match_query=pose(0, 0, 0, turn=(0.0, 0.2, 0.05)))
        for scene in (wall(), turned):
            found = verify(*scene.views(noise_px=0.5))
            assert found.metric
            assert found.degeneracy is Degeneracy.NO
            assert np.abs(error_of(found.t_match_query, scene.t_match_query)).max() < 0.02

    @pytest.mark.parametrize(("query_factor", "match_factor"), [(1000, 1000), (0.001, 0.001), (1000, 1), (1, 0.001)])
    def test_depth_in_another_unit_is_named_and_gives_no_metres(self, query_factor, match_factor):
        query, match = room().views(noise_px=0.3)
        found = verify(with_depth_times(query, query_factor), with_depth_times(match, match_factor))
        assert found.degeneracy is Degeneracy.IMPLAUSIBLE_DEPTH
        assert "unit" in found.reason
        assert found.kind is Kind.UP_TO_SCALE

    def test_depths_of_the_two_views_that_disagree_are_named(self):
        query, match = room().views(noise_px=0.3)
        found = verify(with_depth_times(query, 3.0), match)
        assert found.degeneracy is Degeneracy.IMPLAUSIBLE_DEPTH
        assert "times the match's" in found.reason

    def test_nearly_no_depth_falls_back_to_a_pose_up_to_scale_and_says_so(self):
        query, match = room().views(noise_px=0.3, depth="query")
        depth = query.features.depth_m.copy()
        depth[5:] = np.nan
        found = verify(replace(query, features=query.features.with_depth(depth)), match)
        assert found.kind is Kind.UP_TO_SCALE
        assert "depth is known at 5 of" in found.reason


class TestPoseUpToScale:
    """Two calibrated views without depth."""

    def test_rotation_and_direction_are_exact_and_the_translation_has_length_one(self):
        scene = room()
        found = verify(*scene.views(depth="none"))
        assert found.kind is Kind.UP_TO_SCALE
        assert not found.metric
        true = scene.t_match_query.translation
        assert np.allclose(found.t_match_query.translation, true / np.linalg.norm(true), atol=1e-4)
        assert np.allclose(found.t_match_query.rotation, scene.t_match_query.rotation, atol=1e-4)

    def test_the_covariance_is_as_large_as_the_errors(self):
        """Five degrees of freedom; along the baseline there is no error and no variance, so the floor stands there."""
        rules = replace(BARE, floor_rotation_rad=1e-5)
        seen = []
        for seed in range(60):
            scene = room(seed)
            length = np.linalg.norm(scene.t_match_query.translation)
            true = Pose.from_rotation_translation(
                scene.t_match_query.rotation, scene.t_match_query.translation / length
            )
            found = verify(*scene.views(noise_px=0.5, depth="none", seed=seed + 1000), rules)
            error = error_of(found.t_match_query, true)
            across = np.linalg.svd(found.t_match_query.translation[None])[2][1:]
            project = np.zeros((5, 6))
            project[:2, :3], project[2:, 3:] = across, np.eye(3)
            covariance = project @ found.covariance @ project.T
            seen.append((project @ error) @ np.linalg.solve(covariance, project @ error))
        assert 2.5 < np.median(seen) < 7.5, "the median of chi-square with 5 degrees of freedom is 4.35"
        assert np.mean(np.array(seen) < 11.07) > 0.8

    @pytest.mark.parametrize(
        ("scene", "named"),
        [
            (room(t_match_query=pose(0, 0, 0, turn=(0.02, 0.2, 0.05))), Degeneracy.PURE_ROTATION),
            (room(t_match_query=pose(0.002, 0, 0, turn=(0.02, 0.2, 0.05))), Degeneracy.PURE_ROTATION),
            (wall(), Degeneracy.ONE_PLANE),
            (room(count=10), Degeneracy.NEAR_BLANK),
        ],
        ids=["turn on the spot", "hardly a baseline", "wall", "ten points"],
    )
    def test_what_fixes_no_pose_is_named_and_not_guessed(self, scene, named):
        found = verify(*scene.views(noise_px=0.5, depth="none"))
        assert found.degeneracy is named
        assert found.kind is Kind.NONE
        assert found.t_match_query is None
        assert found.covariance is None
        assert named.value in found.reason

    def test_of_two_views_from_one_spot_the_turn_is_told_with_its_covariance(self):
        turn, seen = pose(0, 0, 0, turn=(0.02, 0.2, 0.05)), []
        for seed in range(60):
            found = verify(*room(seed, t_match_query=turn).views(noise_px=0.5, depth="none", seed=seed + 1000), BARE)
            error = rotation_log(turn.rotation @ found.turn.rotation.T)
            seen.append(error @ np.linalg.solve(found.turn.covariance, error))
            assert np.linalg.norm(error) < 0.01
        assert np.median(seen) < 4.7, "twice the median of chi-square with 3 degrees of freedom: it may be too cautious"
        assert np.median(seen) > 0.25

    def test_a_step_along_the_view_shows_as_scale_and_a_turn_does_not(self):
        ahead = verify(*room(t_match_query=pose(0, 0, 1.0)).views(noise_px=0.5, depth="none"))
        back = verify(*room(t_match_query=pose(0, 0, -1.0)).views(noise_px=0.5, depth="none"))
        turned = verify(*room(t_match_query=pose(0, 0, 0, turn=(0.0, 0.1, 0.0))).views(noise_px=0.5, depth="none"))
        assert min(ahead.zoom, back.zoom) > 3 * turned.zoom
        assert turned.zoom < 0.05
        assert verify(*room(count=10).views(depth="none")).zoom == 0, "too few to tell"

    def test_a_turn_is_told_among_many_wrong_matches(self):
        turn = pose(0, 0, 0, turn=(0.02, 0.2, 0.05))
        for seed in range(10):
            query, match = room(seed, t_match_query=turn).views(noise_px=0.5, depth="none", outliers=80, seed=seed)
            found = verify(query, match)
            assert found.degeneracy in (Degeneracy.PURE_ROTATION, Degeneracy.TOO_FEW_POINTS)
            if found.turn is not None:
                assert np.linalg.norm(rotation_log(turn.rotation @ found.turn.rotation.T)) < 0.01

    def test_where_there_is_a_pose_or_nothing_there_is_no_turn_alone(self):
        assert verify(*room().views(noise_px=0.5, depth="none")).turn is None
        assert verify(*wall().views(noise_px=0.5, depth="none")).turn is None

    def test_matches_that_agree_on_nothing_give_no_pose(self):
        randomness = np.random.default_rng(0)
        query, match = room(count=40).views()
        keypoints = randomness.uniform((0, 0), (640, 480), query.features.keypoints.shape).astype(np.float32)
        found = verify(replace(query, features=replace(query.features, keypoints=keypoints)), match)
        assert found.kind is Kind.NONE
        assert found.degeneracy is not Degeneracy.NO
        assert found.t_match_query is None


class TestLenses:
    """Distortion is taken out before anything is measured; the two cameras may differ."""

    LENSES = (
        Camera(640, 480, 517.3, 516.5, 318.6, 255.3, "plumb_bob", (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
        Camera(
            640, 480, 400.0, 401.0, 320.0, 240.0, "rational_polynomial", (0.4, -0.1, 0.001, 0.0, 0.01, 0.7, 0.0, 0.0)
        ),
        Camera(640, 480, 250.0, 250.0, 320.0, 240.0, "equidistant", (0.02, -0.01, 0.002, 0.0)),
        Camera(1280, 960, 1000.0, 1010.0, 650.0, 470.0),
    )

    @pytest.mark.parametrize("camera", LENSES, ids=lambda camera: f"{camera.model} {camera.width}")
    @pytest.mark.parametrize("depth", ["both", "none"])
    def test_each_lens_model_gives_the_true_pose(self, camera, depth):
        scene = replace(room(), query_camera=camera)
        found = verify(*scene.views(depth=depth, noise_px=0.1))
        assert found.kind is (Kind.METRIC if depth == "both" else Kind.UP_TO_SCALE)
        true = scene.t_match_query
        if depth == "none":
            true = Pose.from_rotation_translation(true.rotation, true.translation / np.linalg.norm(true.translation))
        assert np.abs(error_of(found.t_match_query, true)).max() < 0.01

    def test_a_lens_that_is_ignored_bends_the_pose(self):
        scene = replace(room(), query_camera=self.LENSES[0])
        query, match = scene.views(noise_px=0.1)
        honest = verify(query, match)
        ignorant = verify(replace(query, camera=replace(query.camera, distortion=())), match)
        errors = [np.abs(error_of(v.t_match_query, scene.t_match_query)).max() for v in (honest, ignorant)]
        assert errors[1] > 3 * errors[0]


class TestWithoutCalibration:
    """No camera_info, or one of another image size: counted, but no pose."""

    @pytest.mark.parametrize("which", ["query", "match", "both"])
    def test_no_calibration_says_so_and_counts_inliers(self, which):
        query, match = room().views(noise_px=0.3)
        query = query if which == "match" else View(query.features)
        match = match if which == "query" else View(match.features)
        found = verify(query, match)
        assert found.kind is Kind.UNCALIBRATED
        assert "no calibration" in found.reason
        assert found.inlier_ratio > 0.9
        assert found.coverage > 0.3
        assert found.t_match_query is None

    def test_a_calibration_of_another_image_size_is_not_used(self):
        query, match = room().views(noise_px=0.3)
        found = verify(replace(query, camera=replace(CAMERA, width=320, height=240)), match)
        assert found.kind is Kind.UNCALIBRATED
        assert "calibration of the query is for 320 x 240, its image has 640 x 480" in found.reason


class TestInvariants:
    """What holds for every scene."""

    @settings(max_examples=15, deadline=None)
    @given(x=SMALL, y=SMALL, z=SMALL, roll=SMALL, pitch=SMALL, yaw=SMALL)
    def test_swapping_query_and_match_inverts_the_pose(self, x, y, z, roll, pitch, yaw):
        query, match = room(t_match_query=pose(x, y, z, turn=(roll, pitch, yaw))).views(noise_px=0.5)
        there, back = verify(query, match), verify(match, query)
        assert there.metric
        assert back.metric
        both = there.t_match_query @ back.t_match_query
        assert np.linalg.norm(both.translation) < 0.01
        assert both.angle_rad(Pose.identity()) < 0.003
        assert abs(there.inliers - back.inliers) <= 2

    @settings(max_examples=15, deadline=None)
    @given(scale=st.floats(0.5, 4.0))
    def test_scaling_the_depth_scales_the_translation(self, scale):
        query, match = room().views()
        found = verify(with_depth_times(query, scale), with_depth_times(match, scale))
        assert np.allclose(found.t_match_query.translation, scale * room().t_match_query.translation, atol=1e-3 * scale)

    @settings(max_examples=15, deadline=None)
    @given(x=SMALL, yaw=SMALL, count=st.integers(0, 60), noise=st.floats(0, 30), seed=st.integers(0, 99))
    def test_whatever_the_points_the_answer_is_whole(self, x, yaw, count, noise, seed):
        scene = room(seed, count=count, t_match_query=pose(x, 0, 0, turn=(0, yaw, 0)))
        for depth in ("both", "none"):
            found = verify(*scene.views(noise_px=noise, depth=depth, seed=seed))
            assert (found.t_match_query is None) == (found.covariance is None) == (found.kind is Kind.NONE)
            assert found.t_match_query is not None or found.degeneracy is not Degeneracy.NO
            assert found.reason
            if found.covariance is not None:
                assert np.allclose(found.covariance, found.covariance.T)
                assert np.linalg.eigvalsh(found.covariance).min() > 0


def _read_while_turning(view, *, turn):
    """Return a view in which the camera turns by ``turn`` (rad) from the first row to the last, middle row unmoved."""
    scene_rows = (view.features.keypoints[:, 1] + 0.5) / view.features.height - 0.5
    camera = view.camera
    rays = np.column_stack(
        (
            (view.features.keypoints - (camera.cx, camera.cy)) / (camera.fx, camera.fy),
            np.ones(len(view.features)),
        )
    )
    moved = np.array([rotation_exp(-row * turn) @ ray for row, ray in zip(scene_rows, rays, strict=True)])
    pixels = moved[:, :2] / moved[:, 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    return replace(view, features=replace(view.features, keypoints=pixels.astype(np.float32)))


def test_scenes_are_scenes():
    """The oracle itself: a point of the query, carried by the pose, is the point of the match."""
    scene = Scene(np.array([[0.0, 0.0, 2.0]]), pose(0.5, 0, 0))
    query, match = scene.views()
    assert np.allclose(query.features.keypoints[0], (322 - 500 * 0.25, 238))
    assert np.allclose(match.features.keypoints[0], (322, 238))


class TestZoom:
    """How large the same things are in two images, whatever the images' sizes."""

    def test_an_image_of_twice_the_size_is_no_step_ahead(self):
        query, match = room(t_match_query=pose(0, 0, 0, turn=(0.0, 0.1, 0.0))).views(noise_px=0.5, depth="none")
        features, camera = match.features, match.camera
        twice = replace(
            features, width=2 * features.width, height=2 * features.height, keypoints=2 * features.keypoints + 0.5
        )
        lens = Camera(2 * camera.width, 2 * camera.height, 2 * camera.fx, 2 * camera.fy, 2 * camera.cx, 2 * camera.cy)
        plain = verify(query, match)
        assert verify(query, View(twice, lens)).zoom == pytest.approx(plain.zoom, abs=0.01)
        assert verify(View(query.features), View(twice)).zoom == pytest.approx(plain.zoom, abs=0.02)

    def test_points_on_one_pixel_tell_nothing(self):
        assert zoom(np.zeros((20, 2), np.float32), np.random.default_rng(0).random((20, 2), np.float32)) == 0
