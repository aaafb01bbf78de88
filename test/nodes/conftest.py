"""Real nodes as OS processes, and a node of the test's own that talks to them."""

import itertools
import os
import random

import pytest

# Before any rclpy reads them: a domain of this run's own, on this machine only.
os.environ["ROS_DOMAIN_ID"] = str(random.randrange(1, 100))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

rclpy = pytest.importorskip("rclpy", reason="no ROS here")
pytest.importorskip("vpr_msgs", reason="vpr_msgs is not built: requirements/build_vpr_msgs.sh VENV")

from ros_processes import NodeProcess, Peer  # noqa: E402

_numbers = itertools.count()


@pytest.fixture(scope="session")
def ros_context():
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def namespace():
    """A namespace of the test's own: what another test's node still says is not heard."""
    return f"/test_{next(_numbers)}"


@pytest.fixture
def peer(ros_context, namespace):
    """A node of the test's own in its namespace."""
    peer = Peer(namespace)
    yield peer
    peer.close()


@pytest.fixture
def start(tmp_path, namespace):
    """Start nodes as processes in the test's namespace; what still runs at the end is killed."""
    running = []

    def start_node(module, *arguments, env=None, **parameters):
        log = tmp_path / f"{module}_{len(running)}.log"
        running.append(NodeProcess(module, namespace, log, arguments, parameters, env))
        return running[-1]

    yield start_node
    for process in running:
        process.kill()
