"""The program ``vpr_ros``: reads the command, runs it, turns what went wrong into one line and an exit status."""

# PYTHON_ARGCOMPLETE_OK
from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import vpr_ros
from vpr_ros.cli import (
    bench,
    calibrate,
    completion,
    doctor,
    evaluate,
    loops,
    maps,
    models,
    relocalize,
    retrieve,
    sources,
    train,
    weights,
)

_ABOUT = """\
Find out when a robot is back where it has been: loop closure and relocalization by visual place recognition.
"""
_EXAMPLES = """\
first steps:
  vpr_ros doctor                                  what works on this machine, what is missing
  vpr_ros loops my_bag --report loops.html        find loops in a recording and look at them
  vpr_ros loops images/ --revisits revisits.csv   the same, judged against truth
  vpr_ros COMMAND --help                          options, units and defaults of a command

exit status: 0 done and sound; 1 done, but a requirement failed, such as a wrong closure against truth; 2 could not be
done. Results are written to standard output, progress and words to standard error.
"""
_INTERRUPTED = 130
_PIPE_CLOSED = 141


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and where help is, and end with 2."""
        self.exit(2, f"{self.prog}: {message}; '{self.prog} --help' explains\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the whole command line, without importing anything that a command needs."""
    parser = _Parser(
        prog="vpr_ros", description=_ABOUT, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"vpr_ros {vpr_ros.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in (
        loops,
        retrieve,
        relocalize,
        evaluate,
        calibrate,
        models,
        train,
        weights,
        maps,
        sources,
        doctor,
        bench,
        completion,
    ):
        group.add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    return _run(parser.parse_args(argv))


def _run(arguments: argparse.Namespace) -> int:
    if not getattr(arguments, "many_blas_threads", False):
        # numpy reads it when it is loaded. Its products here are small: a second thread gains nothing, and the time
        # that it spins while it waits is missing for the network and the features (docs/robot.md).
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from vpr_ros.core import VprError  # here, because it brings numpy, and --help is to be quick

    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except VprError as error:
        print("vpr_ros:", *str(error).split(), file=sys.stderr)  # one line, whatever a library said
        return 2
    except KeyboardInterrupt:
        print("vpr_ros: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # Whoever read it has had enough.
        return _PIPE_CLOSED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _drop_output()
        print(f"vpr_ros: can't write all that was asked for: {error}; make space", file=sys.stderr)
        return 2
    return status


def _drop_output() -> None:
    """Let go of what was not written: Python would complain again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
