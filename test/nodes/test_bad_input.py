"""What comes in wrong is counted, shown, and ends nothing."""

import itertools
import math
import sqlite3

import pytest
from nav_msgs.msg import Odometry
from ros_processes import BEST_EFFORT, EVERY_IMAGE, LATCHED, NODE, image_at
from sensor_msgs.msg import CompressedImage, Image

from vpr_msgs.msg import Keyframe
from vpr_ros.core import Frame, Pose
from vpr_ros.detection import LoopDetector, Settings
from vpr_ros.encoders import open_encoder
from vpr_ros.evaluation import open_map
from vpr_ros.nodes.messages import header_of, odometry_message


@pytest.fixture
def active(start, peer):
    """Start an active node with parameters; returns its keyframes and its newest diagnostics."""

    def begin(**parameters):
        node = start(NODE, autostart=True, **{"queue_size": 100, **EVERY_IMAGE, **parameters})
        return node, peer.listen(Keyframe, f"{NODE}/keyframes", LATCHED), peer.diagnostics()

    return begin


def spoilt(message, **changes):
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_bad_images_are_counted_by_cause_and_good_ones_still_become_keyframes(active, peer, office):
    node, keyframes, figures = active()
    publisher = peer.publisher(Image, "image")

    publisher.publish(image_at(0, office[0]))
    publisher.publish(image_at(1, office[1], encoding="rgb3"))
    publisher.publish(spoilt(image_at(2, office[2]), data=image_at(2, office[2]).data[:1000]))
    publisher.publish(spoilt(image_at(3, office[3]), height=0, width=0, data=b""))
    publisher.publish(image_at(4, office[4]))
    publisher.publish(image_at(2, office[5]))
    publisher.publish(image_at(5, office[5][::2, ::2]))
    peer.spin_until(lambda: len(keyframes) == 3, "keyframes of the good images")
    peer.spin_until(lambda: figures().get("keyframes") == "3", "diagnostics of the good images")

    assert figures()["images"] == "7"
    assert figures()["dropped: corrupt image"] == "2"
    assert figures()["dropped: bad frame"] == "1"
    assert figures()["dropped: stamp backwards"] == "1"
    assert int(figures()["noticed: image size changed"]) >= 1
    assert "corrupt image" in figures()["message"]
    assert figures()["last error"]
    assert "rgb3" in node.words


def test_compressed_images_are_taken_and_corrupt_ones_counted(active, peer, images):
    _, keyframes, figures = active(image_transport="compressed")
    publisher = peer.publisher(CompressedImage, "image/compressed")
    jpegs = [file.read_bytes() for file in sorted((images / "office").glob("*.jpg"))[:2]]

    for index, jpeg in enumerate([jpegs[0], b"no image at all", jpegs[1]]):
        publisher.publish(CompressedImage(header=header_of(index * 10**8, "camera"), format="jpeg", data=jpeg))

    peer.spin_until(lambda: len(keyframes) == 2, "keyframes of the two images")
    peer.spin_until(lambda: figures().get("dropped: corrupt image") == "1", "the corrupt one in diagnostics")


def test_odometry_without_a_number_is_counted_and_the_image_goes_without(active, peer, office):
    _, keyframes, figures = active(sync_wait_s=0.1)
    odometry = peer.publisher(Odometry, "odom")
    publisher = peer.publisher(Image, "image")
    broken = Odometry(header=header_of(0, "odom"), child_frame_id="camera")
    broken.pose.pose.position.x = math.nan

    odometry.publish(broken)
    publisher.publish(image_at(0, office[0]))

    peer.spin_until(lambda: figures().get("dropped: bad odometry") == "1", "the odometry in diagnostics")
    peer.spin_until(lambda: len(keyframes) == 1, "the keyframe")
    assert math.isnan(keyframes[0].odometry.position.x)


def test_a_clock_that_is_set_back_begins_a_new_session(active, peer, office):
    """As `ros2 bag play --loop` does it; two images are spent on making sure that it is no stray."""
    node, keyframes, _ = active()
    publisher = peer.publisher(Image, "image")

    for index in (50, 51, 0, 1, 2, 3):
        publisher.publish(image_at(index, office[index % 14]))

    peer.spin_until(lambda: len(keyframes) == 4, "keyframes before and after")
    assert [keyframe.session for keyframe in keyframes] == [0, 0, 1, 1]
    assert "the clock was set back" in node.words


def test_a_best_effort_publisher_is_followed(active, peer, office):
    _, keyframes, _ = active()
    small = office[0][::4, ::4]
    publisher = peer.publisher(Image, "image", BEST_EFFORT)

    publisher.publish(image_at(0, small))

    peer.spin_until(lambda: len(keyframes) == 1, "a keyframe of a best-effort image")


def test_a_full_queue_drops_the_oldest_and_counts_it(active, peer, office):
    _, keyframes, figures = active(queue_size=1)
    publisher = peer.publisher(Image, "image")

    for index in range(40):
        publisher.publish(image_at(index, office[index % 28]))

    def settled():
        values = figures()
        return values.get("images") == "40" and int(values["frames"]) + int(values["dropped: queue full"]) == 40

    peer.spin_until(settled, "every image is a frame or a counted drop")
    assert int(figures()["dropped: queue full"]) > 0
    peer.spin_until(lambda: len(keyframes) == int(figures()["frames"]), "a keyframe of each frame")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (None, "nobody publishes it"),
        (CompressedImage, "sensor_msgs/msg/CompressedImage, expected sensor_msgs/msg/Image"),
    ],
    ids=["nobody", "wrong type"],
)
def test_a_silence_is_explained(active, peer, kind, said):
    node, _, figures = active(silence_warning_s=1.0)
    if kind is not None:
        peer.node.create_publisher(kind, "image", 5)

    peer.spin_until(lambda: said in figures().get("message", ""), f"'{said}' in diagnostics")

    assert "no image on" in node.words
    assert said in node.words


def test_a_silence_of_a_best_effort_publisher_names_cause_and_cure(active, peer):
    node, _, figures = active(silence_warning_s=1.0)
    peer.node.create_publisher(Image, "image", BEST_EFFORT)

    peer.spin_until(lambda: "best effort" in figures().get("message", ""), "the cause in diagnostics")

    assert "512 KiB" in node.words
    assert "FASTDDS_BUILTIN_TRANSPORTS" in node.words


def test_odometry_of_another_time_is_told_in_seconds(active, peer, office):
    node, _, figures = active(silence_warning_s=1.0, sync_wait_s=0.0)
    odometry = peer.publisher(Odometry, "odom")
    publisher = peer.publisher(Image, "image")
    indices = itertools.count()

    def told():
        index = next(indices)
        publisher.publish(image_at(index, office[0]))
        odometry.publish(odometry_message(Pose.identity(), header_of((index + 70) * 10**8, "odom"), "camera"))
        return "belongs to the images" in figures().get("message", "")

    peer.spin_until(told, "the gap in diagnostics")
    assert "odom is later" in node.words


def test_the_node_watches_and_reports_under_simulated_time_without_a_clock(active, peer):
    """Timers of the node's clock would stand still just when nothing arrives."""
    node, _, figures = active(use_sim_time=True, silence_warning_s=1.0)

    peer.spin_until(lambda: "nobody publishes it" in figures().get("message", ""), "the complaint in diagnostics")
    assert "no image on" in node.words


def test_a_place_that_is_damaged_in_the_map_is_shown_and_costs_no_frame(active, peer, office, tmp_path):
    path = tmp_path / "office.vprmap"
    settings = Settings.from_values({**EVERY_IMAGE, "map": str(path)})
    encoder = open_encoder("mixvpr-lite")
    with open_map(settings, encoder.recipe) as place_map:
        detector = LoopDetector(encoder, place_map, settings)
        for index, image in enumerate(office):
            detector.observe(Frame(index, index * 10**8, image))
    with sqlite3.connect(path / "map.sqlite3") as disk:
        disk.execute("UPDATE places SET patches = x'00'")
    _, keyframes, figures = active(map=str(path), mode="localization")
    publisher = peer.publisher(Image, "image")

    for index, image in enumerate(office):
        publisher.publish(image_at(index, image))

    peer.spin_until(lambda: len(keyframes) == len(office), "a keyframe of each image")
    peer.spin_until(lambda: int(figures().get("noticed: damaged place", "0")) >= 3, "the damage in diagnostics")
