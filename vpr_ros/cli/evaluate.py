"""``vpr_ros evaluate``: run several recordings and put them on one page."""

from __future__ import annotations

import argparse

from vpr_ros.cli import options
from vpr_ros.cli.loops import add_run_options, judged_run
from vpr_ros.cli.options import Commands
from vpr_ros.cli.printing import output_for_people, print_table, write_json

_ABOUT = f"""\
Run recordings one after another, each with a map of its own, judge them and write one HTML page about all of them.

{options.SOURCE_HELP}
Truth given by --poses FILE or --revisits FILE is that of every SOURCE; '--poses source' takes each one's own.
"""
_EXAMPLES = """\
examples:
  vpr_ros evaluate images/ --revisits revisits.csv --require 'recall>=0.8' --require 'wrong==0'
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
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="FIGURE>=N",
        help="end with 1 unless each source reaches this, such as 'recall>=0.8' or 'wrong==0'; may be repeated",
    )
    options.add_json_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run and judge each source, write the page, print a line a source and what was required in vain."""
    from vpr_ros.cli.errors import UsageError
    from vpr_ros.evaluation import (
        EvaluationResult,
        Requirement,
        headline,
        loops_result,
        render_report,
        section_of,
        write_whole,
    )

    settings = options.settings(arguments)
    requirements = [Requirement.parse(text) for text in arguments.require]
    if arguments.poses is None and arguments.revisits is None and any(r.needs_truth for r in requirements):
        raise UsageError("--require asks for a figure that only truth can tell, expected --poses or --revisits as well")
    sections, rows, results = [], [], []
    for uri in arguments.sources:
        with judged_run(arguments, uri, settings) as (recording, assessment, place_map):
            sections.append(section_of(recording, assessment, settings, place_map))
        results.append(loops_result(recording, assessment))
        recall = assessment.figures.recall if assessment else None
        rows.append((uri, headline(recording, assessment), recall, recording.seconds))
    write_whole(arguments.report, render_report(sections))
    shortfalls = (requirement.shortfall(result) for requirement in requirements for result in results)
    result = EvaluationResult(tuple(results), tuple(filter(None, shortfalls)), str(arguments.report))
    output = output_for_people(arguments)
    print_table(("source", "verdict", "recall", "seconds"), rows, output)
    for sentence in result.unmet:
        print(f"not met: {sentence}", file=output)
    print(f"report: {arguments.report.resolve()}", file=output)
    write_json(arguments, result)
    return 1 if result.unmet or any(run.truth is not None and run.truth.wrong for run in results) else 0
