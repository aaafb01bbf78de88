"""``vpr_ros retrieve``: plain retrieval, judged: how high the right place is ranked, without a decision."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vpr_ros.cli import options
from vpr_ros.cli.options import Commands
from vpr_ros.cli.printing import output_for_people, print_table, write_json
from vpr_ros.cli.progress import progress

if TYPE_CHECKING:
    from vpr_ros.evaluation import Retrieval
    from vpr_ros.evaluation.retrieval_truth import TruthOf
    from vpr_ros.sources import Source

_ABOUT = f"""\
Rank the images of DATABASE by how much they look like each image of QUERIES, and judge the ranking. With --sequence,
the keyframes of one recording are each compared with the earlier ones outside their recent past. With --altered, each
keyframe of one recording is searched among all of them after a step aside, from nearer and by night, all made up of the
image itself: how well an encoder stands up to change on your own images, without any truth.

{options.SOURCE_HELP}
Without --tolerance, --revisits or --poses, truth is taken from file names '@easting@northing@...@.jpg' (right within
--radius-m, 25 m by default), and with --sequence from the poses the source carries.
"""
_EXAMPLES = """\
examples:
  vpr_ros retrieve day/ night/ --tolerance 2 --json result.json
  vpr_ros retrieve database/ queries/ --encoder mixvpr-512
  vpr_ros retrieve images/ --sequence --revisits revisits.csv
  vpr_ros retrieve walk.mcap --altered --tolerance 2 --encoder gem-lite
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "retrieve",
        help="plain retrieval: recall at 1, 5 and 10",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("database", metavar="DATABASE", help="images to find, or one recording")
    parser.add_argument("queries", metavar="QUERIES", nargs="?", help="images to find them by")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--sequence", action="store_true", help="search one recording backwards in time")
    kinds.add_argument("--altered", action="store_true", help="search each image of one recording, altered, among all")
    options.add_settings_options(options.add_encoder_options(parser))
    options.add_source_options(parser)
    ways = options.add_truth_options(parser)
    ways.add_argument(
        "--tolerance",
        type=int,
        metavar="N",
        help="both folders are in step; right is the same position +- N images (--altered: +- N keyframes, 0)",
    )
    parser.add_argument("--query-poses", metavar="FILE", help="poses of QUERIES in the frame of --poses (as --poses)")
    options.add_json_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Rank, judge and print the figures."""
    from vpr_ros.cli.errors import UsageError
    from vpr_ros.evaluation import retrieval_result

    is_one = arguments.sequence or arguments.altered
    if is_one == (arguments.queries is not None):
        raise UsageError(
            "give either DATABASE and QUERIES, or one SOURCE with --sequence or --altered; "
            + ("leave out QUERIES" if is_one else "add QUERIES, --sequence or --altered")
        )
    if arguments.altered:
        return _run_altered(arguments)
    retrieval, truth_of = _ranked_sequence(arguments) if arguments.sequence else _ranked_folders(arguments)
    truth = truth_of(retrieval)
    result = retrieval_result(retrieval, truth)
    output = output_for_people(arguments)
    recalls = [(f"recall at {depth}", recall) for depth, recall in result.recall_at.items()]
    more = [
        ("recall at 100 % precision", result.recall_at_100_precision),
        ("average precision", result.average_precision),
    ]
    print_table(("figure", "value"), recalls + more, output)
    print(
        f"{result.queries} queries with a right image among {result.database}; {result.encoder}, "
        f"{result.seconds:.1f} s. {truth.about}",
        file=output,
    )
    write_json(arguments, result)
    return 0


def _run_altered(arguments: argparse.Namespace) -> int:
    from vpr_ros.cli.errors import UsageError
    from vpr_ros.encoders import open_encoder
    from vpr_ros.evaluation import altered_result, retrieve_altered
    from vpr_ros.sources import open_source

    if any(value is not None for value in (arguments.poses, arguments.revisits, arguments.query_poses)):
        raise UsageError("--altered knows what is right, expected no --poses, --query-poses or --revisits")
    settings = options.settings(arguments)
    with open_source(arguments.database, options.source_options(arguments)) as source:
        encoder = open_encoder(settings.choice.encoder, settings.choice.engine)
        with progress("images", len(source)) as advance:
            retrieval = retrieve_altered(source, encoder, settings.keyframes, arguments.tolerance or 0, advance)
    result = altered_result(retrieval)
    output = output_for_people(arguments)
    rows = [
        (row.alteration, *row.recall_at.values(), row.recall_at_100_precision, row.average_precision)
        for row in result.altered
    ]
    recalls = [f"recall at {depth}" for depth in result.altered[0].recall_at]
    print_table(("altered", *recalls, "at 100 % precision", "average precision"), rows, output)
    print(
        f"{result.images} keyframes, each searched among all; right is the same one within {result.tolerance}. "
        f"{result.encoder}, {result.seconds:.1f} s.",
        file=output,
    )
    write_json(arguments, result)
    return 0


def _ranked_folders(arguments: argparse.Namespace) -> tuple[Retrieval, TruthOf]:
    from vpr_ros.encoders import open_encoder
    from vpr_ros.evaluation import retrieve
    from vpr_ros.sources import open_source

    choice = options.settings(arguments).choice
    reading = options.source_options(arguments)
    with open_source(arguments.database, reading) as database, open_source(arguments.queries, reading) as queries:
        truth_of = _truth_of_folders(arguments, database, queries)
        encoder = open_encoder(choice.encoder, choice.engine)
        with progress("images", len(database) + len(queries)) as advance:
            return retrieve(database, queries, encoder, advance), truth_of


def _ranked_sequence(arguments: argparse.Namespace) -> tuple[Retrieval, TruthOf]:
    from vpr_ros.encoders import open_encoder
    from vpr_ros.evaluation import retrieve_sequence
    from vpr_ros.sources import open_source

    settings = options.settings(arguments)
    with open_source(arguments.database, options.source_options(arguments)) as source:
        truth_of = _truth_of_sequence(arguments, source)
        encoder = open_encoder(settings.choice.encoder, settings.choice.engine)
        with progress("images", len(source)) as advance:
            return retrieve_sequence(source, encoder, settings, advance), truth_of


def _truth_of_folders(arguments: argparse.Namespace, database: Source, queries: Source) -> TruthOf:
    from vpr_ros.evaluation import frame_names
    from vpr_ros.evaluation.retrieval_truth import known_before, poses_of_two, positions_in_names
    from vpr_ros.scoring import ToleranceTruth, read_revisits

    if arguments.tolerance is not None:
        return known_before(ToleranceTruth(arguments.tolerance))
    if arguments.revisits is not None:
        return known_before(read_revisits(arguments.revisits, frame_names(queries), frame_names(database)))
    if arguments.poses is not None:
        ours = options.poses(arguments.query_poses or arguments.poses, queries)
        return poses_of_two(options.poses(arguments.poses, database), ours, options.pose_rules(arguments))
    return known_before(positions_in_names(database, queries, arguments.radius_m))


def _truth_of_sequence(arguments: argparse.Namespace, source: Source) -> TruthOf:
    from vpr_ros.cli.errors import UsageError
    from vpr_ros.evaluation import frame_names
    from vpr_ros.evaluation.retrieval_truth import known_before, poses_of_sequence
    from vpr_ros.scoring import read_revisits

    if arguments.tolerance is not None or arguments.query_poses is not None:
        raise UsageError("--tolerance and --query-poses compare two folders, expected --revisits or --poses here")
    if arguments.revisits is not None:
        return known_before(read_revisits(arguments.revisits, frame_names(source)))
    return poses_of_sequence(options.poses(arguments.poses or "source", source), options.pose_rules(arguments))
