"""``vpr_ros map``: what a stored map holds, and whether it is whole."""

from __future__ import annotations

import argparse
from pathlib import Path

from vpr_ros.cli.options import Commands, add_json_option
from vpr_ros.cli.printing import output_for_people, write_json


def add_commands(commands: Commands) -> None:
    """Add the group."""
    group = commands.add_parser("map", help="look at a stored map", description="Look at a stored map, NAME.vprmap.")
    actions = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    info = actions.add_parser("info", help="say what it holds", description="Say what a map holds; it is only read.")
    check = actions.add_parser(
        "check",
        help="read all of it and say whether it is whole",
        description="Read every byte of a map and check it. Ends with 0 if the map is whole, 1 if it is damaged.",
    )
    for parser, run in ((info, run_info), (check, run_check)):
        parser.add_argument("map", type=Path, metavar="MAP", help="map folder, such as office.vprmap")
        add_json_option(parser)
        parser.set_defaults(run=run)


def run_info(arguments: argparse.Namespace) -> int:
    """Print what the map holds."""
    from vpr_ros.place_map import map_facts

    facts = map_facts(arguments.map)
    recipe = facts.recipe
    output = output_for_people(arguments)
    print(f"{facts.places} places in {len(facts.sessions)} sessions, {facts.size_bytes / 2**20:.1f} MiB", file=output)
    print(f"encoder {recipe.name}, {recipe.dim} values a place, licence {recipe.licence}", file=output)
    print(f"weights sha256 {recipe.weights_sha256}", file=output)
    write_json(arguments, facts)
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    """Print everything that is wrong with the map."""
    from vpr_ros.evaluation import MapCheck
    from vpr_ros.place_map import check_map

    check = MapCheck(str(arguments.map), tuple(check_map(arguments.map)))
    output = output_for_people(arguments)
    for problem in check.problems:
        print(problem, file=output)
    print(f"{arguments.map} is damaged" if check.problems else f"{arguments.map} is whole", file=output)
    write_json(arguments, check)
    return 1 if check.problems else 0
