"""Real nodes as OS processes, and a node of the test's own that talks to them."""

import itertools
import os
import random

import cv2
import pytest

# Before any rclpy reads them: a domain of this process's own (two of one run never share one), on this machine only.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
os.environ["ROS_DOMAIN_ID"] = str(1 + 2 * random.randrange(50) + _WORKER % 2)
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
def processes():
    """The nodes that a test has started; what still runs at its end is killed."""
    running = []
    yield running
    for process in running:
        process.kill()


@pytest.fixture
def peer(ros_context, namespace, processes):
    """A node of the test's own in its namespace."""
    peer = Peer(namespace, processes)
    yield peer
    peer.close()


@pytest.fixture
def start(tmp_path, namespace, processes):
    """Start nodes as processes in the test's namespace."""

    def start_node(module, *arguments, env=None, **parameters):
        log = tmp_path / f"{module}_{len(processes)}.log"
        processes.append(NodeProcess(module, namespace, log, arguments, parameters, env))
        return processes[-1]

    return start_node


@pytest.fixture(scope="session")
def office(images):
    """The office loop: 14 images of the first lap, then 14 of the second at the same places, RGB."""
    files = sorted((images / "office").glob("*.jpg"))
    return [cv2.imread(str(file), cv2.IMREAD_COLOR_RGB) for file in files]
