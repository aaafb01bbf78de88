"""Which topics of a bag are read."""

import pytest

from vpr_ros.sources import SourceError, SourceOptions
from vpr_ros.sources.bag_reader import Topic
from vpr_ros.sources.bag_topics import choose_topics

TYPES = {
    "image": "sensor_msgs/msg/Image",
    "compressed": "sensor_msgs/msg/CompressedImage",
    "info": "sensor_msgs/msg/CameraInfo",
    "odom": "nav_msgs/msg/Odometry",
    "lidar": "sensor_msgs/msg/PointCloud2",
    "tf": "tf2_msgs/msg/TFMessage",
}


def choose(*topics, **options):
    """Choose among "kind /name" texts; a topic with depth in its name is depth."""
    pairs = [text.split() for text in topics]
    everything = [Topic(name, TYPES[kind], 5) for kind, name in pairs]
    return choose_topics(everything, SourceOptions(**options), lambda topic: "depth" in topic.name)


def name(topic):
    return topic and topic.name


def test_the_only_topics_of_each_kind_are_taken():
    chosen = choose("image /image", "info /camera_info", "image /depth", "odom /odom", "lidar /points", "tf /tf_static")

    assert chosen.names == ["/image", "/camera_info", "/depth", "/odom"]
    assert chosen.static_transforms == ("/tf_static",)


def test_of_several_cameras_the_one_with_a_calibration_beside_it_is_taken():
    chosen = choose("image /debug/overlay", "image /front/image_raw", "info /front/camera_info")

    assert name(chosen.image) == "/front/image_raw"


def test_several_cameras_are_an_error_that_lists_them_with_their_types():
    with pytest.raises(
        SourceError, match=r"choose with --image-topic: /l/image \(sensor_msgs/msg/Image, 5\), /r/image"
    ):
        choose("image /l/image", "info /l/camera_info", "image /r/image", "info /r/camera_info")


def test_the_named_topic_is_taken_with_its_own_calibration_and_without_a_slash_too():
    chosen = choose(
        "image /l/image", "info /l/camera_info", "image /r/image", "info /r/camera_info", image_topic="r/image"
    )

    assert (name(chosen.image), name(chosen.info)) == ("/r/image", "/r/camera_info")


def test_a_raw_image_wins_over_its_compressed_copy_which_is_taken_where_it_is_alone():
    both = choose("compressed /cam/image_raw/compressed", "image /cam/image_raw", "info /cam/camera_info")
    alone = choose("compressed /cam/image_raw/compressed", "info /cam/camera_info")

    assert name(both.image) == "/cam/image_raw"
    assert (name(alone.image), name(alone.info)) == ("/cam/image_raw/compressed", "/cam/camera_info")


def test_a_calibration_above_the_camera_or_the_only_one_is_taken_but_not_another_camera_s():
    above = choose("image /cam/color/image_raw", "info /cam/camera_info")
    only = choose("image /cam0/image_raw", "info /calibration/cam0_info")
    of_depth = choose("image /cam/color/image_raw", "image /cam/depth/image", "info /cam/depth/camera_info")

    assert name(above.info) == "/cam/camera_info"
    assert name(only.info) == "/calibration/cam0_info"
    assert of_depth.info is None


def test_several_depth_or_odometry_topics_are_an_error_and_an_empty_name_wants_none():
    topics = ("image /image", "image /a/depth", "image /b/depth", "odom /wheels", "odom /visual")
    with pytest.raises(SourceError, match=r"several depth topics, .* --depth-topic \('' for none\): /a/depth"):
        choose(*topics)
    with pytest.raises(SourceError, match=r"several odom topics, .* --odom-topic"):
        choose(*topics, depth_topic="/a/depth")

    chosen = choose(*topics, depth_topic="", odom_topic="/wheels")

    assert chosen.names == ["/image", "/wheels"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"image_topic": "/points"}, "is a sensor_msgs/msg/PointCloud2, expected sensor_msgs/msg/Image or .*: /image"),
        (
            {"image_topic": "/imag"},
            r"no topic /imag, expected one of type .*; it has /image \(sensor_msgs/msg/Image, 5\)",
        ),
        ({"info_topic": "/image"}, "is a sensor_msgs/msg/Image, expected sensor_msgs/msg/CameraInfo; there are: none"),
        ({"odom_topic": "/image"}, "is a sensor_msgs/msg/Image, expected nav_msgs/msg/Odometry"),
        ({"depth_topic": "/absent"}, "no topic /absent"),
    ],
)
def test_a_wrong_topic_is_told_with_what_it_is_and_what_there_is(options, sentence):
    with pytest.raises(SourceError, match=sentence):
        choose("image /image", "lidar /points", **options)


def test_a_bag_without_images_is_told_with_what_it_holds():
    with pytest.raises(
        SourceError, match=r"holds no images, expected .*; it has /points \(sensor_msgs/msg/PointCloud2, 5\)"
    ):
        choose("lidar /points", "image /depth")
