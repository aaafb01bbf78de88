"""The demonstration: player and detector as two processes over real ROS 2, watched, judged, and put on one page."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
from rich.console import Console

from vpr_ros.core import LoopClosure, Trajectory, VprError, seconds
from vpr_ros.detection import Settings
from vpr_ros.evaluation import (
    Assessment,
    Recording,
    assess,
    headline,
    loops_result,
    render_report,
    section_of,
    standing_of,
    summary,
    to_json,
    write_whole,
)
from vpr_ros.nodes.bag_player_node import add_source_arguments, frames_played, source_options
from vpr_ros.nodes.processes import NodeProcess
from vpr_ros.nodes.running import ros
from vpr_ros.nodes.witness import DETECTOR, Heard, Witness
from vpr_ros.place_map import PlaceMap
from vpr_ros.scoring import FramePoses, PoseRules, PoseTruth
from vpr_ros.sources import open_source

DEFAULT_SOURCE = "sim:"
_DEFAULT_RATE = 3.0
# DDS domains that a Linux machine's ephemeral ports leave free (docs.ros.org, "The ROS_DOMAIN_ID"); 0 is everybody's.
_DOMAINS = range(1, 102)
_TOPICS = {"image": "image_raw", "camera_info": "camera_info", "depth": "depth"}
_START_TIMEOUT_S = 60.0
_DRAIN_TIMEOUT_S = 60.0
# The demonstration loses nothing on a slow machine: what comes too fast waits.
_QUEUE_SIZE = 1000
_ABOUT = """\
Play a recording or the simulated robot as ROS 2 topics, run loop_closure_node on them as on a robot, show closures as
they come, and write an HTML report. Options that are not listed here go to bag_player_node.
"""
_STATUS = """\
exit status: 0 everything arrived and, where the source carries exact poses, every closure is right and loops were
found; 1 a closure was wrong, no loop was found though the robot came back, or images were lost; 2 it could not run
"""


class DemoError(VprError):
    """The demonstration could not run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration and return its exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    console = Console(highlight=False)
    # A domain of our own, on this machine only: no robot next door hears or disturbs us. Set before rclpy reads it.
    os.environ["ROS_DOMAIN_ID"] = str(random.choice(_DOMAINS))  # noqa: S311 - no secret
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    try:
        return _run(arguments, console)
    except (VprError, OSError) as error:
        Console(stderr=True, highlight=False).print(f"demo: {error}", markup=False, soft_wrap=True)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vpr_ros.nodes.demo",
        description=_ABOUT,
        epilog=_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--source", default=DEFAULT_SOURCE, help=f"recording or simulated robot ({DEFAULT_SOURCE})")
    parser.add_argument("--out", type=Path, default=Path("vpr_ros_demo"), help="folder for the results (vpr_ros_demo)")
    parser.add_argument(
        "--rate", type=float, default=_DEFAULT_RATE, help=f"times the speed it was recorded at ({_DEFAULT_RATE:g})"
    )
    add_source_arguments(parser)
    return parser


def _run(arguments: argparse.Namespace, console: Console) -> int:
    arguments.out.mkdir(parents=True, exist_ok=True)
    map_directory = arguments.out / "demo.vprmap"
    shutil.rmtree(map_directory, ignore_errors=True)  # of the run before
    settings = Settings.from_values({"map": str(map_directory), "queue_size": _QUEUE_SIZE})
    with open_source(arguments.source, source_options(arguments)) as source:
        truth = source.truth
    console.print(f"playing [bold]{arguments.source}[/bold] at {arguments.rate:g} times its speed over ROS 2")
    run = _judged(_perform(arguments, settings, console), arguments.source, truth)
    report = _write_results(run, settings, arguments.out)
    console.print(f"\n[bold]{headline(run.recording, run.assessment)}.[/bold] {summary(run.recording, run.assessment)}")
    if run.lost:
        console.print(f"not whole: {run.lost}", markup=False)
    console.print(f"report: {report.resolve()}", markup=False, soft_wrap=True)
    return 0 if not run.lost and standing_of(run.assessment) in ("sound", "unjudged") else 1


@dataclass(frozen=True, slots=True)
class _Performance:
    """What came of playing and detecting.

    Attributes:
        heard: What the detector said.
        frame_at: Frame index by stamp in ns, of each image that was played.
        peak_memory_mib: Of the detector's process.
        status: The detector's exit status.
    """

    heard: Heard
    frame_at: dict[int, int]
    peak_memory_mib: float
    status: int


@dataclass(frozen=True, slots=True)
class _Run:
    """A performance, judged.

    Attributes:
        recording: What evaluation takes.
        assessment: What truth says, None without truth.
        lost: What went missing, in words; empty if nothing did.
    """

    recording: Recording
    assessment: Assessment | None
    lost: str


def _perform(arguments: argparse.Namespace, settings: Settings, console: Console) -> _Performance:
    """Run player and detector until every image is looked at."""
    played = arguments.out / "played.txt"
    played.unlink(missing_ok=True)
    detector = NodeProcess(DETECTOR, "--ros-args", *_ros_arguments(settings))
    player = NodeProcess("bag_player_node", *_player_arguments(arguments), "--played", str(played))
    with ros([]) as stop, Witness(_teller(console)) as witness, detector:
        heard = witness.heard

        def wait(for_what: str, is_reached: Callable[[], bool], timeout_s: float | None = None) -> bool:
            reached = witness.listen_until(lambda: is_reached() or _is_over(detector, stop), timeout_s)
            if not is_reached() and _is_over(detector, stop):
                raise DemoError(_why_over(for_what, detector))
            return reached

        if not wait("it was active", lambda: heard.figures.get("state") == "active", _START_TIMEOUT_S):
            raise DemoError(f"the detector was not active after {_START_TIMEOUT_S:g} s: {heard.figures or 'no word'}")
        with player:
            wait("all was played", lambda: player.status is not None)
            if player.status == 2:
                raise DemoError("the player could not read the source; what it said stands above")
        frame_at = frames_played(played)
        wait("all was looked at", lambda: heard.images >= heard.looked_at >= len(frame_at), _DRAIN_TIMEOUT_S)
        witness.deactivate_detector(_DRAIN_TIMEOUT_S)
        witness.listen_until(lambda: False, timeout_s=1.0)  # its last words
        return _Performance(heard, frame_at, detector.peak_memory_mib, detector.stop())


def _ros_arguments(settings: Settings) -> list[str]:
    parameters = {"autostart": "true", "map": settings.choice.map, "queue_size": settings.node.queue_size}
    arguments = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
    return arguments + [part for name, topic in _TOPICS.items() for part in ("-r", f"{name}:=camera/{topic}")]


def _player_arguments(arguments: argparse.Namespace) -> list[str]:
    """Return the player's command line: what was given here and is not the demonstration's own."""
    own = ("source", "out")
    given = {name: value for name, value in vars(arguments).items() if name not in own and value is not None}
    options = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    return [arguments.source, *options]


def _teller(console: Console) -> Callable[[LoopClosure], None]:
    def tell(closure: LoopClosure) -> None:
        apart_s = seconds(closure.query_stamp_ns - closure.match_stamp_ns)
        console.print(
            f"  [green]loop[/green] keyframe {closure.query_id} shows {closure.match_id} again, seen {apart_s:.0f} s "
            f"earlier: similarity {closure.similarity:.2f}, {closure.inliers} inliers, p {closure.probability:.3f}",
            soft_wrap=True,
        )

    return tell


def _is_over(detector: NodeProcess, stop: Event) -> bool:
    return stop.is_set() or detector.status is not None


def _why_over(before: str, detector: NodeProcess) -> str:
    if detector.status is None:
        return f"interrupted before {before}"
    return f"the detector ended with status {detector.status} before {before}; what it said stands above"


def _judged(performance: _Performance, source: str, truth: Trajectory | None) -> _Run:
    heard, frame_at = performance.heard, performance.frame_at
    recording = heard.recording(source, frame_at, truth, performance.peak_memory_mib)
    assessment = None if truth is None else assess(recording, _pose_truth(recording, truth))
    return _Run(recording, assessment, _lost(performance))


def _pose_truth(recording: Recording, truth: Trajectory) -> PoseTruth:
    frames = np.array([keyframe.frame for keyframe in recording.keyframes], np.int64)
    stamps_ns = np.array([keyframe.stamp_ns for keyframe in recording.keyframes], np.int64)
    return PoseTruth(FramePoses.along(truth, frames, stamps_ns), PoseRules(), about="Poses of the source itself")


def _lost(performance: _Performance) -> str:
    """Say what went missing between player and detector, and which images could not be used."""
    heard, played = performance.heard, len(performance.frame_at)
    trouble = [f"{count} images dropped: {cause}" for cause, count in heard.drops.items()]
    if heard.images < played:
        trouble.append(f"{played - heard.images} of {played} images did not arrive")
    if performance.status != 0:
        trouble.append(f"the detector ended with status {performance.status}")
    return "; ".join(trouble)


def _write_results(run: _Run, settings: Settings, folder: Path) -> Path:
    with PlaceMap.open(folder / "demo.vprmap", read_only=True) as place_map:
        section = section_of(run.recording, run.assessment, settings, place_map, lost=run.lost)
    report = folder / "report.html"
    write_whole(report, render_report([section]))
    write_whole(folder / "result.json", to_json(loops_result(run.recording, run.assessment)) + "\n")
    return report


if __name__ == "__main__":
    sys.exit(main())
