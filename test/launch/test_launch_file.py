"""launch/loop_closure.launch.py, checked where no launch is installed."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from recorded_launch import described

from vpr_ros.core.settings import settings_of
from vpr_ros.detection import SETTING_GROUPS, read_settings_file

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILE = ROOT / "launch" / "loop_closure.launch.py"
# Declared by ROS itself for every node.
ROS_PARAMETERS = {"use_sim_time"}


@pytest.fixture(scope="module")
def entities():
    return described(LAUNCH_FILE)


@pytest.fixture(scope="module")
def arguments(entities):
    return {e.arguments[0]: e.options for e in entities if e.kind == "DeclareLaunchArgument"}


def defaults(arguments, **given):
    """Return a context: each argument's default as text, with those given over it."""
    texts = {name: options["default_value"] for name, options in arguments.items()}
    return {name: text if isinstance(text, str) else "PATH" for name, text in texts.items()} | given


def node_of(entities, context):
    function = next(e for e in entities if e.kind == "OpaqueFunction").options["function"]
    (node,) = function(context)
    return node


def test_every_argument_is_described_and_its_default_is_allowed(arguments):
    assert {"camera", "image", "camera_info", "depth", "odom", "encoder", "map", "mode", "params_file"} <= set(
        arguments
    )
    for name, options in arguments.items():
        assert options["description"].endswith("."), name
        assert "choices" not in options or options["default_value"] in options["choices"], name


def test_what_it_starts_is_installed_by_setup_py(entities, arguments):
    scripts = re.findall(r'"(\w+) = vpr_ros\.', (ROOT / "setup.py").read_text())
    node = node_of(entities, defaults(arguments))

    assert node.options["package"] == "vpr_ros"
    assert node.options["executable"] in scripts


def test_without_arguments_the_parameter_file_decides(entities, arguments):
    """An argument that was not given must not hide what the parameter file says."""
    _, over = node_of(entities, defaults(arguments)).options["parameters"]

    assert set(over) == {"autostart"}
    assert over["autostart"] is True


def test_arguments_that_are_given_become_parameters_that_the_node_declares(entities, arguments):
    given = {"encoder": "gem-lite", "map": "7", "mode": "localization", "use_sim_time": "true", "autostart": "false"}
    _, over = node_of(entities, defaults(arguments, **given)).options["parameters"]

    declared = {facts.name for group in SETTING_GROUPS for facts in settings_of(group)} | ROS_PARAMETERS
    assert set(over) == set(given)
    assert set(over) <= declared
    assert over["autostart"] is False
    assert over["use_sim_time"] is True
    # A map called 7 is text, not a number.
    assert over["map"].arguments == ("7",)
    assert over["map"].options == {"value_type": str}


def test_topics_are_remapped_from_the_names_that_the_node_uses(entities, arguments):
    node = node_of(entities, defaults(arguments))
    inputs = (ROOT / "vpr_ros/nodes/inputs.py").read_text()
    subscribed = {n.value for n in ast.walk(ast.parse(inputs)) if isinstance(n, ast.Constant)}

    remapped = dict(node.options["remappings"])
    assert set(remapped) == {"image", "camera_info", "depth", "odom", "~/relocalization"}
    assert {name for name in remapped if not name.startswith("~")} <= subscribed
    for name, configuration in remapped.items():
        assert configuration.arguments == (name.removeprefix("~/"),)


def test_files_that_it_names_exist_and_are_installed(entities, arguments):
    installed = (ROOT / "setup.py").read_text()
    params_file = arguments["params_file"]["default_value"].arguments[0][-1]
    rviz = next(e for e in entities if e.kind == "Node")
    rviz_file = rviz.options["arguments"][-1].arguments[0][-1]

    assert (ROOT / "config" / params_file).is_file()
    assert (ROOT / "config" / rviz_file).is_file()
    assert 'files("config", "*")' in installed
    assert 'files("launch", "*.launch.py")' in installed
    assert rviz.options["condition"].arguments[0].arguments == ("rviz",)


def test_the_shipped_parameter_file_overrides_only_what_there_is():
    declared = {facts.name for group in SETTING_GROUPS for facts in settings_of(group)}
    assert set(read_settings_file(ROOT / "config/loop_closure.yaml")) <= declared


def test_rviz_shows_the_topics_that_the_node_publishes():
    config = yaml.safe_load((ROOT / "config/loop_closure.rviz").read_text())
    topics = {
        display["Topic"]["Value"] for display in config["Visualization Manager"]["Displays"] if "Topic" in display
    }
    published = (ROOT / "vpr_ros/nodes/outputs.py").read_text()

    own = {topic for topic in topics if topic.startswith("/loop_closure_node/")}
    assert {"/loop_closure_node/markers", "/loop_closure_node/match_image"} <= own
    for topic in own:
        assert f'"~/{topic.removeprefix("/loop_closure_node/")}"' in published
