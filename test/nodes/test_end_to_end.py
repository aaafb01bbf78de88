"""The whole path over DDS: player and detector as processes, against the same detector without ROS."""

import cv2
import numpy as np
import pytest
from ros_processes import EVERY_IMAGE, LATCHED, NODE, image_at
from sensor_msgs.msg import Image

from vpr_msgs.msg import Decision, Keyframe, LoopClosure
from vpr_ros.detection import LoopDetector, Settings
from vpr_ros.encoders import open_encoder
from vpr_ros.evaluation import run_recording
from vpr_ros.nodes.messages import decision_of, loop_closure_of
from vpr_ros.place_map import PlaceMap
from vpr_ros.sources import SourceOptions, open_source

RATE_HZ = 10
# The small office loop is only just long enough for a loop: a keyframe each image, and a short recent past.
CHOICES = {**EVERY_IMAGE, "exclude_recent_s": 0.5, "exclude_recent_keyframes": 8, "min_similarity": 0.3}


@pytest.fixture(scope="module")
def vga_office(office, tmp_path_factory):
    """The office loop at 640 x 480: 921,600 bytes an image, more than Fast DDS's shared memory takes at once."""
    folder = tmp_path_factory.mktemp("vga")
    for index, image in enumerate(office):
        large = cv2.resize(image, (640, 480), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{index:03}.png"), large[..., ::-1])
    return folder


@pytest.fixture
def offline(vga_office):
    """What the detector says of the same frames without ROS."""
    settings = Settings.from_values(CHOICES)
    encoder = open_encoder("gem-lite")
    options = SourceOptions(rate_hz=RATE_HZ)
    with open_source(str(vga_office), options) as source, PlaceMap.in_memory(encoder.recipe) as place_map:
        return run_recording(source, LoopDetector(encoder, place_map, settings))


def test_raw_images_at_10_hz_all_arrive_and_closures_equal_those_without_ros(start, peer, vga_office, offline):
    keyframes = peer.listen(Keyframe, f"{NODE}/keyframes", LATCHED)
    closures = peer.listen(LoopClosure, f"{NODE}/loop_closures", LATCHED)
    decisions = peer.listen(Decision, f"{NODE}/decisions")
    figures = peer.diagnostics()
    start(NODE, "--ros-args", "-r", "image:=camera/image_raw", autostart=True, queue_size=100, **CHOICES)
    peer.wait_until_active()

    player = start("bag_player_node", vga_office, "--rate-hz", RATE_HZ)
    peer.spin_until(lambda: figures().get("frames") == "28", "all images in diagnostics")
    peer.change("deactivate")
    peer.spin_until(lambda: len(decisions) == len(offline.decisions), "every decision")

    assert player.wait() == 0
    assert not [key for key in figures() if key.startswith("dropped")]
    assert len(keyframes) == 28
    assert offline.closures, "the comparison needs loops"
    heard = [loop_closure_of(message) for message in closures]
    assert [(c.query_id, c.match_id) for c in heard] == [(c.query_id, c.match_id) for c in offline.closures]
    assert [c.query_stamp_ns for c in heard] == [c.query_stamp_ns for c in offline.closures]
    assert np.allclose([c.similarity for c in heard], [c.similarity for c in offline.closures], atol=1e-6)
    said = [(d.query_id, d.match_id, d.accepted, d.stage, d.reason) for d in map(decision_of, decisions)]
    assert said == [(d.query_id, d.match_id, d.accepted, d.stage, d.reason) for d in offline.decisions]


def test_sigkill_in_mid_map_loses_no_acknowledged_keyframe(start, peer, office, tmp_path):
    path = tmp_path / "office.vprmap"
    keyframes = peer.listen(Keyframe, f"{NODE}/keyframes", LATCHED)
    node = start(NODE, autostart=True, map=str(path), publish_descriptors=True, queue_size=100, **EVERY_IMAGE)
    publisher = peer.publisher(Image, "image")
    for index in range(40):
        publisher.publish(image_at(index, office[index % 28]))
    peer.spin_until(lambda: len(keyframes) >= 7, "some keyframes")

    node.kill()
    peer.forget(node)
    peer.spin_for(1.0)

    assert 7 <= len(keyframes) < 40, "it was killed in the middle"
    encoder = open_encoder("gem-lite")
    with PlaceMap.open_or_create(path, encoder.recipe) as place_map:
        assert len(place_map) >= len(keyframes)
        stored = place_map.descriptors(np.array([keyframe.id for keyframe in keyframes]))
        assert np.array_equal(stored, np.array([keyframe.descriptor for keyframe in keyframes], np.float32))
        place_map.start_session()
        assert place_map.next_id == len(place_map)
