"""Local features: found, matched, given depth, written to bytes and read again."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import distinct_descriptors, room

from vpr_ros.core import Camera
from vpr_ros.geometry import FeatureSet, GeometryError, SiftFeatures
from vpr_ros.geometry.depth import depth_at
from vpr_ros.geometry.lens import distort, undistort
from vpr_ros.geometry.matching import match_features


@pytest.fixture(scope="module")
def office(images):
    """One real photograph, RGB."""
    return cv2.cvtColor(cv2.imread(str(images / "office" / "003.jpg")), cv2.COLOR_BGR2RGB)


def features(count=5, **changes):
    """Return features of a made-up image."""
    keypoints = np.column_stack((np.arange(count) * 10, np.arange(count) * 7)).astype(np.float32)
    made = FeatureSet("made up", 640, 480, keypoints, distinct_descriptors(count), np.full(count, np.nan, np.float32))
    return replace(made, **changes)


class TestBytes:
    """What a map keeps of a keyframe."""

    def test_features_come_back_as_they_were_depth_to_a_thousandth(self, office):
        depth = np.full(office.shape[:2], 2.345, np.float32)
        found = SiftFeatures().extract(office, depth)
        again = FeatureSet.from_bytes(found.to_bytes())
        assert (again.extractor, again.width, again.height) == ("sift", office.shape[1], office.shape[0])
        assert np.array_equal(again.keypoints, found.keypoints)
        assert np.array_equal(again.descriptors, found.descriptors)
        assert np.nanmax(np.abs(again.depth_m / found.depth_m - 1)) < 1e-3

    def test_unknown_and_impossible_depths_come_back_as_unknown(self):
        depth = np.array([np.nan, np.inf, -1, 0, 3], np.float32)
        again = FeatureSet.from_bytes(features(depth_m=depth).to_bytes())
        assert np.isnan(again.depth_m).tolist() == [True, True, True, True, False]

    def test_no_features_come_back_as_none(self):
        assert len(FeatureSet.from_bytes(features(0).to_bytes())) == 0

    def test_a_keyframe_stays_below_64_kib(self):
        noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
        found = SiftFeatures().extract(cv2.GaussianBlur(noise, (0, 0), 2))
        assert len(found) == 450
        assert len(found.to_bytes()) <= 64 * 1024

    @pytest.mark.parametrize("size", [0, 3, 19, 25, 100, -1])
    def test_truncated_bytes_are_refused(self, size):
        with pytest.raises(GeometryError, match="make the map anew"):
            FeatureSet.from_bytes(features().to_bytes()[:size])

    def test_foreign_bytes_are_refused(self):
        with pytest.raises(GeometryError, match="are no local features"):
            FeatureSet.from_bytes(b"\x00" * 1000)

    def test_damaged_keypoints_are_refused(self):
        damaged = features(keypoints=np.full((5, 2), np.nan, np.float32))
        with pytest.raises(GeometryError, match="NaN or infinite"):
            FeatureSet.from_bytes(damaged.to_bytes())

    def test_lengths_that_do_not_fit_are_refused(self):
        with pytest.raises(GeometryError, match="expected \\(n, 2\\)"):
            features(depth_m=np.zeros(4, np.float32))


class TestExtraction:
    """From an image to features."""

    def test_keypoints_lie_in_the_image_and_the_same_image_gives_the_same(self, office):
        found, again = SiftFeatures().extract(office), SiftFeatures().extract(office)
        assert len(found) > 100
        assert (found.keypoints >= -0.5).all()
        assert (found.keypoints < office.shape[1::-1]).all()
        assert found.to_bytes() == again.to_bytes()

    @pytest.mark.parametrize("factor", [0.3, 3.0])
    def test_keypoints_of_small_and_large_images_are_in_their_own_pixels(self, office, factor):
        other = cv2.resize(office, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        small, large = SiftFeatures().extract(office), SiftFeatures().extract(other)
        pairs = match_features(small, large, ratio=0.8)
        scale = np.array(other.shape[1::-1]) / office.shape[1::-1]
        expected = (small.keypoints[pairs[:, 0]] + 0.5) * scale - 0.5
        off = np.linalg.norm(expected - large.keypoints[pairs[:, 1]], axis=1)
        assert len(pairs) > 40
        assert np.median(off) < 0.7 * max(factor, 0.5)

    @pytest.mark.parametrize("value", [0, 128, 255])
    def test_a_blank_image_gives_no_features_and_no_error(self, value):
        depth = np.ones((480, 640), np.float32)
        assert len(SiftFeatures().extract(np.full((480, 640, 3), value, np.uint8), depth)) == 0

    @pytest.mark.parametrize("shape", [(1, 1, 3), (2, 700, 3), (9, 5, 3)])
    def test_tiny_images_give_no_error(self, shape):
        assert len(SiftFeatures().extract(np.zeros(shape, np.uint8))) == 0

    @pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
    def test_what_is_no_rgb_image_is_refused(self, image):
        with pytest.raises(GeometryError, match="expected RGB"):
            SiftFeatures().extract(image)


class TestDepth:
    """Depth at keypoints is read from a window, or not at all."""

    AT = np.array([[40.0, 30.0]], np.float32)

    def at(self, depth, points=AT):
        return depth_at(points, depth, width=80, height=60)

    def test_a_surface_gives_its_depth_and_single_wrong_pixels_do_not_matter(self):
        depth = np.full((60, 80), 2.0, np.float32)
        depth[30, 40], depth[29, 40], depth[28, 38] = 9.0, np.nan, 0.0
        assert self.at(depth)[0] == 2.0

    def test_an_edge_between_near_and_far_is_unknown(self):
        depth = np.full((60, 80), 2.0, np.float32)
        depth[:, 40:] = 3.0
        assert np.isnan(self.at(depth)[0])

    @pytest.mark.parametrize("hole", [np.nan, 0.0, np.inf, -1.0])
    def test_a_hole_is_unknown(self, hole):
        depth = np.full((60, 80), 2.0, np.float32)
        depth[25:35, 35:45] = hole
        assert np.isnan(self.at(depth)[0])

    def test_a_smaller_depth_image_of_the_same_view_is_read_where_it_shows_the_point(self):
        depth = np.tile(np.linspace(2, 2.4, 40, dtype=np.float32), (30, 1))
        assert self.at(depth, np.array([[60.0, 30.0]], np.float32))[0] == pytest.approx(depth[15, 30], abs=0.02)

    @pytest.mark.parametrize("shape", [(80, 60), (60, 100), (0, 0)])
    def test_depth_of_another_shape_is_refused(self, shape):
        with pytest.raises(GeometryError, match="expected depth registered to the image"):
            self.at(np.ones(shape, np.float32))

    def test_points_at_the_border_and_no_points_give_no_error(self):
        depth = np.full((60, 80), 2.0, np.float32)
        assert self.at(depth, np.array([[-0.5, -0.5], [79.5, 59.5]], np.float32)).tolist() == [2.0, 2.0]
        assert self.at(depth, np.zeros((0, 2), np.float32)).shape == (0,)


class TestMatching:
    """Mutual nearest neighbours that are much nearer than the second nearest."""

    def test_matches_equal_plain_loops(self):
        randomness = np.random.default_rng(3)
        base = distinct_descriptors(30)
        jitter = randomness.integers(-25, 25, base.shape)
        other = np.clip(base[::-1].astype(int) + jitter, 0, 255).astype(np.uint8)
        pairs = match_features(features(30), features(30, descriptors=other), ratio=0.8)
        assert pairs.tolist() == _slow_matches(base, other, 0.8)
        assert len(pairs) > 15

    def test_two_keypoints_that_look_alike_match_nothing(self):
        twins = np.repeat(distinct_descriptors(5), 2, axis=0)
        assert len(match_features(features(5), features(10, descriptors=twins), ratio=0.85)) == 0

    def test_fewer_than_two_features_match_nothing(self):
        assert match_features(features(0), features(5), ratio=0.8).shape == (0, 2)
        assert match_features(features(5), features(1), ratio=0.8).shape == (0, 2)

    def test_features_of_two_extractors_are_not_compared(self):
        with pytest.raises(GeometryError, match=r"'made up' .* can't be compared with those of 'other'"):
            match_features(features(), features(extractor="other"), ratio=0.8)


def _slow_matches(a, b, ratio):
    """Match by plain loops over RootSIFT distances."""

    def root(rows):
        return [np.sqrt(row / row.sum()) for row in rows.astype(float)]

    distances = np.array([[np.linalg.norm(x - y) for y in root(b)] for x in root(a)])
    found = []
    for i in range(len(a)):
        j = int(distances[i].argmin())
        rivals = (np.delete(distances[i], j).min(), np.delete(distances[:, j], i).min())
        if distances[:, j].argmin() == i and distances[i, j] < ratio * min(rivals):
            found.append([i, j])
    return found


class TestLens:
    """Undistortion is the inverse of the lens model."""

    @pytest.mark.parametrize(
        "camera",
        [
            Camera(640, 480, 517.3, 516.5, 318.6, 255.3, "plumb_bob", (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
            Camera(640, 480, 300.0, 300.0, 320.0, 240.0, "plumb_bob", (-0.25, 0.05, 0.0, 0.0)),
            Camera(
                640, 480, 400.0, 401.0, 320.0, 240.0, "rational_polynomial", (0.4, -0.1, 0.001, 0, 0.01, 0.7, 0.0, 0.0)
            ),
            Camera(640, 480, 250.0, 250.0, 320.0, 240.0, "equidistant", (0.02, -0.01, 0.002, 0.0)),
            Camera(640, 480, 500.0, 500.0, 320.0, 240.0, "equidistant"),
        ],
        ids=lambda camera: f"{camera.model} {len(camera.distortion)}",
    )
    def test_there_and_back_is_within_a_tenth_of_a_pixel(self, camera):
        x, y = np.meshgrid(np.linspace(10, 630, 21), np.linspace(10, 470, 17))
        pixels = np.column_stack((x.ravel(), y.ravel())).astype(np.float32)
        plane = undistort(pixels, camera)
        sound = np.isfinite(plane[:, 0])
        assert sound.mean() > 0.95
        assert np.abs(distort(plane[sound], camera) - pixels[sound]).max() < 0.1

    def test_without_a_lens_it_is_the_pinhole(self):
        camera = room().match_camera
        assert np.allclose(undistort(np.array([[322.0, 743.0]], np.float32), camera), [[0, 1]], atol=1e-6)

    def test_where_a_lens_model_has_no_inverse_there_is_no_ray(self):
        folded = Camera(640, 480, 200.0, 200.0, 320.0, 240.0, "plumb_bob", (-0.5, 0.0, 0.0, 0.0))
        assert np.isnan(undistort(np.array([[0.0, 0.0]], np.float32), folded)).all()
        assert np.isfinite(undistort(np.array([[320.0, 240.0]], np.float32), folded)).all()

    def test_no_pixels_give_no_rays(self):
        assert undistort(np.zeros((0, 2), np.float32), room().match_camera).shape == (0, 2)
