"""Settings as ROS parameters."""

from dataclasses import replace

import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter

from vpr_ros.core.settings import SettingsError, settings_of
from vpr_ros.detection import SETTING_GROUPS, Settings
from vpr_ros.nodes.parameters import Parameters


@pytest.fixture
def declared(ros_context):
    """Return the parameters of a node that was started with values from a file or the command line."""
    nodes = []

    def declare(**values):
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = Node(
            f"parameters_{len(nodes)}",
            parameter_overrides=overrides,
            automatically_declare_parameters_from_overrides=True,
        )
        nodes.append(node)
        return Parameters(node), node

    yield declare
    for node in nodes:
        node.destroy_node()


def test_without_a_file_the_defaults_of_the_code_hold(declared):
    parameters, _ = declared()

    assert parameters.read() == Settings()


def test_a_value_that_is_given_counts_as_given_be_it_the_default(declared):
    default = Settings().thresholds
    parameters, node = declared(min_similarity=default.min_similarity)
    node.set_parameters([Parameter("min_margin", value=default.min_margin)])

    settings = parameters.read()

    assert settings.given == {"min_similarity", "min_margin"}
    assert settings.thresholds == default


def test_of_several_set_at_once_a_wrong_one_leaves_none_as_given(declared):
    parameters, node = declared()

    refused = node.set_parameters_atomically([Parameter("min_margin", value=0.1), Parameter("queue_size", value=0)])

    assert not refused.successful
    assert parameters.read().given == set()


def test_what_holds_is_shown_where_nothing_was_set_and_does_not_count_as_set(declared):
    parameters, node = declared(min_margin=0.1)
    holds = replace(Settings().thresholds, min_similarity=0.123, min_margin=0.456)
    parameters.read()

    parameters.show(Settings(thresholds=holds))

    assert node.get_parameter("min_similarity").value == 0.123
    assert node.get_parameter("min_margin").value == 0.1
    assert not node.set_parameters([Parameter("min_similarity", value=0.2)])[0].successful
    assert parameters.read().given == {"min_margin"}
    assert parameters.read().thresholds.min_similarity == Settings().thresholds.min_similarity


def test_every_setting_is_declared_with_its_meaning_and_its_range(declared):
    _, node = declared()

    for group in SETTING_GROUPS:
        for facts in settings_of(group):
            descriptor = node.describe_parameter(facts.name)
            assert descriptor.description == facts.about
            ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
            assert bool(ranges) == (facts.low is not None or facts.high is not None), facts.name
            if facts.low is not None:
                assert ranges[0].from_value == facts.low
            if facts.choices:
                assert all(choice in descriptor.additional_constraints for choice in facts.choices)


def test_values_that_are_given_take_effect(declared):
    parameters, _ = declared(queue_size=7, keyframe_travel_m=2, t_base_camera=[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])

    settings = parameters.read()

    assert settings.node.queue_size == 7
    assert settings.keyframes.keyframe_travel_m == 2.0
    assert settings.node.t_base_camera == (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "value", "given", "allowed"),
    [
        ("queue_size", 0, "0", "1 to 1000"),
        ("queue_size", "many", "'many'", "int"),
        ("mode", "mappping", "mappping", "mapping, localization"),
        ("keyframe_rotation_deg", 200.0, "200", "0 to 180"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_given_and_what_is_allowed(declared, name, value, given, allowed):
    parameters, _ = declared(**{name: value})

    with pytest.raises(SettingsError) as refused:
        parameters.read()

    assert name in str(refused.value)
    assert given in str(refused.value)
    assert allowed in str(refused.value)


def test_an_unknown_name_is_refused_with_the_closest_one(declared):
    parameters, _ = declared(keyframe_travel=1.0)

    with pytest.raises(SettingsError, match="did you mean 'keyframe_travel_m'"):
        parameters.read()


def test_a_wrong_value_can_be_mended_and_then_holds(declared):
    parameters, node = declared(queue_size=0)

    results = node.set_parameters([Parameter("queue_size", value=3)])

    assert results[0].successful
    assert parameters.read().node.queue_size == 3


def test_a_change_is_refused_while_the_node_works_with_the_old_value(declared):
    parameters, node = declared()
    parameters.read()

    refused = node.set_parameters([Parameter("queue_size", value=3)])[0]
    parameters.unlock()
    taken = node.set_parameters([Parameter("queue_size", value=3)])[0]

    assert not refused.successful
    assert "configure" in refused.reason
    assert taken.successful


def test_a_wrong_choice_is_refused_at_run_time_too(declared):
    _, node = declared()

    refused = node.set_parameters([Parameter("mode", value="dreaming")])[0]

    assert not refused.successful
    assert "mapping, localization" in refused.reason
    assert rclpy.ok()
