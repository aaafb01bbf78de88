"""Why nothing arrives, in words."""

import dataclasses

import pytest

from vpr_ros.nodes.watchdog import InputFacts, Publisher, Watchdog, why_silent, why_unmatched

IMAGE = InputFacts(
    name="image",
    topic="/cam/image",
    type_name="sensor_msgs/msg/Image",
    is_reliable=True,
    received=0,
    publishers=(),
)


def image_from(*publishers, **changes):
    return dataclasses.replace(IMAGE, publishers=publishers, **changes)


def test_a_topic_that_nobody_publishes_is_named_with_those_that_are():
    words = why_silent(IMAGE, 5.2, ["/front/image_raw"])

    assert "no image on /cam/image for 5 s" in words
    assert "nobody publishes it" in words
    assert "/front/image_raw" in words
    assert "image:=" in words


def test_a_topic_of_another_type_is_named_with_both_types():
    words = why_silent(image_from(Publisher("/cam", "sensor_msgs/msg/CompressedImage", is_reliable=True)), 5, [])

    assert "sensor_msgs/msg/CompressedImage" in words
    assert "expected sensor_msgs/msg/Image" in words
    assert "image_transport: compressed" in words


def test_a_best_effort_publisher_is_named_with_the_cause_and_the_setting_that_mends_it():
    words = why_silent(
        image_from(Publisher("/cam", IMAGE.type_name, is_reliable=False), is_reliable=False), 5, ["/cam/image"]
    )

    assert "/cam publishes it best effort" in words
    assert "512 KiB" in words
    assert "FASTDDS_BUILTIN_TRANSPORTS" in words


def test_a_reliable_publisher_that_is_silent_is_said_to_be_so():
    words = why_silent(image_from(Publisher("/cam", IMAGE.type_name, is_reliable=True)), 5, ["/cam/image"])

    assert "/cam publishes it reliably" in words
    assert "sends nothing" in words


@pytest.mark.parametrize(("depth_ns", "said"), [(2_500_000_000, "1.500 s apart"), (250_000_000, "0.750 s apart")])
def test_stamps_that_do_not_meet_are_told_apart_in_seconds(depth_ns, said):
    depth = InputFacts(
        name="depth",
        topic="/cam/depth",
        type_name="sensor_msgs/msg/Image",
        is_reliable=True,
        received=9,
        publishers=(Publisher("/cam", "sensor_msgs/msg/Image", is_reliable=True),),
        newest_ns=depth_ns,
        tolerance_s=0.02,
    )

    words = why_unmatched(image_from(newest_ns=1_000_000_000, received=9), depth)

    assert said in words
    assert "at most 0.02 s is allowed" in words


def test_a_complaint_is_repeated_each_minute_and_at_once_after_all_was_well():
    now, said = [0.0], []
    watchdog = Watchdog(5.0, said.append, steady_s=lambda: now[0])

    for now[0] in (4.9, 5.0, 6.0, 64.9, 65.1):
        if watchdog.is_overdue():
            watchdog.complain("image", "nothing comes")
    assert len(said) == 2

    watchdog.image_came()
    watchdog.be_content()
    assert not watchdog.complaint
    now[0] = 71.0
    watchdog.complain("image", "nothing comes")
    assert len(said) == 3


def test_an_input_is_unmatched_only_after_the_patience_is_over():
    now = [0.0]
    watchdog = Watchdog(5.0, lambda words: None, steady_s=lambda: now[0])

    assert not watchdog.is_unmatched("depth", has_match=False)
    now[0] = 3.0
    assert not watchdog.is_unmatched("depth", has_match=True)
    now[0] = 7.9
    assert not watchdog.is_unmatched("depth", has_match=False)
    now[0] = 8.0
    assert watchdog.is_unmatched("depth", has_match=False)
