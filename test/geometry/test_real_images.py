"""Photographs of real places: poses against motion capture, look-alikes, and images nothing can be told from."""

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml
from scenes import error_of

from vpr_ros.core import Camera, Pose, read_tum_trajectory, stamp_ns_from_text
from vpr_ros.geometry import Degeneracy, FeatureSet, Kind, SiftFeatures, View, verify

S = 1_000_000_000


def read_rgb(path):
    """Return an image as RGB."""
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def office(images):
    """Views of the office corridor by number, uncalibrated; 041 to 054 come by 001 to 014 again."""
    extractor = SiftFeatures()
    return {int(path.stem): View(extractor.extract(read_rgb(path))) for path in (images / "office").glob("*.jpg")}


class TestUncalibratedPhotographs:
    """The office corridor has no calibration."""

    def test_revisits_have_more_inliers_and_coverage_than_other_places(self, office):
        revisits = [verify(office[i + 40], office[i]) for i in (2, 4, 8, 9, 11, 13)]
        others = [verify(office[q], office[m]) for q, m in ((41, 9), (43, 12), (47, 3), (50, 4), (52, 8), (54, 10))]
        assert {found.kind for found in revisits} == {Kind.UNCALIBRATED}
        for what in ("inliers", "coverage"):
            worst = np.median([getattr(found, what) for found in revisits])
            best = max(getattr(found, what) for found in others)
            assert worst > 1.5 * best, what

    def test_what_is_drawn_lies_in_the_images(self, office):
        found = verify(office[44], office[4])
        assert found.matches.shape == (len(found.agrees), 4)
        assert (found.matches >= -0.5).all()
        assert (found.matches[:, 0] < office[44].features.width).all()


class TestImagesThatSayNothing:
    """Named, and no pose."""

    CAMERA = Camera(512, 384, 400.0, 400.0, 256.0, 192.0)

    @pytest.mark.parametrize(
        ("spoil", "named"),
        [
            (np.zeros_like, Degeneracy.NEAR_BLANK),
            (lambda image: cv2.GaussianBlur(image, (0, 0), 40), Degeneracy.NEAR_BLANK),
            (lambda image: np.random.default_rng(0).integers(0, 255, image.shape, np.uint8), Degeneracy.TOO_FEW_POINTS),
        ],
        ids=["black", "blurred", "noise"],
    )
    def test_black_blurred_and_noise_are_named(self, images, spoil, named):
        image = read_rgb(images / "office" / "004.jpg")
        extractor = SiftFeatures()
        whole = View(extractor.extract(image), self.CAMERA)
        spoilt = View(extractor.extract(spoil(image)), self.CAMERA)
        found = verify(spoilt, whole)
        assert found.degeneracy is named
        assert found.kind is Kind.NONE
        assert found.t_match_query is None

    @pytest.mark.parametrize("calibrated", [True, False])
    def test_one_image_twice_is_named_and_its_pose_is_no_motion(self, office, calibrated):
        view = replace(office[4], camera=self.CAMERA if calibrated else None)
        found = verify(view, View(FeatureSet.from_bytes(view.features.to_bytes()), view.camera))
        assert found.degeneracy is Degeneracy.IDENTICAL_IMAGES
        assert np.array_equal(found.t_match_query.matrix, np.eye(4))
        assert np.linalg.eigvalsh(found.covariance).min() > 0

    def test_two_crops_of_one_photograph_are_no_identical_images(self, images):
        image = read_rgb(images / "office" / "004.jpg")
        views = [View(SiftFeatures().extract(np.ascontiguousarray(part))) for part in (image[:, 4:], image[:, :-4])]
        assert verify(*views).degeneracy is not Degeneracy.IDENTICAL_IMAGES


@pytest.fixture(scope="module")
def desk(shared_data):
    """Every fifth view of TUM's freiburg1_rpy with depth, and the true pose of each."""
    folder = shared_data / "fr1_rpy"
    facts = yaml.safe_load((folder / "camera.yaml").read_text())
    k, lens = facts["camera_matrix"]["data"], tuple(facts["distortion_coefficients"]["data"])
    camera = Camera(640, 480, k[0], k[4], k[2], k[5], "plumb_bob", lens)
    truth = read_tum_trajectory(folder / "groundtruth.txt")
    extractor, views = SiftFeatures(), []
    for line in (folder / "associations.txt").read_text().splitlines()[::5]:
        stamp, image, _, depth = line.split()
        stamp_ns = stamp_ns_from_text(stamp)
        t_world_camera = truth.at(stamp_ns, S // 50)
        if t_world_camera is None:
            continue
        depth_m = cv2.imread(str(folder / depth), cv2.IMREAD_UNCHANGED).astype(np.float32) / 5000
        depth_m[depth_m == 0] = np.nan
        stored = extractor.extract(read_rgb(folder / image), depth_m).to_bytes()
        views.append((stamp_ns, View(FeatureSet.from_bytes(stored), camera), t_world_camera))
    return views


@pytest.fixture(scope="module")
def desk_revisits(desk):
    """(query, match, true t_match_query) of up to 200 pairs at least 5 s apart, within 0.5 m and 30 degrees."""
    pairs = []
    for stamp, query, t_world_query in desk:
        for earlier, match, t_world_match in desk:
            true = t_world_match.inverse() @ t_world_query
            is_near = np.linalg.norm(true.translation) <= 0.5 and true.angle_rad(Pose.identity()) <= np.radians(30)
            if stamp - earlier >= 5 * S and is_near:
                pairs.append((query, match, true))
    return [pairs[i] for i in np.random.default_rng(0).permutation(len(pairs))[:200]]


class TestHandHeldCamera:
    """freiburg1_rpy: turned by hand on the spot, rolling shutter, blur, depth up to 20 ms off the colour."""

    def test_metric_poses_are_as_good_as_rtab_map_s_own_links(self, desk_revisits):
        """Its global closures there are off by 1.7 cm and 1.1 degrees (median), 5.4 cm and 2.4 degrees (95 %)."""
        errors, inside = [], []
        for query, match, true in desk_revisits:
            found = verify(query, match)
            if found.metric:
                error = error_of(found.t_match_query, true)
                errors.append((100 * np.linalg.norm(error[:3]), np.degrees(np.linalg.norm(error[3:]))))
                inside.append(error @ np.linalg.solve(found.covariance, error) <= 12.592)
        assert len(errors) > 0.75 * len(desk_revisits)
        assert (np.percentile(errors, 50, axis=0) <= (1.7, 1.1)).all()
        assert (np.percentile(errors, 95, axis=0) <= (5.4, 2.4)).all()
        assert (np.max(errors, axis=0) <= (8, 5)).all()
        assert np.mean(inside) >= 0.8

    def test_without_depth_turning_on_the_spot_is_never_given_metres(self, desk_revisits):
        for query, match, _ in desk_revisits[:40]:
            blind = [
                replace(view, features=view.features.with_depth(np.full(len(view.features), np.nan)))
                for view in (query, match)
            ]
            found = verify(*blind)
            assert not found.metric
            if found.t_match_query is not None:
                assert np.linalg.norm(found.t_match_query.translation) == pytest.approx(1)

    def test_verification_takes_less_than_fifty_milliseconds_on_two_threads(self, desk_revisits):
        """Processor time, because the machine may have other work; two threads may use twice the wall's."""
        cv2.setNumThreads(2)
        spent = []
        for query, match, _ in desk_revisits[:30]:
            start = time.process_time()
            verify(query, match)
            spent.append(time.process_time() - start)
        assert np.median(spent) < 2 * 0.050
