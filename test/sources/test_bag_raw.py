"""What a player publishes of a bag."""

import cv2
import numpy as np
import pytest
from bag_writing import (
    MS,
    START_NS,
    STORE,
    camera_info,
    compressed_depth,
    image_message,
    odometry,
    static_transform,
    write_raw,
    write_rosbag1,
    write_rosbag2,
)

from vpr_ros.sources import SourceOptions
from vpr_ros.sources.bag import BagSource

PLAYED = {"image": "/camera/image_raw", "camera_info": "/camera/camera_info", "depth": "/camera/depth", "odom": "/odom"}


@pytest.fixture(scope="module")
def recording(images):
    """Six images at 10 Hz with one calibration at the start, compressed depth, and odometry at 20 Hz on a curve."""
    paths = sorted((images / "office").glob("*.jpg"))[:6]
    pixels = [cv2.resize(cv2.imread(str(path))[:, :, ::-1], (160, 120)) for path in paths]
    units = np.arange(120 * 160, dtype=np.uint16).reshape(120, 160)
    messages = [
        ("/tf_static", static_transform("base_link", "cam_optical", (0.3, 0.1, 0.5)), 0),
        ("/cam/camera_info", camera_info(0, 160, 120), 0),
    ]
    messages += [("/odom", odometry(i * 50 * MS, i * 0.05, 0.02 * i), i * 50 * MS + 5 * MS) for i in range(14)]
    for i, image in enumerate(pixels):
        at_ns = i * 100 * MS
        messages += [("/cam/image_raw", image_message(image, at_ns), at_ns + 30 * MS)]
        messages += [("/cam/depth/compressedDepth", compressed_depth(units, at_ns), at_ns + 40 * MS)]
    return messages


def raw_of(path, **options):
    with BagSource.open(path, str(path), SourceOptions(**options)) as source:
        return list(source.raw_messages())


def frames_of(path, **options):
    with BagSource.open(path, str(path), SourceOptions(**options)) as source:
        return list(source.frames())


@pytest.mark.parametrize("options", [{}, {"from_s": 0.15, "to_s": 0.4}], ids=["whole", "part"])
@pytest.mark.parametrize("write", [write_rosbag2, write_rosbag1])
def test_what_is_played_gives_the_frames_that_the_bag_gives(tmp_path, recording, write, options):
    path = write(tmp_path / "recorded.bag", recording) if write is write_rosbag1 else write(tmp_path / "bag", recording)
    played = write_raw(tmp_path / "played", raw_of(path, **options), PLAYED)

    expected, seen = frames_of(path, **options), frames_of(played)

    assert [f.stamp_ns for f in seen] == [f.stamp_ns for f in expected]
    for ours, theirs in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)
        np.testing.assert_array_equal(ours.depth_m, theirs.depth_m)
        assert ours.camera == theirs.camera
        assert ours.camera is not None
        assert ours.t_odom_camera.distance_m(theirs.t_odom_camera) < 1e-4
        assert ours.t_odom_camera.angle_rad(theirs.t_odom_camera) < 1e-6


def test_messages_come_in_recorded_order_and_due_when_they_were_recorded(tmp_path, recording):
    raw = raw_of(write_rosbag2(tmp_path / "bag", recording))

    assert [r.stamp_ns for r in raw] == sorted(r.stamp_ns for r in raw)
    assert [r.stamp_ns - START_NS for r in raw if r.topic_role == "image"] == [(i * 100 + 30) * MS for i in range(6)]
    assert {r.topic_role: r.msgtype for r in raw} == {
        "image": "sensor_msgs/msg/Image",
        "camera_info": "sensor_msgs/msg/CameraInfo",
        "depth": "sensor_msgs/msg/Image",
        "odom": "nav_msgs/msg/Odometry",
    }


def test_the_bytes_of_ros_2_images_are_the_recorded_ones(tmp_path, recording):
    raw = raw_of(write_rosbag2(tmp_path / "bag", recording))

    recorded = [bytes(STORE.serialize_cdr(m, m.__msgtype__)) for topic, m, _ in recording if topic == "/cam/image_raw"]
    assert [r.cdr for r in raw if r.topic_role == "image"] == recorded


def test_odometry_of_unknown_mounting_is_passed_as_it_is(tmp_path, recording):
    without = [message for message in recording if message[0] != "/tf_static"]
    raw = raw_of(write_rosbag2(tmp_path / "bag", without))

    recorded = [bytes(STORE.serialize_cdr(m, m.__msgtype__)) for topic, m, _ in without if topic == "/odom"]
    assert [r.cdr for r in raw if r.topic_role == "odom"] == recorded


def test_odometry_of_known_mounting_is_the_camera_s(tmp_path, recording):
    raw = raw_of(write_rosbag2(tmp_path / "bag", recording))

    first = next(r for r in raw if r.topic_role == "odom")
    message = STORE.deserialize_cdr(first.cdr, first.msgtype)
    position = message.pose.pose.position
    assert message.child_frame_id == "cam_optical"
    assert (position.x, position.y, position.z) == pytest.approx((0.3, 0.1, 0.5))


def test_an_empty_message_is_counted_and_never_published(tmp_path, recording):
    """An empty payload would block every subscriber of the topic."""
    images = [message for message in recording if message[0] == "/cam/image_raw"]
    folder = write_rosbag2(tmp_path / "bag", images, spoil={1: lambda cdr: b"", 3: lambda cdr: cdr[:3]})

    with BagSource.open(folder, "bag", SourceOptions()) as source:
        assert len(list(source.raw_messages())) == 4
    assert source.drops == {"corrupt message": 2}
