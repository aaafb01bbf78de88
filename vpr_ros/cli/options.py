"""Options that several commands share, and the values they become."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from vpr_ros.detection import Settings
    from vpr_ros.evaluation import Judge, Recording
    from vpr_ros.scoring import PoseFile, PoseRules, Truth
    from vpr_ros.sources import Source, SourceOptions

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

SOURCE_HELP = """\
SOURCE is a ROS bag (folder, .mcap, .db3, .bag), a folder of images (flat, rgb/ with depth/, or TUM RGB-D), a video, or
a simulated robot such as 'sim:office?laps=2' ('vpr_ros sources' lists the routes).
"""


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add how a source is read."""
    group = parser.add_argument_group("reading the source")
    group.add_argument("--from-s", type=float, default=0.0, metavar="S", help="skip the first S seconds (0)")
    group.add_argument("--to-s", type=float, metavar="S", help="stop S seconds after the first image (at the end)")
    group.add_argument(
        "--rate-hz", type=float, metavar="HZ", help="stamp a folder or video at this rate (its own times)"
    )
    group.add_argument("--depth-scale", type=float, metavar="N", help="units a metre of 16-bit depth images (1000)")
    for kind in ("image", "info", "depth", "odom"):
        group.add_argument(f"--{kind}-topic", metavar="TOPIC", help=f"{kind} topic of a bag (the only fitting one)")


def source_options(arguments: argparse.Namespace) -> SourceOptions:
    """Return how the source is to be read."""
    from vpr_ros.sources import SourceOptions

    return SourceOptions(
        rate_hz=arguments.rate_hz,
        depth_scale=arguments.depth_scale,
        image_topic=arguments.image_topic,
        info_topic=arguments.info_topic,
        depth_topic=arguments.depth_topic,
        odom_topic=arguments.odom_topic,
        from_s=arguments.from_s,
        to_s=arguments.to_s,
    )


def add_encoder_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add which encoder runs on what."""
    group = parser.add_argument_group("finding places")
    encoder = group.add_argument(
        "--encoder", metavar="NAME", help="by name; 'vpr_ros encoders' lists them (mixvpr-lite)"
    )
    encoder.completer = _encoder_names  # type: ignore[attr-defined]  # argcomplete looks for this attribute
    group.add_argument("--engine", metavar="NAME", help="what runs it; 'vpr_ros doctor' says what works (auto)")
    return group


def add_settings_options(group: argparse._ArgumentGroup) -> None:
    """Add how settings are overridden."""
    group.add_argument(
        "--params", type=Path, metavar="FILE", help="settings that differ, as 'name: value' or a ROS parameter file"
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one setting, over --params; may be repeated. A wrong name is answered with the right ones",
    )


def settings(arguments: argparse.Namespace, **over: object) -> Settings:
    """Return the defaults under ``--params`` under ``--set`` under options of their own, such as ``--encoder``.

    Raises:
        SettingsError: Unknown name, wrong type or out of range.
    """
    import yaml

    from vpr_ros.core.settings import SettingsError
    from vpr_ros.detection import Settings, read_settings_file

    values = read_settings_file(arguments.params) if arguments.params else {}
    for text in arguments.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--set is '{text}', expected NAME=VALUE such as min_similarity=0.8")
        try:
            values[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise SettingsError(f"--set {name}: can't read the value '{value}', expected a number or a word") from error
    over |= {"encoder": arguments.encoder, "engine": arguments.engine}
    values |= {name: value for name, value in over.items() if value is not None}
    return Settings.from_values(values, place=str(arguments.params or "command line"))


def add_truth_options(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Add where truth comes from and what counts as right; return the ways, of which one may be taken."""
    group = parser.add_argument_group("judging against truth")
    ways = group.add_mutually_exclusive_group()
    ways.add_argument(
        "--poses",
        metavar="FILE",
        help="trajectory in TUM or KITTI format, or 'source' for the poses the source carries itself",
    )
    ways.add_argument(
        "--revisits",
        type=Path,
        metavar="FILE",
        help="table 'query,match' of image names or indexes, matches split by ';'",
    )
    group.add_argument("--radius-m", type=float, metavar="M", help="poses: right within this distance (1.0)")
    group.add_argument("--angle-deg", type=float, metavar="DEG", help="poses: and within this angle (45)")
    group.add_argument("--gap-s", type=float, metavar="S", help="poses: pairs closer in time count neither way (5)")
    return ways


def pose_rules(arguments: argparse.Namespace) -> PoseRules:
    """Return what counts as right by poses.

    Raises:
        TruthError: A value is out of range.
    """
    from vpr_ros.scoring import PoseRules

    given = {name: getattr(arguments, name) for name in ("radius_m", "angle_deg", "gap_s")}
    return PoseRules(**{name: value for name, value in given.items() if value is not None})


def judge(arguments: argparse.Namespace, source: Source) -> Judge:
    """Return what will judge a run over a source, with its files read.

    Raises:
        TruthError: A file can't be read or does not fit, or the source carries no poses.
    """
    from vpr_ros.evaluation import judge_by_poses, judge_by_revisits, unjudged

    if arguments.revisits is not None:
        return judge_by_revisits(arguments.revisits, source)
    if arguments.poses is None:
        return unjudged
    return judge_by_poses(poses(arguments.poses, source), pose_rules(arguments))


def truth(arguments: argparse.Namespace, source: Source) -> Callable[[Recording], Truth]:
    """Return what gives the truth of a run over a source, with its files read.

    Raises:
        UsageError: No truth was given.
        TruthError: A file can't be read or does not fit, or the source carries no poses.
    """
    from vpr_ros.cli.errors import UsageError
    from vpr_ros.evaluation import truth_by_poses, truth_by_revisits

    if arguments.revisits is not None:
        return truth_by_revisits(arguments.revisits, source)
    if arguments.poses is None:
        raise UsageError("truth is needed here; give --poses FILE, --poses source, or --revisits FILE")
    return truth_by_poses(poses(arguments.poses, source), pose_rules(arguments))


def poses(given: str, source: Source) -> PoseFile:
    """Return the poses of a file, or those the source carries where ``source`` is given.

    Raises:
        TruthError: The file can't be read, or the source carries none.
    """
    from vpr_ros.evaluation import carried_poses
    from vpr_ros.scoring import read_pose_file

    return carried_poses(source) if given == "source" else read_pose_file(Path(given))


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add the result for machines."""
    parser.add_argument(
        "--json", type=output_file, metavar="FILE", help="write the result as JSON; '-' is standard output"
    )


def output_file(text: str) -> Path:
    """Return a path that can be written, so that nobody waits for an hour to learn that it can't.

    Raises:
        ArgumentTypeError: Its folder is missing or read-only, or it is a folder itself.
    """
    path = Path(text)
    if text == "-":
        return path
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"'{text}' is a folder, expected a file to write")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"there is no folder '{path.parent}' to write '{path.name}' into; make it first"
        )
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"'{text}' can't be written; check its permissions")
    return path


def _encoder_names(**_: object) -> list[str]:
    from vpr_ros.encoders import registered

    return [entry.name for entry in registered()]
