"""The node through its lifecycle: every transition, allowed or not, and the signals that end it."""

import pytest
from ros_processes import NODE

from vpr_ros.core import share_path
from vpr_ros.detection.policy import Thresholds, policy_for
from vpr_ros.encoders import open_encoder
from vpr_ros.place_map import PlaceMap


def test_the_node_goes_through_its_states_and_back_and_again(start, peer, tmp_path):
    node = start(NODE, map=str(tmp_path / "office.vprmap"))
    assert peer.state() == "unconfigured"

    for _ in range(2):
        for transition, state in (
            ("configure", "inactive"),
            ("activate", "active"),
            ("deactivate", "inactive"),
            ("activate", "active"),
            ("deactivate", "inactive"),
            ("cleanup", "unconfigured"),
        ):
            assert peer.change(transition), node.words
            assert peer.state() == state
    with PlaceMap.open(tmp_path / "office.vprmap", read_only=True) as place_map:
        assert len(place_map.sessions) == 4


def test_transitions_that_do_not_exist_are_refused_and_change_nothing(start, peer):
    start(NODE)

    assert not peer.change("activate")
    assert not peer.change("deactivate")
    assert not peer.change("cleanup")
    assert peer.state() == "unconfigured"
    assert peer.change("configure")
    assert not peer.change("configure")
    assert not peer.change("deactivate")
    assert peer.state() == "inactive"
    assert peer.change("activate")
    assert not peer.change("activate")
    assert not peer.change("cleanup")
    assert peer.state() == "active"


@pytest.mark.parametrize(
    ("path", "shutdown"),
    [
        ((), "unconfigured_shutdown"),
        (("configure",), "inactive_shutdown"),
        (("configure", "activate"), "active_shutdown"),
    ],
)
def test_the_node_can_be_shut_down_from_every_state(start, peer, path, shutdown):
    node = start(NODE)
    for transition in path:
        assert peer.change(transition)

    assert peer.change(shutdown)

    assert peer.state() == "finalized"
    node.interrupt()
    assert node.wait() == 0, node.words


@pytest.mark.parametrize(
    "path", [(), ("configure",), ("configure", "activate")], ids=["unconfigured", "inactive", "active"]
)
@pytest.mark.parametrize("times", [1, 2])
def test_one_or_two_interrupts_end_the_node_cleanly(start, peer, path, times):
    """A terminal's Ctrl-C and the launcher's come as two signals some milliseconds apart."""
    node = start(NODE)
    assert peer.state() == "unconfigured"
    for transition in path:
        assert peer.change(transition)

    node.interrupt(times)

    assert node.wait() == 0, node.words
    assert "Traceback" not in node.words


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"queue_size": 0}, "queue_size is 0, expected 1 to 1000"),
        ({"encoder": "gem-light"}, "gem-light"),
        ({"mode": "localization"}, "set map to the directory of an existing map"),
        ({"t_base_camera": [0.0, 0.0, 1.0]}, "expected seven finite numbers"),
        ({"min_similarty": 0.5}, "did you mean 'min_similarity'"),
    ],
)
def test_what_is_wrong_is_said_at_configure_and_the_node_stays_unconfigured(start, peer, parameters, said):
    node = start(NODE, **parameters)

    assert not peer.change("configure")

    assert peer.state() == "unconfigured"
    node.wait_for_words("can't configure")
    assert said in node.words


def test_a_wrong_parameter_can_be_mended_without_a_restart(start, peer):
    start(NODE, queue_size=0)
    assert not peer.change("configure")

    assert peer.set_parameter("queue_size", 3).successful

    assert peer.change("configure")
    refused = peer.set_parameter("queue_size", 4)
    assert not refused.successful
    assert "clean up" in refused.reason


def test_parameters_show_the_thresholds_of_the_encoder_that_runs(start, peer):
    start(NODE, encoder="gem-lite", min_margin=0.01)
    assert peer.change("configure")

    of_gem_lite = policy_for(open_encoder("gem-lite").recipe).thresholds
    assert peer.get_parameter("min_similarity") == of_gem_lite["min_similarity"]
    assert peer.get_parameter("min_margin") == 0.01

    assert peer.change("cleanup")
    assert peer.set_parameter("encoder", "mixvpr-lite").successful
    assert peer.change("configure")
    assert peer.get_parameter("min_similarity") == Thresholds().min_similarity
    assert peer.get_parameter("min_margin") == 0.01


def test_with_autostart_what_is_wrong_ends_the_process_with_a_status(start):
    node = start(NODE, autostart=True, mode="localization")

    assert node.wait() == 2
    assert "set map" in node.words
    assert "Traceback" not in node.words


def test_a_map_that_another_process_writes_is_refused_by_name(start, peer, tmp_path):
    path = tmp_path / "office.vprmap"
    start(NODE, "--ros-args", "-r", "__node:=first", map=str(path), autostart=True)
    peer.spin_until((path / "map.sqlite3").exists, "the first node has the map")

    second = start(NODE, map=str(path), autostart=True)

    assert second.wait() == 2
    assert "office.vprmap" in second.words


def test_a_file_that_is_no_parameter_file_is_one_clear_line(start, tmp_path):
    file = tmp_path / "broken.yaml"
    file.write_text("{{{")

    node = start(NODE, "--ros-args", "--params-file", file)

    assert node.wait() == 2
    assert "broken.yaml" in node.words
    assert "Traceback" not in node.words


def test_the_shipped_parameter_file_is_taken_as_it_is(start, peer):
    start(NODE, "--ros-args", "--params-file", share_path("config/loop_closure.yaml"), autostart=True)

    peer.wait_until_active()
