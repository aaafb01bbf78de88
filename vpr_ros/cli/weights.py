"""``vpr_ros weights``: which weights are here, where the others come from, and fetching them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from vpr_ros.cli.options import Commands, add_json_option
from vpr_ros.cli.printing import output_for_people, print_table, write_json
from vpr_ros.cli.progress import byte_progress

if TYPE_CHECKING:
    from vpr_ros.encoders import FetchedWeights

_ABOUT_FETCH = """\
Download the weights of an encoder into your weights folder ($VPR_ROS_WEIGHTS, else ~/.local/share/vpr_ros/weights). A
download that broke off goes on where it stopped. Without a network it says what to put where.
"""


def add_commands(commands: Commands) -> None:
    """Add the group."""
    weights = commands.add_parser(
        "weights", help="list and fetch encoder weights", description="Which weights are here, and getting the others."
    )
    group = weights.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listing = group.add_parser(
        "list",
        help="say which weights are here and where the others come from",
        description="Say which weights are here, under which licence, and where the others come from.",
    )
    add_json_option(listing)
    listing.set_defaults(run=run_list)

    fetch = group.add_parser("fetch", help="download weights", description=_ABOUT_FETCH)
    name = fetch.add_argument("name", metavar="NAME", help="a name that 'vpr_ros weights list' lists")
    name.completer = _names  # type: ignore[attr-defined]  # argcomplete looks for this attribute
    fetch.add_argument(
        "--from", dest="address", metavar="URL", help="take the file from here, such as a mirror (its authors' address)"
    )
    fetch.add_argument("--sha256", metavar="HEX", help="refuse a file with another sha256 (the authors state none)")
    add_json_option(fetch)
    fetch.set_defaults(run=run_fetch)


def run_list(arguments: argparse.Namespace) -> int:
    """Print a line a network."""
    from vpr_ros.evaluation import weights_list

    listed = weights_list()
    rows = [(w.name, w.state, w.licence, w.path or w.where) for w in listed.weights]
    output = output_for_people(arguments)
    print_table(("weights", "state", "licence", "file, or where from"), rows, output)
    exported = ", ".join(w.name for w in listed.weights if w.needs_export)
    print(f"export with their authors' code, then give a recipe (docs/encoders.md): {exported}", file=output)
    write_json(arguments, listed)
    return 0


def run_fetch(arguments: argparse.Namespace) -> int:
    """Download and print where the file is."""
    from vpr_ros.encoders import fetch_weights
    from vpr_ros.evaluation import fetch_result

    with byte_progress(arguments.name) as progress:
        fetched = fetch_weights(arguments.name, address=arguments.address, sha256=arguments.sha256, progress=progress)
    print(_told(fetched), file=sys.stderr)
    print(fetched.path, file=output_for_people(arguments))
    write_json(arguments, fetch_result(fetched))
    return 0


def _told(fetched: FetchedWeights) -> str:
    what = "was there before" if fetched.was_there else "fetched"
    use = (
        "export it with its authors' code, then write a recipe (docs/encoders.md)"
        if fetched.needs_export
        else f"use it with '--encoder {fetched.name}' where torch is installed, or run 'vpr_ros export {fetched.name}'"
    )
    return (
        f"{fetched.name} {what}: {fetched.size / 1e6:.1f} MB, sha256 {fetched.sha256}; licence {fetched.licence}; {use}"
    )


def _names(**_: object) -> list[str]:
    from vpr_ros.encoders import known_weights

    return [weights.name for weights in known_weights()]
