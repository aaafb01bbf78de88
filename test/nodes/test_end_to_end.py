"""The whole path over DDS: player and detector as processes, against the same detector without ROS."""

import cv2
import numpy as np
import pytest
from ros_processes import EVERY_IMAGE, LATCHED, NODE, image_at
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import Image

from vpr_msgs.msg import Decision, Keyframe, LoopClosure
from vpr_ros.detection import LoopDetector, Settings
from vpr_ros.encoders import open_encoder
from vpr_ros.evaluation import run_recording
from vpr_ros.nodes.messages import decision_of, loop_closure_of, odometry_of
from vpr_ros.place_map import PlaceMap
from vpr_ros.sources import SourceOptions, open_source
from vpr_ros.sources.messages import stamp_ns_of

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
    encoder = open_encoder("mixvpr-lite")
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
    encoder = open_encoder("mixvpr-lite")
    with PlaceMap.open_or_create(path, encoder.recipe) as place_map:
        assert len(place_map) >= len(keyframes)
        stored = place_map.descriptors(np.array([keyframe.id for keyframe in keyframes]))
        assert np.array_equal(stored, np.array([keyframe.descriptor for keyframe in keyframes], np.float32))
        place_map.start_session()
        assert place_map.next_id == len(place_map)


def test_odometry_comes_beside_large_images_and_keyframes_are_those_without_ros(start, peer):
    """In Fast DDS's default shared memory one image leaves no room for the odometry beside it."""
    encoder = open_encoder("mixvpr-lite")
    with (
        open_source("sim:ring", SourceOptions(to_s=8.0)) as source,
        PlaceMap.in_memory(encoder.recipe) as place_map,
    ):
        offline = run_recording(source, LoopDetector(encoder, place_map, Settings()))
    keyframes = peer.listen(Keyframe, f"{NODE}/keyframes", LATCHED)
    figures = peer.diagnostics()
    topics = {"image": "image_raw", "camera_info": "camera_info", "depth": "depth"}
    remapped = [part for name, topic in topics.items() for part in ("-r", f"{name}:=camera/{topic}")]
    start(NODE, "--ros-args", *remapped, autostart=True, queue_size=100)
    peer.wait_until_active()

    player = start("bag_player_node", "sim:ring", "--to-s", "8")
    peer.spin_until(lambda: figures().get("frames") == str(offline.frames), "all images in diagnostics")
    peer.spin_until(lambda: len(keyframes) >= len(offline.keyframes), "all keyframes")

    assert player.wait() == 0
    assert [stamp_ns_of(k.header.stamp) for k in keyframes] == [k.stamp_ns for k in offline.keyframes]
    for heard, seen in zip(keyframes, offline.keyframes, strict=True):
        assert np.allclose(odometry_of(heard).matrix, seen.t_odom_camera.matrix, atol=1e-9)


def test_depth_comes_beside_the_images_and_closures_are_metric_like_those_without_ros(start, peer, shared_data):
    recording = shared_data / "fr1_rpy"
    encoder = open_encoder("mixvpr-lite")
    with (
        open_source(str(recording), SourceOptions(to_s=13.0)) as source,
        PlaceMap.in_memory(encoder.recipe) as place_map,
    ):
        offline = run_recording(source, LoopDetector(encoder, place_map, Settings()))
    assert offline.closures, "the comparison needs loops"
    assert all(closure.metric for closure in offline.closures)
    closures = peer.listen(LoopClosure, f"{NODE}/loop_closures", LATCHED)
    figures = peer.diagnostics()
    topics = {"image": "image_raw", "camera_info": "camera_info", "depth": "depth"}
    remapped = [part for name, topic in topics.items() for part in ("-r", f"{name}:=camera/{topic}")]
    start(NODE, "--ros-args", *remapped, autostart=True, queue_size=200)
    peer.wait_until_active()

    player = start("bag_player_node", recording, "--to-s", "13", "--rate", "2")
    peer.spin_until(lambda: figures().get("frames") == str(offline.frames), "all images in diagnostics")
    peer.change("deactivate")
    peer.spin_until(lambda: len(closures) >= len(offline.closures), "all closures")

    assert player.wait() == 0
    for heard, said in zip(map(loop_closure_of, closures), offline.closures, strict=True):
        assert (heard.query_id, heard.match_id, heard.metric) == (said.query_id, said.match_id, True)
        assert np.allclose(heard.t_match_query.matrix, said.t_match_query.matrix, atol=1e-6)
        assert np.allclose(heard.covariance, said.covariance, rtol=1e-6, atol=1e-12)


def test_a_recorded_bag_is_played_as_it_was_recorded(start, peer, images, tmp_path):
    """The player hands on compressed images undecoded; the node sees each of them."""
    bag = tmp_path / "office_bag"
    files = sorted((images / "office").glob("*.jpg"))[:10]
    store = get_typestore(Stores.ROS2_HUMBLE)
    kind = "sensor_msgs/msg/CompressedImage"
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/front/image/compressed", kind, typestore=store)
        for index, file in enumerate(files):
            stamp_ns = 10**18 + index * 10**8
            header = store.types["std_msgs/msg/Header"](
                stamp=store.types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9),
                frame_id="front",
            )
            message = store.types[kind](header=header, format="jpeg", data=np.frombuffer(file.read_bytes(), np.uint8))
            writer.write(connection, stamp_ns, store.serialize_cdr(message, kind))
    keyframes = peer.listen(Keyframe, f"{NODE}/keyframes", LATCHED)
    remapped = ("-r", "image:=camera/image_raw")
    start(NODE, "--ros-args", *remapped, autostart=True, queue_size=100, image_transport="compressed", **EVERY_IMAGE)
    peer.wait_until_active()

    player = start("bag_player_node", bag)
    peer.spin_until(lambda: len(keyframes) == len(files), "a keyframe of each image")

    assert player.wait() == 0
    assert "played 10 images" in player.words
