"""What is drawn for whoever watches: keyframes blue, closures by how sure they are."""

import numpy as np
import pytest
from ros_processes import EVERY_IMAGE, NODE, STEP_NS, image_at
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from vpr_ros.core import Frame
from vpr_ros.detection import LoopDetector, Settings
from vpr_ros.encoders import open_encoder
from vpr_ros.evaluation import open_map
from vpr_ros.nodes.pictures import LoopLine, certainty, markers

ORIGIN, AHEAD = np.zeros(3), np.array([1.0, 2.0, 3.0])


def drawn(*certainties):
    loops = [LoopLine(ORIGIN, AHEAD, value) for value in certainties]
    return markers(Header(frame_id="map"), np.array([ORIGIN, AHEAD]), loops).markers


def rgb(color):
    return np.array([color.r, color.g, color.b])


def test_keyframes_are_blue_spheres_where_they_were_seen():
    keyframes, _ = drawn()

    assert keyframes.type == Marker.SPHERE_LIST
    assert [(p.x, p.y, p.z) for p in keyframes.points] == [(0, 0, 0), (1, 2, 3)]
    assert rgb(keyframes.color).argmax() == 2


def test_a_closure_is_green_where_it_is_sure_yellow_between_and_red_where_it_was_barely_accepted():
    _, lines = drawn(1.0, 0.5, 0.0)

    green, yellow, red = (rgb(lines.colors[2 * n]) for n in range(3))
    assert green[1] > 0.8 > 0.2 > green[0]
    assert yellow[0] > 0.8 > 0.2 > yellow[2]
    assert yellow[1] > 0.8
    assert red[0] > 0.8 > 0.2 > red[1]


def test_each_end_of_a_closure_has_its_colour_and_is_opaque():
    _, lines = drawn(1.0, 0.2)

    assert len(lines.colors) == len(lines.points) == 4
    assert lines.colors[0] == lines.colors[1] != lines.colors[2] == lines.colors[3]
    assert {color.a for color in lines.colors} == {1.0}


@pytest.mark.parametrize(
    ("probability", "least", "expected"),
    [(0.8, 0.8, 0.0), (0.9, 0.8, 0.5), (1.0, 0.8, 1.0), (0.5, 0.8, 0.0), (1.0, 1.0, 1.0), (0.7, 0.0, 0.7)],
)
def test_certainty_runs_from_the_least_that_is_accepted_to_one(probability, least, expected):
    assert certainty(probability, least) == pytest.approx(expected)


@pytest.mark.parametrize("mode", ["mapping", "localization"])
def test_who_looks_sees_the_images_of_a_closure_joined_by_what_matched(start, peer, office, tmp_path, mode):
    """The office loop is driven once and then again: in localization, the map of the first lap is only read."""
    path = tmp_path / "office.vprmap"
    if mode == "localization":
        settings = Settings.from_values({**EVERY_IMAGE, "map": str(path)})
        encoder = open_encoder("mixvpr-lite")
        with open_map(settings, encoder.recipe) as place_map:
            detector = LoopDetector(encoder, place_map, settings)
            for index, image in enumerate(office):
                detector.observe(Frame(image=image, stamp_ns=index * STEP_NS, index=index))
    pictures = peer.listen(Image, f"{NODE}/match_image")
    start(NODE, autostart=True, map=str(path), mode=mode, queue_size=100, **EVERY_IMAGE, target_precision=0.5)
    publisher = peer.publisher(Image, "image")
    for index in range(2 * len(office)):
        publisher.publish(image_at(index, office[index % len(office)]))

    peer.spin_until(lambda: pictures, "a picture of a closure")

    picture = np.frombuffer(pictures[0].data, np.uint8).reshape(pictures[0].height, pictures[0].width, 3)
    assert pictures[0].encoding == "rgb8"
    assert pictures[0].height == 240 + 20, "a caption of one line: it has inliers"
    assert (np.ptp(picture.astype(int), axis=2) > 150).mean() > 0.005, "lines in bright colours"
