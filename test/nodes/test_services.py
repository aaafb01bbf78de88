"""The questions a node answers."""

import numpy as np
import pytest
from ros_processes import EVERY_IMAGE, LATCHED, NODE, STEP_NS, image_at
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from vpr_msgs.msg import Keyframe
from vpr_msgs.srv import FindPlaces, Relocalize
from vpr_ros.place_map import PlaceMap
from vpr_ros.sources.messages import stamp_ns_of

FIRST_LAP = 14


@pytest.fixture
def mapped(start, peer, office, tmp_path):
    """A node that has seen the first lap and stored it; returns its publisher of images and its keyframes."""
    start(
        NODE,
        autostart=True,
        map=str(tmp_path / "office.vprmap"),
        publish_descriptors=True,
        queue_size=50,
        **EVERY_IMAGE,
    )
    keyframes = peer.listen(Keyframe, f"{NODE}/keyframes", LATCHED)
    publisher = peer.publisher(Image, "image")
    for index, image in enumerate(office[:FIRST_LAP]):
        publisher.publish(image_at(index, image))
    peer.spin_until(lambda: len(keyframes) == FIRST_LAP, "a keyframe of each image")
    return publisher, keyframes


def test_places_are_found_by_image_by_descriptor_and_by_what_the_camera_sees_now(mapped, peer, office):
    _, keyframes = mapped
    newest = FIRST_LAP - 1

    by_image = peer.call(FindPlaces, "find_places", FindPlaces.Request(image=image_at(99, office[3]), k=3))
    by_descriptor = peer.call(FindPlaces, "find_places", FindPlaces.Request(descriptor=keyframes[5].descriptor, k=20))
    by_newest = peer.call(FindPlaces, "find_places", FindPlaces.Request())

    assert by_image.ids[0] == 3
    assert by_image.similarities[0] == pytest.approx(1, abs=1e-4)
    assert stamp_ns_of(by_image.stamps[0]) == 3 * STEP_NS
    assert len(by_image.ids) == len(by_image.stamps) == len(by_image.sessions) == 3
    descriptors = np.array([keyframe.descriptor for keyframe in keyframes])
    assert list(by_descriptor.ids) == list(np.argsort(-(descriptors @ descriptors[5]), kind="stable"))
    assert list(by_newest.ids) == [newest]


def test_relocalization_names_the_place_or_says_that_it_is_unknown(mapped, peer, office):
    seen = peer.call(Relocalize, "relocalize", Relocalize.Request(image=image_at(99, office[6]), max_hypotheses=2))
    grey = peer.call(Relocalize, "relocalize", Relocalize.Request(image=image_at(99, np.full_like(office[0], 128))))

    assert seen.known == bool(len(seen.match_ids)) == bool(len(seen.poses)) == bool(len(seen.probabilities))
    if seen.known:
        assert seen.match_ids[0] == 6
        assert np.isnan(seen.poses[0].pose.pose.position.x), "without odometry a place has no pose"
        assert seen.poses[0].pose.covariance[0] == -1
    assert "6" in seen.reason
    assert not grey.known
    assert not grey.match_ids
    assert "unknown place" in grey.reason


@pytest.mark.parametrize(
    ("request_of", "said"),
    [
        (lambda office: FindPlaces.Request(descriptor=[1.0, 0.0]), "descriptor"),
        (lambda office: FindPlaces.Request(image=image_at(0, office[0], encoding="rgb3")), "rgb3"),
    ],
)
def test_a_wrong_request_is_answered_with_what_is_wrong_and_the_node_lives_on(mapped, peer, office, request_of, said):
    answer = peer.call(FindPlaces, "find_places", request_of(office))

    assert said in answer.error
    assert not answer.ids
    assert peer.call(FindPlaces, "find_places", FindPlaces.Request()).ids


def test_before_the_first_image_the_newest_is_none(start, peer):
    start(NODE, autostart=True)
    peer.wait_until_active()

    answer = peer.call(Relocalize, "relocalize", Relocalize.Request())

    assert not answer.known
    assert "none has come" in answer.reason


def test_a_session_can_be_started_and_the_map_put_whole_into_its_file(mapped, peer, office, tmp_path):
    publisher, keyframes = mapped

    began = peer.call(Trigger, "start_session", Trigger.Request())
    publisher.publish(image_at(FIRST_LAP, office[FIRST_LAP]))
    peer.spin_until(lambda: len(keyframes) == FIRST_LAP + 1, "the first keyframe of the new session")
    whole = peer.call(Trigger, "checkpoint_map", Trigger.Request())

    assert began.success
    assert keyframes[-1].session == keyframes[0].session + 1
    assert whole.success
    assert str(FIRST_LAP + 1) in whole.message
    copy = tmp_path / "copy.vprmap"
    copy.mkdir()
    (copy / "map.sqlite3").write_bytes((tmp_path / "office.vprmap" / "map.sqlite3").read_bytes())
    with PlaceMap.open(copy, read_only=True) as place_map:
        assert len(place_map) == FIRST_LAP + 1


def test_an_inactive_node_refuses_a_session_with_a_reason(start, peer):
    start(NODE)
    assert peer.change("configure")

    answer = peer.call(Trigger, "start_session", Trigger.Request())

    assert not answer.success
    assert "not active" in answer.message
