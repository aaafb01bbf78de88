"""A bystander of a running loop_closure_node: hears its topics and turns what came into a recording to be judged."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from vpr_msgs.msg import Decision as DecisionMessage
from vpr_msgs.msg import Keyframe as KeyframeMessage
from vpr_msgs.msg import LoopClosure as LoopClosureMessage
from vpr_ros.core import Decision, LoopClosure, Trajectory
from vpr_ros.evaluation import Recording, SeenKeyframe, StageTiming
from vpr_ros.evaluation.run import POSE_TOLERANCE_NS
from vpr_ros.nodes.messages import decision_of, loop_closure_of, odometry_of
from vpr_ros.nodes.qos import LATCHED, reliable
from vpr_ros.sources.messages import stamp_ns_of

DETECTOR = "loop_closure_node"
_SPIN_S = 0.1
_LATENCY_KEY = re.compile(r"latency (.+) ms")
_LATENCY_VALUE = re.compile(r"p50 ([\d.]+), p95 ([\d.]+)")


@dataclass(slots=True)
class Heard:
    """What a detector said so far.

    Attributes:
        keyframes: By id.
        decisions: In the order they fell.
        closures: In the order they were accepted.
        figures: Its newest /diagnostics by key, empty before the first.
        figures_at_s: When those came, by the steady clock.
        began_s: When it began to be heard, by the steady clock.
    """

    keyframes: dict[int, KeyframeMessage] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    closures: list[LoopClosure] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    figures_at_s: float = 0.0
    began_s: float = field(default_factory=time.monotonic)

    @property
    def images(self) -> int:
        """Images that reached the detector."""
        return int(self.figures.get("images", 0))

    @property
    def drops(self) -> dict[str, int]:
        """Images that it could not use, by cause."""
        prefix = "dropped: "
        return {key[len(prefix) :]: int(value) for key, value in self.figures.items() if key.startswith(prefix)}

    @property
    def looked_at(self) -> int:
        """Images that it is done with, used or dropped."""
        return int(self.figures.get("frames", 0)) + sum(self.drops.values())

    def recording(
        self, source: str, frame_at: Mapping[int, int], truth: Trajectory | None, peak_memory_mib: float
    ) -> Recording:
        """Return the run as evaluation takes it.

        Args:
            source: As the user named it.
            frame_at: Frame index in the source by stamp in ns, of every image that was played.
            truth: The source's own poses, None without; only for drawing.
            peak_memory_mib: Of the detector's process.
        """
        keyframes = tuple(_seen(self.keyframes[id_], frame_at, truth) for id_ in sorted(self.keyframes))
        return Recording(
            source=source,
            encoder=self.figures.get("encoder", ""),
            engine=self.figures.get("engine", ""),
            frames=len(frame_at),
            keyframes=keyframes,
            decisions=tuple(self.decisions),
            closures=tuple(self.closures),
            timing=_timing(self.figures),
            peak_memory_mib=peak_memory_mib,
            seconds=time.monotonic() - self.began_s,
            drops=self.drops,
        )


class Witness:
    """A node that listens to one loop_closure_node. Use in a ``with`` block, while ROS runs."""

    def __init__(self, tell: Callable[[LoopClosure], None]) -> None:
        """Listen from when the block is entered.

        Args:
            tell: Called with each closure as it comes.
        """
        self.heard = Heard()
        self._tell = tell

    def __enter__(self) -> Witness:
        """Subscribe."""
        self.heard.began_s = time.monotonic()
        self._node = Node("vpr_ros_witness")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        # Long before it is used: a service that has not yet found its client sends the answer into the void.
        self._change_state = self._node.create_client(ChangeState, f"{DETECTOR}/change_state")
        subscribe = self._node.create_subscription
        subscribe(KeyframeMessage, f"{DETECTOR}/keyframes", self._hear_keyframe, LATCHED)
        subscribe(LoopClosureMessage, f"{DETECTOR}/loop_closures", self._hear_closure, LATCHED)
        subscribe(DecisionMessage, f"{DETECTOR}/decisions", self._hear_decision, reliable(1000))
        subscribe(DiagnosticArray, "/diagnostics", self._hear_diagnostics, reliable(10))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unsubscribe."""
        self._executor.shutdown()
        self._node.destroy_node()

    def listen_until(self, is_reached: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Listen until something is reached; False if the time was over first."""
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not is_reached():
            if end_s is not None and time.monotonic() > end_s:
                return False
            self._executor.spin_once(timeout_sec=_SPIN_S)
        return True

    def deactivate_detector(self, timeout_s: float) -> bool:
        """Have the detector decide what is open and fall silent; False if it did not within the time."""
        if not self.listen_until(self._change_state.service_is_ready, timeout_s):
            return False
        transition = Transition(id=Transition.TRANSITION_DEACTIVATE)
        answer: Any = self._change_state.call_async(ChangeState.Request(transition=transition))
        return self.listen_until(answer.done, timeout_s) and bool(answer.result().success)

    def _hear_keyframe(self, message: KeyframeMessage) -> None:
        self.heard.keyframes[message.id] = message

    def _hear_closure(self, message: LoopClosureMessage) -> None:
        closure = loop_closure_of(message)
        self.heard.closures.append(closure)
        self._tell(closure)

    def _hear_decision(self, message: DecisionMessage) -> None:
        self.heard.decisions.append(decision_of(message))

    def _hear_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith(f"/{DETECTOR}"):
                self.heard.figures = {pair.key: pair.value for pair in status.values}
                self.heard.figures_at_s = time.monotonic()


def _seen(message: KeyframeMessage, frame_at: Mapping[int, int], truth: Trajectory | None) -> SeenKeyframe:
    stamp_ns = stamp_ns_of(message.header.stamp)
    return SeenKeyframe(
        id=message.id,
        frame=frame_at[stamp_ns],
        stamp_ns=stamp_ns,
        t_odom_camera=odometry_of(message),
        t_world_camera=None if truth is None else truth.at(stamp_ns, POSE_TOLERANCE_NS),
    )


def _timing(figures: Mapping[str, str]) -> dict[str, StageTiming]:
    """Return the stages' latencies as /diagnostics words them."""
    timing = {}
    for key, value in figures.items():
        stage, percentiles = _LATENCY_KEY.fullmatch(key), _LATENCY_VALUE.fullmatch(value)
        if stage and percentiles:
            timing[stage[1]] = StageTiming(float(percentiles[1]), float(percentiles[2]))
    return timing
