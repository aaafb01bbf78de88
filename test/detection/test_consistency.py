"""Odometry and recent closures against a candidate whose two images look alike."""

import numpy as np
import pytest
import scenes
from hypothesis import given
from hypothesis import strategies as st
from worlds import World, street

from vpr_ros.core import Candidate, Keyframe, LoopClosure, Pose
from vpr_ros.core.pose import rotation_exp
from vpr_ros.detection.consistency import AgreementStage, OdometryStage
from vpr_ros.detection.evidence import Evidence
from vpr_ros.detection.memory import Memory
from vpr_ros.detection.odometer import Odometer
from vpr_ros.detection.policy import Thresholds
from vpr_ros.detection.stages import Context, GeometryStage, Outcome
from vpr_ros.geometry import GeometryRules
from vpr_ros.place_map import PlaceMap

WORLD = World(street(3), noise=0.0)
LOOK = WORLD.encode(np.zeros((1, 1, 3), np.uint8)).descriptor


class Drive:
    """Keyframes along given poses, remembered as the detector remembers them."""

    def __init__(self, poses, features=None, session=0, **thresholds):
        self.thresholds = Thresholds(**thresholds)
        place_map = PlaceMap.in_memory(WORLD.recipe)
        for _ in range(session + 1):
            place_map.start_session()
        self.memory = Memory(place_map, self.thresholds)
        odometer = Odometer(self.thresholds)
        evidence = Evidence(WORLD.recipe, place_map, GeometryRules(), patches=False, features=True)
        self.context = Context(self.memory, odometer, evidence)
        self.keyframes = []
        for number, pose in enumerate(poses):
            keyframe = Keyframe(
                number,
                session,
                number,
                LOOK,
                features=(features or {}).get(number),
                camera=scenes.CAMERA,
                t_odom_camera=pose,
            )
            self.memory.note(self.memory.look(keyframe, np.empty(0, np.int64)))
            place_map.add(keyframe)
            odometer.remember(keyframe)
            self.keyframes.append(keyframe)

    def candidate(self, query, match):
        return Candidate(self.keyframes[query], self.keyframes[match], 0.9, 0)

    def close(self, query, match, match_session=0, t_match_query=None):
        metric = t_match_query is not None
        covariance = np.eye(6) * 1e-4 if metric else None
        self.memory.close(
            LoopClosure(
                query,
                query,
                "camera",
                match,
                match,
                match_session,
                0.9,
                0.99,
                metric=metric,
                t_match_query=t_match_query,
                covariance=covariance,
            )
        )

    def odometry_of(self, query, match):
        candidate = self.candidate(query, match)
        self.context.found = {"geometry": GeometryStage(self.thresholds).judge(candidate, self.context)}
        return OdometryStage(self.thresholds).judge(candidate, self.context)

    def agreement_of(self, query, match):
        candidate = self.candidate(query, match)
        self.context.found = {"geometry": GeometryStage(self.thresholds).judge(candidate, self.context)}
        return AgreementStage(self.thresholds).judge(candidate, self.context)


def at(x, y=0.0, yaw_deg=0.0):
    return Pose.from_rotation_translation(rotation_exp(np.array([0.0, 0.0, np.radians(yaw_deg)])), (x, y, 0.0))


def along_x(*metres):
    return [at(float(x)) for x in metres]


def test_a_room_that_looks_alike_but_lies_beyond_all_drift_is_refused():
    """50 m of way at a tenth of drift: 5 m, and 3 m that two cameras of a place may stand apart."""
    verdict = Drive(along_x(*range(0, 51, 5))).odometry_of(10, 0)

    assert verdict.outcome is Outcome.REFUSED
    assert verdict.value == pytest.approx(5 + 3 - 50)
    assert verdict.value < verdict.threshold
    assert "50.0 m" in verdict.reason
    assert "8.0 m" in verdict.reason


def test_a_way_that_leads_back_within_its_drift_passes():
    out_and_back = along_x(0, 10, 20, 10, 6)  # 34 m of way, so 6 m off is within 3.4 + 3
    verdict = Drive(out_and_back).odometry_of(4, 0)

    assert verdict.outcome is Outcome.PASSED
    assert verdict.value == pytest.approx(3.4 + 3 - 6)
    assert Drive(out_and_back, same_place_m=2.5).odometry_of(4, 0).outcome is Outcome.REFUSED
    assert Drive(out_and_back, odometry_drift=0.05).odometry_of(4, 0).outcome is Outcome.REFUSED


def test_a_metric_pose_says_where_the_query_should_be_and_is_held_against_odometry():
    """The two cameras stand 0.35 m apart in truth; odometry says so, or is 4 m off to the side."""
    scene = scenes.room()
    query_view, match_view = scene.views()
    features = {0: match_view.features.to_bytes(), 2: query_view.features.to_bytes()}
    right = [at(0), at(5), scene.t_match_query]
    off = [at(0), at(5), at(0, 4.0) @ scene.t_match_query]

    passed, refused = Drive(right, features).odometry_of(2, 0), Drive(off, features).odometry_of(2, 0)

    assert passed.outcome is Outcome.PASSED
    assert "0.0 m away" in passed.reason
    assert refused.outcome is Outcome.REFUSED
    assert "4.0 m away" in refused.reason


def test_a_copy_that_is_built_the_other_way_round_is_refused_by_the_turn():
    """Both images show one view, but the robot has turned back: 170 degrees, of which odometry may be 17 off."""
    verdict = Drive([at(0), at(5), at(5, yaw_deg=170), at(1, yaw_deg=170)]).odometry_of(3, 0)

    assert verdict.outcome is Outcome.REFUSED
    assert verdict.value < verdict.threshold
    assert "170 degrees away from that, granted 67" in verdict.reason


def test_a_turn_that_both_odometry_and_the_images_say_passes():
    scene = scenes.room()
    query_view, match_view = scene.views()
    features = {0: match_view.features.to_bytes(), 2: query_view.features.to_bytes()}
    turned = Pose.from_rotation_translation(rotation_exp(np.array([0.0, np.radians(60), 0.0])), np.zeros(3))

    assert Drive([at(0), at(5), scene.t_match_query], features).odometry_of(2, 0).outcome is Outcome.PASSED
    off = Drive([at(0), at(5), scene.t_match_query @ turned], features).odometry_of(2, 0)
    assert off.outcome is Outcome.REFUSED
    assert "60 degrees away from that" in off.reason


def test_without_odometry_the_stage_lets_pass_and_says_so():
    verdict = Drive([at(0), None, None]).odometry_of(2, 0)

    assert verdict.outcome is Outcome.SKIPPED
    assert verdict.reason == "no odometry"


def test_a_match_of_an_earlier_session_is_not_held_against_this_ones_odometry():
    drive = Drive(along_x(0, 50), session=1)
    drive.keyframes[0] = Keyframe(0, 0, 0, LOOK, t_odom_camera=at(0))

    verdict = drive.odometry_of(1, 0)

    assert verdict.outcome is Outcome.SKIPPED
    assert "earlier session" in verdict.reason


@given(
    st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=2, max_size=12),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_a_true_loop_is_never_refused_however_odometry_drifts_within_its_bound(way, along, across):
    """The robot returns to its start; each metre of way is seen up to a tenth too long, short, or to the side."""
    way = [*way, way[0]]
    steps = np.diff(np.array(way), axis=0)
    turn = np.array([[along, -across], [across, along]]) / np.sqrt(2)
    drifted = np.vstack([way[0], way[0] + np.cumsum(steps + 0.09 * steps @ turn.T, axis=0)])

    verdict = Drive([at(*place) for place in drifted], same_place_m=0.01).odometry_of(len(way) - 1, 0)

    assert verdict.outcome is Outcome.PASSED


FORTY = [None] * 40


def test_two_recent_closures_elsewhere_refuse_a_candidate():
    drive = Drive(FORTY)
    drive.close(36, 3)
    drive.close(37, 4)

    verdict = drive.agreement_of(38, 25)

    assert verdict.outcome is Outcome.REFUSED
    assert (verdict.value, verdict.threshold) == (0.0, 0.5)
    assert "0 of 2 recent closures" in verdict.reason
    assert drive.agreement_of(38, 5).outcome is Outcome.PASSED


def test_one_recent_closure_has_no_say():
    drive = Drive(FORTY)
    drive.close(37, 4)

    verdict = drive.agreement_of(38, 25)

    assert verdict.outcome is Outcome.SKIPPED
    assert "1 recent closures" in verdict.reason


def test_half_of_the_votes_are_enough():
    drive = Drive(FORTY)
    drive.close(36, 3)
    drive.close(37, 24)

    assert drive.agreement_of(38, 25).outcome is Outcome.PASSED


def test_closures_older_than_the_window_have_no_say():
    drive = Drive(FORTY, agreement_window=5)
    drive.close(31, 1)
    drive.close(32, 2)

    assert drive.agreement_of(38, 25).outcome is Outcome.SKIPPED


def test_a_window_of_none_switches_agreement_off():
    drive = Drive(FORTY, agreement_window=0)
    drive.close(36, 3)
    drive.close(37, 4)

    assert drive.agreement_of(38, 25).outcome is Outcome.SKIPPED


def test_closures_with_another_session_have_no_say():
    drive = Drive(FORTY)
    drive.close(36, 3, match_session=7)
    drive.close(37, 4, match_session=7)

    assert drive.agreement_of(38, 25).outcome is Outcome.SKIPPED


def test_laps_that_closures_link_are_one_place():
    """The third lap matched the first; a candidate of the second lap agrees, because the laps were linked before."""
    drive = Drive([None] * 80)
    drive.close(76, 3)
    drive.close(77, 4)
    assert drive.agreement_of(78, 41).outcome is Outcome.REFUSED

    drive.close(40, 3)

    assert drive.agreement_of(78, 41).outcome is Outcome.PASSED
    assert drive.agreement_of(78, 60).outcome is Outcome.REFUSED


# Two laps of a square street of 20 m a side, a keyframe every 5 m.
SQUARE = [(x, 0) for x in range(0, 20, 5)] + [(20, y) for y in range(0, 20, 5)]
SQUARE += [(x, 20) for x in range(20, 0, -5)] + [(0, y) for y in range(20, 0, -5)]
TWO_LAPS = [at(float(x), float(y)) for x, y in SQUARE * 2]


def test_by_odometry_a_candidate_across_the_block_is_refused_and_the_place_itself_passes():
    drive = Drive(TWO_LAPS[:20], odometry_drift=0.05)
    drive.close(17, 1)
    drive.close(18, 2)

    assert drive.agreement_of(19, 3).outcome is Outcome.PASSED
    assert drive.agreement_of(19, 11).outcome is Outcome.REFUSED


def test_the_next_of_many_equal_cells_is_refused_by_the_closures_before_it():
    """Cells 5 m apart: drift over the lap would allow the next one, the way since the last closures does not."""
    lap = along_x(*range(40)) + along_x(*range(10))
    drive = Drive(lap)
    drive.close(42, 2)
    drive.close(43, 3)

    assert drive.odometry_of(44, 9).outcome is Outcome.PASSED
    assert drive.agreement_of(44, 4).outcome is Outcome.PASSED
    assert drive.agreement_of(44, 9).outcome is Outcome.REFUSED


def test_by_odometry_places_that_are_near_in_order_alone_do_not_agree():
    """Keyframe 5 is in the neighbourhood of 2 by order, but 60 m up the road."""
    far_apart = along_x(*range(0, 400, 20)) + along_x(0, 20, 40)
    drive = Drive(far_apart, odometry_drift=0.0)
    drive.close(20, 0)
    drive.close(21, 1)

    assert drive.agreement_of(22, 2).outcome is Outcome.PASSED
    assert drive.agreement_of(22, 5).outcome is Outcome.REFUSED
    blind = Drive([None] * 23)
    blind.close(20, 0)
    blind.close(21, 1)
    assert blind.agreement_of(22, 5).outcome is Outcome.PASSED


def test_a_metric_closure_tells_how_far_off_odometry_has_come():
    """Odometry has drifted 10 m to the side since the first lap; the closures have measured it."""
    drifted = TWO_LAPS[:16] + [at(0, 10.0) @ pose for pose in TWO_LAPS[16:20]]
    drive = Drive(drifted, odometry_drift=0.0, same_place_m=1.0)
    drive.close(17, 1, t_match_query=at(0, 0))
    drive.close(18, 2, t_match_query=at(0, 0))

    assert drive.agreement_of(19, 3).outcome is Outcome.PASSED
    assert drive.agreement_of(19, 7).outcome is Outcome.REFUSED
