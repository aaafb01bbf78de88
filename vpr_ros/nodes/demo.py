"""The demonstration: a player and a detector as two processes over real ROS 2, watched, judged, and put on one page.

``python -m vpr_ros.nodes.demo [--source URI] [--out DIR] [--rate R]``
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import TracebackType

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rich.console import Console
from vpr_msgs.msg import Decision as DecisionMessage
from vpr_msgs.msg import Keyframe as KeyframeMessage
from vpr_msgs.msg import LoopClosure as LoopClosureMessage

from vpr_ros.core import Pose, PoseError, VprError, seconds
from vpr_ros.detection import Settings
from vpr_ros.evaluation import (
    Assessment,
    Recording,
    SeenKeyframe,
    StageTiming,
    assess,
    headline,
    loops_result,
    render_report,
    section_of,
    standing_of,
    summary,
    thumbnails_of,
    to_json,
    write_whole,
)
from vpr_ros.evaluation.environment import peak_memory_mib
from vpr_ros.evaluation.run import POSE_TOLERANCE_NS
from vpr_ros.nodes.messages import decision_of, loop_closure_of, pose_of, stamp_ns_of
from vpr_ros.nodes.running import ros
from vpr_ros.place_map import PlaceMap
from vpr_ros.scoring import PoseTruth
from vpr_ros.sources import Source, open_source

DEFAULT_SOURCE = "sim:"
DEFAULT_RATE = 4.0
# DDS domains that a Linux machine's ephemeral ports leave free (docs.ros.org, "The ROS_DOMAIN_ID"); 0 is everybody's.
_DOMAINS = range(1, 102)
_NODE = "loop_closure_node"
_START_TIMEOUT_S = 60.0
_DRAIN_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 15.0
# The demonstration loses nothing on a slow machine: what comes too fast waits.
_QUEUE_SIZE = 1000


class DemoError(VprError):
    """The demonstration could not run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration and return its exit status.

    0: whole, and by truth, where there is some, every closure is right and at least one was found if there are any.
    1: a wrong closure, none found where truth has revisits, or images lost. 2: it could not run.
    """
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False)
    # A domain of our own, on this machine only: a robot next door neither hears nor disturbs us. Set before rclpy reads it.
    os.environ["ROS_DOMAIN_ID"] = str(random.choice(_DOMAINS))  # noqa: S311
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    try:
        return _run(arguments, console)
    except (VprError, OSError) as error:
        Console(stderr=True, highlight=False).print(f"demo: {error}", markup=False)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vpr_ros.nodes.demo", description=_ABOUT)
    parser.add_argument("--source", default=DEFAULT_SOURCE, help=f"recording or simulated robot ({DEFAULT_SOURCE})")
    parser.add_argument("--out", type=Path, default=Path("vpr_ros_demo"), help="folder for the results (vpr_ros_demo)")
    parser.add_argument(
        "--rate",
        type=float,
        default=DEFAULT_RATE,
        help=f"how much faster than it was recorded to play ({DEFAULT_RATE:g})",
    )
    return parser


def _run(arguments: argparse.Namespace, console: Console) -> int:
    map_directory = arguments.out / "demo.vprmap"
    arguments.out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(map_directory, ignore_errors=True)  # of the run before
    settings = Settings.from_values({"map": str(map_directory), "queue_size": _QUEUE_SIZE})
    with open_source(arguments.source) as source:
        console.print(f"playing [bold]{arguments.source}[/bold] at {arguments.rate:g} times its speed over ROS 2")
        heard = _perform(arguments, settings, console)
        run = _Judged.of(heard, source, arguments.source)
    with PlaceMap.open(map_directory, read_only=True) as place_map:
        section = section_of(run.recording, run.assessment, settings, thumbnails_of(place_map), lost=run.lost)
    write_whole(arguments.out / "report.html", render_report([section]))
    write_whole(arguments.out / "result.json", to_json(loops_result(run.recording, run.assessment)) + "\n")
    console.print(f"\n[bold]{headline(run.recording, run.assessment)}.[/bold] {summary(run.recording, run.assessment)}")
    if run.lost:
        console.print(f"not whole: {run.lost}", markup=False)
    console.print(f"report: {(arguments.out / 'report.html').resolve()}", markup=False, soft_wrap=True)
    return 0 if not run.lost and standing_of(run.assessment) in ("sound", "unjudged") else 1


def _perform(arguments: argparse.Namespace, settings: Settings, console: Console) -> _Heard:
    """Run player and detector until all images are looked at, and return what was heard."""
    choices = [f"{name}:={value}" for name, value in (("map", settings.choice.map), ("queue_size", _QUEUE_SIZE))]
    topics = [f"{name}:=camera/{topic}" for name, topic in _TOPICS.items()]
    parameters = [part for choice in choices for part in ("-p", choice)] + [part for t in topics for part in ("-r", t)]
    detector = _Process(_NODE, "--ros-args", "-p", "autostart:=true", *parameters)
    player = _Process("bag_player_node", arguments.source, "--rate", str(arguments.rate))
    with ros([]) as stop, _Watcher(console) as watcher, detector:
        watcher.wait("the detector to become active", lambda: watcher.heard.state == "active", detector, stop)
        with player:
            watcher.wait("the player to end", lambda: player.status is not None, detector, stop, timeout_s=None)
            if player.status != 0:
                raise DemoError(f"the player ended with status {player.status}; what it said stands above")
        watcher.wait("the detector to look at what waits", watcher.is_drained, detector, stop)
        watcher.heard.peak_memory_mib = detector.peak_memory_mib
        if (status := detector.stop()) != 0:
            watcher.heard.trouble = f"the detector ended with status {status}"
        watcher.listen(_LAST_WORDS_S)
        return watcher.heard


@dataclass(slots=True)
class _Heard:
    """What came over the topics so far."""

    keyframes: dict[int, KeyframeMessage] = field(default_factory=dict)
    decisions: list[DecisionMessage] = field(default_factory=list)
    closures: list[LoopClosureMessage] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    figures_at_s: float = 0.0
    peak_memory_mib: float = float("nan")
    seconds: float = 0.0
    trouble: str = ""

    @property
    def state(self) -> str:
        """Lifecycle state of the detector, empty before its first word."""
        return self.figures.get("state", "")


class _Process:
    """A node as an operating system process, ended in any case."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        self._command = [sys.executable, "-m", f"vpr_ros.nodes.{name}", *arguments]

    def __enter__(self) -> _Process:
        # A session of its own: a Ctrl-C in the terminal is ours alone, and we end the others in order.
        self._process = subprocess.Popen(self._command, start_new_session=True)  # noqa: S603
        return self

    @property
    def status(self) -> int | None:
        """Exit status, None while it runs."""
        return self._process.poll()

    @property
    def peak_memory_mib(self) -> float:
        """Largest resident memory so far."""
        return peak_memory_mib(self._process.pid)

    def stop(self) -> int:
        """End it as a Ctrl-C would and return its exit status.

        Raises:
            DemoError: It did not end in time.
        """
        if self.status is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise DemoError(f"{self.name} did not end within {_STOP_TIMEOUT_S:g} s of being asked to") from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.status is None:
            self._process.kill()
            self._process.wait()


class _Watcher:
    """Hears what the detector says, and tells each closure as it comes."""

    def __init__(self, console: Console) -> None:
        self.heard = _Heard()
        self._console = console

    def __enter__(self) -> _Watcher:
        self._node = Node("vpr_ros_demo")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        kept = QoSProfile(
            depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        for kind, topic, hear, qos in (
            (KeyframeMessage, f"{_NODE}/keyframes", self._hear_keyframe, kept),
            (LoopClosureMessage, f"{_NODE}/loop_closures", self._hear_closure, kept),
            (DecisionMessage, f"{_NODE}/decisions", self._hear_decision, 1000),
            (DiagnosticArray, "/diagnostics", self._hear_diagnostics, 10),
        ):
            self._node.create_subscription(kind, topic, hear, qos)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self._node.destroy_node()

    def wait(
        self,
        what: str,
        is_reached: Callable[[], bool],
        detector: _Process,
        stop: Event,
        timeout_s: float | None = _TIMEOUT_S,
    ) -> None:
        """Listen until something is reached.

        Raises:
            DemoError: The detector ended meanwhile, the time was over, or somebody pressed Ctrl-C.
        """
        began_s = time.monotonic()
        while not is_reached():
            self._executor.spin_once(timeout_sec=0.1)
            if detector.status is not None:
                raise DemoError(f"the detector ended with status {detector.status}; what it said stands above")
            if stop.is_set():
                raise DemoError("interrupted")
            if timeout_s is not None and time.monotonic() - began_s > timeout_s:
                raise DemoError(
                    f"waited {timeout_s:g} s for {what}; its last error: {self.heard.figures.get('last error')}"
                )

    def listen(self, for_s: float) -> None:
        """Listen for a while."""
        until_s = time.monotonic() + for_s
        while (left_s := until_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)
