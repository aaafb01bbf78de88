"""``vpr_ros evaluate``: run several recordings and put them on one page."""

from __future__ import annotations

import argparse

from vpr_ros.cli import options
from vpr_ros.cli.loops import add_run_options, judged_run
from vpr_ros.cli.options import Commands
from vpr_ros.cli.printing import print_table

_ABOUT = f"""\
Run recordings one after another, each with a map of its own, judge them and write one HTML page about all of them.

{options.SOURCE_HELP}
Truth given by --poses FILE or --revisits FILE is that of every SOURCE; '--poses source' takes each one's own.
"""
_EXAMPLES = """\
examples:
  vpr_ros evaluate 'sim:office?laps=2' 'sim:office?laps=2&light=night' --poses source --report sim.html
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "evaluate",
        help="run recordings, judge them, one HTML page",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="recordings or simulated robots")
    add_run_options(parser)
    parser.add_argument(
        "--report",
        type=options.output_file,
        default="vpr_ros_report.html",
        metavar="FILE",
        help="HTML page to write (vpr_ros_report.html)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run and judge each source, write the page, print a line a source."""
    import sys

    from vpr_ros.evaluation import headline, render_report, section_of, thumbnails_of, write_whole

    settings = options.settings(arguments)
    sections, rows, wrong = [], [], 0
    for uri in arguments.sources:
        with judged_run(arguments, uri, settings) as (recording, assessment, place_map):
            sections.append(section_of(recording, assessment, settings, thumbnails_of(place_map)))
        figures = assessment.figures if assessment else None
        rows.append((uri, headline(recording, assessment), figures.recall if figures else None, recording.seconds))
        wrong += figures.wrong if figures else 0
    write_whole(arguments.report, render_report(sections))
    print_table(("source", "verdict", "recall", "seconds"), rows, sys.stdout)
    print(f"report: {arguments.report.resolve()}")
    return 1 if wrong else 0
