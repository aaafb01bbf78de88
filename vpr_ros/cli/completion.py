"""``vpr_ros completion``: completion of commands, options and encoder names in the shell."""

from __future__ import annotations

import argparse

from vpr_ros.cli.options import Commands

_ABOUT = """\
Print what the shell needs to complete vpr_ros with the Tab key. Put this line into ~/.bashrc:

  eval "$(vpr_ros completion)"

and for zsh or fish the same with their name: vpr_ros completion zsh, vpr_ros completion fish | source
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "completion",
        help="print what the shell needs for completion",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", nargs="?", default="bash", choices=("bash", "zsh", "fish"), help="your shell (bash)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from argcomplete import shell_integration

    print(shell_integration.shellcode(["vpr_ros"], shell=arguments.shell))
    return 0
