"""``vpr_ros relocalize``: where is each frame of a recording in a map?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vpr_ros.cli import options
from vpr_ros.cli.options import Commands
from vpr_ros.cli.printing import output_for_people, print_table, write_json
from vpr_ros.cli.progress import progress

if TYPE_CHECKING:
    from vpr_ros.core import Trajectory
    from vpr_ros.place_map import PlaceMap
    from vpr_ros.sources import Source

_ABOUT = f"""\
Say of each frame where it is in a map, each for itself and without a hint: a place with the camera's pose, or "unknown
place". The map is only read.

{options.SOURCE_HELP}
With --poses the answers are judged; --map-poses names the poses of the recording that made the map, in the same fixed
frame (the same file by default).
"""
_EXAMPLES = """\
examples:
  vpr_ros loops monday.mcap --map office.vprmap; vpr_ros relocalize tuesday.mcap --map office.vprmap
  vpr_ros relocalize 'sim:office?laps=1&seed=4' --map office.vprmap --poses source --json answers.json
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "relocalize",
        help="say where each frame is in a map",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="recording or simulated robot")
    parser.add_argument("--map", type=Path, required=True, metavar="DIR", help="map to look in, NAME.vprmap")
    options.add_settings_options(options.add_encoder_options(parser))
    options.add_source_options(parser)
    group = parser.add_argument_group("judging against truth")
    group.add_argument("--poses", metavar="FILE", help="poses of the recording's camera (TUM), or 'source'")
    group.add_argument("--map-poses", type=Path, metavar="FILE", help="poses of the map's recording (TUM)")
    group.add_argument("--radius-m", type=float, metavar="M", help="right within this distance (1.0)")
    group.add_argument("--angle-deg", type=float, metavar="DEG", help="and within this angle (45)")
    options.add_json_option(parser)
    parser.set_defaults(run=run, gap_s=None)


def run(arguments: argparse.Namespace) -> int:
    """Locate, judge where there is truth, print."""
    from vpr_ros.detection import Relocalizer
    from vpr_ros.encoders import open_encoder
    from vpr_ros.evaluation import relocalization_result, relocalize, score_relocalization
    from vpr_ros.place_map import PlaceMap
    from vpr_ros.sources import open_source

    settings = options.settings(arguments, map=str(arguments.map), mode="localization")
    encoder = open_encoder(settings.choice.encoder, settings.choice.engine)
    with (
        open_source(arguments.source, options.source_options(arguments)) as source,
        PlaceMap.open(arguments.map, encoder.recipe, read_only=True) as place_map,
    ):
        truth = _truth(arguments, source)
        with progress("images", len(source)) as advance:
            found = relocalize(source, Relocalizer(encoder, place_map, settings), advance)
        figures = None
        if truth is not None:
            figures = score_relocalization(found, place_map, *truth, options.pose_rules(arguments))
        _print(arguments, place_map, relocalization_result(found, figures))
        write_json(arguments, relocalization_result(found, figures))
    return 1 if figures is not None and figures.wrong else 0


def _truth(arguments: argparse.Namespace, source: Source) -> tuple[Trajectory, Trajectory] | None:
    from vpr_ros.cli.errors import UsageError
    from vpr_ros.core import read_tum_trajectory

    if arguments.poses is None:
        return None
    poses = options.poses(arguments.poses, source)
    if poses.trajectory is None:
        raise UsageError(f"{arguments.poses} has a pose a line, expected stamped poses (TUM) to judge a map by")
    places = read_tum_trajectory(arguments.map_poses) if arguments.map_poses else poses.trajectory
    return poses.trajectory, places


def _print(arguments: argparse.Namespace, place_map: PlaceMap, result: object) -> None:
    from vpr_ros.evaluation.results import RelocalizationResult

    assert isinstance(result, RelocalizationResult)
    output = output_for_people(arguments)
    rows = [
        (a.query, a.match, a.probability, *((a.t_map_camera or (None,) * 7)[:3])) for a in result.answers if a.known
    ]
    if rows:
        print_table(("frame", "place", "probability", "x m", "y m", "z m"), rows, output)
    known = len(rows)
    print(
        f"{known} of {result.queries} frames are at a known place of {len(place_map)}, the rest unknown.", file=output
    )
    if result.truth is not None:
        t = result.truth
        print(
            f"By truth {t.right} right, {t.wrong} wrong; unknown: {t.unknown_right} rightly, {t.unknown_wrong} though "
            "a place of the map is near.",
            file=output,
        )
