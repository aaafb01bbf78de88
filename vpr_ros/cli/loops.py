"""``vpr_ros loops``: find the loops of a recording."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vpr_ros.cli import options
from vpr_ros.cli.options import Commands
from vpr_ros.cli.printing import output_for_people, print_table, write_json
from vpr_ros.cli.progress import progress

if TYPE_CHECKING:
    from vpr_ros.detection import Settings
    from vpr_ros.evaluation import Assessment, Recording
    from vpr_ros.place_map import PlaceMap

_ABOUT = f"""\
Find loop closures in a recording, by the same code that the ROS node runs.

{options.SOURCE_HELP}"""
_EXAMPLES = """\
examples:
  vpr_ros loops my_bag --image-topic /front/image_raw --report loops.html
  vpr_ros loops images/ --rate-hz 10 --revisits revisits.csv --json result.json
  vpr_ros loops tum_folder/ --poses tum_folder/groundtruth.txt --radius-m 0.5 --angle-deg 30
  vpr_ros loops 'sim:office?laps=2' --poses source --set min_similarity=0.75
  vpr_ros loops monday.mcap --map office.vprmap; vpr_ros loops tuesday.mcap --map office.vprmap
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "loops",
        help="find loop closures in a recording",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="recording or simulated robot")
    add_run_options(parser)
    parser.add_argument(
        "--map", type=Path, metavar="DIR", help="keep the map in this folder, NAME.vprmap; made if absent"
    )
    parser.add_argument(
        "--decisions",
        type=options.output_file,
        metavar="FILE",
        help="write every decision with its reason as JSON lines",
    )
    parser.add_argument("--report", type=options.output_file, metavar="FILE", help="write one HTML page to look at")
    options.add_json_option(parser)
    parser.set_defaults(run=run)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add everything that says how recordings are run and judged."""
    group = options.add_encoder_options(parser)
    options.add_settings_options(group)
    group.add_argument(
        "--without", action="append", default=[], metavar="STAGE", help="switch a stage off; may be repeated"
    )
    options.add_source_options(parser)
    options.add_truth_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Find loops, judge them where there is truth, and say so in every form asked for."""
    from vpr_ros.evaluation import (
        decisions_as_lines,
        loops_result,
        render_report,
        section_of,
        write_whole,
    )

    map_directory = str(arguments.map) if arguments.map else None
    settings = options.settings(arguments, map=map_directory)
    with judged_run(arguments, arguments.source, settings) as (recording, assessment, place_map):
        if arguments.decisions:
            write_whole(arguments.decisions, decisions_as_lines(recording.decisions))
        if arguments.report:
            page = render_report([section_of(recording, assessment, settings, place_map)])
            write_whole(arguments.report, page)
    _print_loops(arguments, recording, assessment)
    write_json(
        arguments, loops_result(recording, assessment, str(arguments.decisions) if arguments.decisions else None)
    )
    return 1 if assessment is not None and assessment.figures.wrong else 0


@contextmanager
def judged_run(
    arguments: argparse.Namespace, uri: str, settings: Settings
) -> Iterator[tuple[Recording, Assessment | None, PlaceMap]]:
    """Run one source and judge it; the map is open inside the block.

    Raises:
        VprError: Source, encoder, map or truth can't be opened or read.
    """
    from vpr_ros.detection import LoopDetector
    from vpr_ros.encoders import open_encoder
    from vpr_ros.evaluation import open_map, run_recording
    from vpr_ros.sources import open_source

    encoder = open_encoder(settings.choice.encoder, settings.choice.engine)
    with open_source(uri, options.source_options(arguments)) as source, open_map(settings, encoder.recipe) as place_map:
        judge = options.judge(arguments, source)
        detector = LoopDetector(encoder, place_map, settings, tuple(arguments.without))
        with progress("images", len(source)) as advance:
            recording = run_recording(source, detector, lambda *_: advance())
        yield *judge(recording), place_map


def _print_loops(arguments: argparse.Namespace, recording: Recording, assessment: Assessment | None) -> None:
    from vpr_ros.evaluation import headline, summary

    output = output_for_people(arguments)
    if recording.closures:
        print_table(("query", "match", "similarity", "probability", "truth"), _rows(recording, assessment), output)
    print(f"{headline(recording, assessment)}. {summary(recording, assessment)}", file=output)
    if recording.refused:
        counts = ", ".join(f"{stage} {count}" for stage, count in recording.refused.items())
        print(f"Refused candidates by stage: {counts}.", file=output)
    for cause, count in recording.drops.items():
        print(f"vpr_ros: {count} images dropped: {cause}", file=sys.stderr)


def _rows(recording: Recording, assessment: Assessment | None) -> Iterator[tuple[object, ...]]:
    marks = assessment.marks if assessment else ("-",) * len(recording.closures)
    for closure, mark in zip(recording.closures, marks, strict=True):
        query = recording.when(recording.query_of(closure))
        yield query, recording.where(closure), closure.similarity, closure.probability, mark
