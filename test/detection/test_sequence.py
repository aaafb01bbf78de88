"""What the keyframes around a query say of its match."""

import cv2
import numpy as np
import pytest

from vpr_ros.core import Candidate, Frame, Keyframe, Pose
from vpr_ros.detection.evidence import Evidence
from vpr_ros.detection.memory import Memory
from vpr_ros.detection.odometer import Odometer
from vpr_ros.detection.policy import Thresholds
from vpr_ros.detection.sequence import best_view
from vpr_ros.detection.stages import Context, GeometryStage, Outcome, SequenceStage, Verdict
from vpr_ros.encoders import open_encoder
from vpr_ros.geometry import GeometryRules
from vpr_ros.place_map import PlaceMap

ALLOWED = Verdict(Outcome.PASSED, 1.0, 0.0, "odometry allows it")
# A camera that comes nearer sees the middle of the image larger; at the end it stands where the place was taken.
ZOOMS = (1.7, 1.45, 1.3, 1.15, 1.0)
STEP_M = 0.6
FIRST_QUERY = 12


def zoomed(image, factor):
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 0, 1 / factor)
    return cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT)


@pytest.fixture(scope="module")
def office(images):
    files = sorted((images / "office").glob("*.jpg"))
    return [cv2.imread(str(file), cv2.IMREAD_COLOR_RGB) for file in files]


@pytest.fixture(scope="module")
def encoder():
    return open_encoder("mixvpr-lite", "onnxruntime")


class Approach:
    """A map whose keyframe 0 is a photograph, and a camera that comes towards the spot, ``count`` keyframes so far."""

    def __init__(self, encoder, photographs, count=len(ZOOMS), has_odometry=True, **thresholds):
        self.thresholds = Thresholds(**thresholds)
        place_map = PlaceMap.in_memory(encoder.recipe)
        place_map.start_session()
        self.memory = Memory(place_map, self.thresholds)
        self.evidence = Evidence(encoder.recipe, place_map, GeometryRules(), patches=True, features=True)
        self.context = Context(self.memory, Odometer(self.thresholds), self.evidence, {"odometry": ALLOWED})
        views = [photographs[0], *photographs[2 : FIRST_QUERY + 1]]
        views += [zoomed(photographs[0], factor) for factor in ZOOMS[:count]]
        self.keyframes = []
        for number, view in enumerate(views):
            encoding = encoder.encode(np.ascontiguousarray(view))
            keyframe = Keyframe(
                number,
                0,
                number,
                encoding.descriptor,
                patches=self.evidence.patches_of(encoding).to_bytes(),
                features=self.evidence.features_of(Frame(0, 0, view)).to_bytes(),
                t_odom_camera=Pose.from_xyz_quaternion([number * STEP_M, 0, 0, 0, 0, 0, 1]) if has_odometry else None,
            )
            recent = np.arange(max(0, number - 8), number)
            self.memory.note(self.memory.look(keyframe, recent))
            place_map.add(keyframe)
            self.keyframes.append(keyframe)

    def candidate(self, query=FIRST_QUERY):
        return Candidate(self.keyframes[query], self.keyframes[0], 0.9, 0)

    def verdict(self, query=FIRST_QUERY):
        candidate = self.candidate(query)
        self.context.found["geometry"] = GeometryStage(self.thresholds).judge(candidate, self.context)
        return SequenceStage(self.thresholds).judge(candidate, self.context)

    def best_view(self, query=FIRST_QUERY):
        return best_view(self.candidate(query), self.memory, self.evidence, self.thresholds.sequence_length)


def test_the_keyframe_that_stands_where_the_place_was_taken_sees_it_best(encoder, office):
    best = Approach(encoder, office).best_view()

    assert best.query_id == FIRST_QUERY + 4
    assert best.away_m == pytest.approx(4 * STEP_M)


def test_a_place_that_came_into_view_before_the_camera_was_there_is_refused(encoder, office):
    verdict = Approach(encoder, office).verdict()

    assert verdict.outcome is Outcome.REFUSED
    assert (verdict.value, verdict.threshold) == (pytest.approx(-4 * STEP_M), -1.0)
    assert "keyframe 16, 2.4 m away" in verdict.reason


def test_a_query_waits_for_the_keyframes_that_may_see_its_match_better(encoder, office):
    """After two keyframes the best view is just beside the query; the third shows that it lies farther on."""
    assert Approach(encoder, office, count=2).verdict().outcome is Outcome.WAITING
    assert Approach(encoder, office, count=3).verdict().outcome is Outcome.REFUSED


def test_how_far_the_best_view_may_be_is_a_setting(encoder, office):
    assert Approach(encoder, office, best_view_m=3.0).verdict().outcome is Outcome.PASSED


def test_without_odometry_nothing_is_away(encoder, office):
    assert Approach(encoder, office, has_odometry=False).best_view().away_m == 0.0
