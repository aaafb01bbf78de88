"""``vpr_ros sources``: what SOURCE may be, and where the simulated robot can drive."""

from __future__ import annotations

import argparse

from vpr_ros.cli.options import Commands, add_json_option
from vpr_ros.cli.printing import output_for_people, print_table, write_json

_ABOUT = "List the kinds of recordings that can be given as SOURCE, and the routes of the simulated robot."


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("sources", help="list what SOURCE may be, and the robot's routes", description=_ABOUT)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line a kind, examples, and a line a route."""
    from vpr_ros.sources import ROBOT_SCHEME, list_sources

    listed = list_sources()
    output = output_for_people(arguments)
    print_table(("source", "what it is"), [(kind.name, kind.about) for kind in listed.kinds], output)
    print("\nexamples:", file=output)
    for kind in listed.kinds:
        for example in kind.examples:
            print(f"  vpr_ros loops {example}", file=output)
    print(file=output)
    rows = [(f"{ROBOT_SCHEME}{r.name}", round(r.length_m), r.max_shift_m, r.about) for r in listed.routes]
    print_table(("route", "a lap, m", "shift_m up to", "what one sees"), rows, output)
    write_json(arguments, listed)
    return 0
