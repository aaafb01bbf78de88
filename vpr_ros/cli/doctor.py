"""``vpr_ros doctor``: what works on this machine."""

from __future__ import annotations

import argparse

from vpr_ros.cli.options import Commands, add_json_option
from vpr_ros.cli.printing import output_for_people, write_json

_ABOUT = """\
Try everything vpr_ros needs and say what works, what is missing, and what to do about it. Ends with 0 if the main job,
finding loops in a recording, can run. What only other jobs need is marked 'optional'.
"""
_COLOURS = {"ok": "32", "missing": "31", "optional": "33"}


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("doctor", help="say what works here and what is missing", description=_ABOUT)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line a finding as it comes."""
    from vpr_ros.evaluation import Checkup, check_installation

    output = output_for_people(arguments)
    findings = []
    for finding in check_installation():
        findings.append(finding)
        advice = f"  -> {finding.advice}" if finding.advice else ""
        print(
            f"{_mark(finding.state, coloured=output.isatty())} {finding.what:24} {finding.seen}{advice}",
            file=output,
            flush=True,
        )
    is_fit = all(finding.state != "missing" for finding in findings)
    print("vpr_ros can find loops here." if is_fit else "vpr_ros can't find loops here yet.", file=output)
    write_json(arguments, Checkup(fit=is_fit, findings=tuple(findings)))
    return 0 if is_fit else 1


def _mark(state: str, *, coloured: bool) -> str:
    return f"\033[{_COLOURS[state]}m{state:8}\033[0m" if coloured else f"{state:8}"
