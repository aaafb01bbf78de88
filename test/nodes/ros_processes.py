"""What tests of nodes need: a node's process, and a peer that publishes, listens and calls."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from vpr_ros.nodes.messages import header_of, image_message

# Generous: a machine under load starts a node in some seconds. Nothing waits longer than it needs.
PATIENCE_S = 60.0
_ANSWERS_FIND_BACK_S = 0.3
LATCHED = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
NODE = "loop_closure_node"
ROOT = Path(__file__).resolve().parents[2]

# A keyframe for every image that is 0.1 s after the last; places may match again after half a second.
EVERY_IMAGE = {"keyframe_interval_s": 0.05, "exclude_recent_s": 0.5, "exclude_recent_keyframes": 5}
STEP_NS = 100_000_000

TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
    "unconfigured_shutdown": Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    "inactive_shutdown": Transition.TRANSITION_INACTIVE_SHUTDOWN,
    "active_shutdown": Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


class NodeProcess:
    """A node of vpr_ros as a process of its own, its words in a file."""

    def __init__(self, module, namespace, log, arguments=(), parameters=None, env=None):
        ros_arguments = ["--ros-args", "-r", f"__ns:={namespace}"]
        for name, value in (parameters or {}).items():
            ros_arguments += ["-p", f"{name}:={json.dumps(value)}"]
        command = [sys.executable, "-m", f"vpr_ros.nodes.{module}", *map(str, arguments), *ros_arguments]
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | (env or {}), cwd=ROOT
            )

    @property
    def words(self):
        return self.log.read_text(errors="replace")

    def wait_for_words(self, words, timeout_s=PATIENCE_S):
        _wait(lambda: words in self.words, timeout_s, lambda: f"'{words}' was not said in:\n{self.words}")

    def interrupt(self, times=1, gap_s=0.02):
        for turn in range(times):
            if turn:
                time.sleep(gap_s)
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGINT)

    def wait(self, timeout_s=PATIENCE_S):
        return self.process.wait(timeout_s)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Peer:
    """A node that publishes to, listens to and calls the node under test."""

    def __init__(self, namespace, processes=()):
        self.namespace = namespace
        self._processes = processes
        self.node = Node("peer", namespace=namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._clients = {}

    def close(self):
        self._executor.shutdown()
        self.node.destroy_node()

    def spin_until(self, is_reached, what, timeout_s=PATIENCE_S):
        end_s = time.monotonic() + timeout_s
        while not is_reached():
            for process in self._processes:
                assert not process.process.poll(), f"before {what}, a node ended:\n{process.words}"
            said = "\n".join(process.words for process in self._processes)
            assert time.monotonic() < end_s, f"not within {timeout_s} s: {what}; the nodes said:\n{said}"
            self._executor.spin_once(timeout_sec=0.05)

    def spin_for(self, duration_s):
        end_s = time.monotonic() + duration_s
        while time.monotonic() < end_s:
            self._executor.spin_once(timeout_sec=0.05)

    def forget(self, process):
        """A process that the test ended itself is not watched any more."""
        self._processes.remove(process)

    def listen(self, kind, topic, qos=RELIABLE):
        """Return a list that grows while the peer spins."""
        heard = []
        self.node.create_subscription(kind, topic, heard.append, qos)
        return heard

    def publisher(self, kind, topic, qos=RELIABLE, *, subscribers=1):
        """Return a publisher that the node under test listens to."""
        publisher = self.node.create_publisher(kind, topic, qos)
        self.spin_until(lambda: publisher.get_subscription_count() >= subscribers, f"a subscriber of {topic}")
        return publisher

    def call(self, kind, name, request, node=NODE, timeout_s=PATIENCE_S):
        client = self._client(kind, f"{node}/{name}", timeout_s)
        answer = client.call_async(request)
        self.spin_until(answer.done, f"an answer of {name}", timeout_s)
        return answer.result()

    def _client(self, kind, name, timeout_s):
        """Return the one client of a service. It knows the service before the service knows where to answer to."""
        if name not in self._clients:
            client = self.node.create_client(kind, name)
            self.spin_until(client.service_is_ready, f"service {name}", timeout_s)
            self.spin_for(_ANSWERS_FIND_BACK_S)
            self._clients[name] = client
        return self._clients[name]

    def state(self):
        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def change(self, transition):
        """Ask for a transition; say whether it was made."""
        request = ChangeState.Request(transition=Transition(id=TRANSITIONS[transition]))
        return self.call(ChangeState, "change_state", request).success

    def wait_until_active(self):
        self.spin_until(lambda: self.state() == "active", "the node is active")

    def set_parameter(self, name, value):
        parameter = Parameter(name, value=value).to_parameter_msg()
        return self.call(SetParameters, "set_parameters", SetParameters.Request(parameters=[parameter])).results[0]

    def get_parameter(self, name):
        return parameter_value_to_python(
            self.call(GetParameters, "get_parameters", GetParameters.Request(names=[name])).values[0]
        )

    def diagnostics(self):
        """Return a function that gives the node's newest figures, empty before the first."""
        heard = self.listen(DiagnosticArray, "/diagnostics")
        name = f"{self.namespace}/{NODE}"

        def newest():
            statuses = [status for message in heard for status in message.status if status.name == name]
            if not statuses:
                return {}
            return {"message": statuses[-1].message} | {pair.key: pair.value for pair in statuses[-1].values}

        return newest


def _wait(is_reached, timeout_s, why_not):
    end_s = time.monotonic() + timeout_s
    while not is_reached():
        assert time.monotonic() < end_s, why_not()
        time.sleep(0.02)


def image_at(index, image, encoding="rgb8"):
    """Return the message of an image that was taken ``index`` tenths of a second after the first."""
    return image_message(image, encoding, header_of(index * STEP_NS, "camera"))
