"""``vpr_ros train``: a network of one's own that knows places."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vpr_ros.cli.options import Commands, add_json_option
from vpr_ros.cli.printing import output_for_people, print_table, write_json
from vpr_ros.cli.progress import progress

_EPILOG = """\
examples:
  vpr_ros train config/training/mixvpr-lite.yaml --data ~/places --out ~/trainings/mixvpr-lite
  vpr_ros train config/training/mixvpr-lite.yaml --data ~/places --out ~/trainings/mixvpr-lite --resume
  torchrun --nproc-per-node 4 -m vpr_ros.cli train my.yaml --out out      several GPUs

docs/training.md lists every setting.
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "train",
        help="train an encoder",
        description="Train an encoder from a config, and write its ONNX file, recipe and model card. Needs torch.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help="what to train, from what and how; YAML")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where data sets lie (data.root of the config)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where results are written (out of the config)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    add_json_option(parser)
    parser.set_defaults(run=run_train, many_blas_threads=True)  # principal axes are large products


def run_train(arguments: argparse.Namespace) -> int:
    """Train, and print what came out."""
    from vpr_ros.encoders.engines.engine import first_line
    from vpr_ros.training.config_file import read_config
    from vpr_ros.training.errors import TrainingError

    config = read_config(arguments.config)
    root = arguments.data or arguments.config.parent / Path(config.data.root).expanduser()
    try:
        from vpr_ros.training.train import train
    except Exception as error:  # A broken library can raise anything.
        raise TrainingError(
            f"training needs torch, onnx and pytorch-metric-learning: {first_line(error)}; 'pip install torch onnx "
            "pytorch-metric-learning'"
        ) from error
    result = train(
        config,
        root,
        arguments.out or Path(config.out).expanduser(),
        resume=arguments.resume,
        progress=_counting,
        on_epoch=lambda figures: print(figures, file=sys.stderr, flush=True),
    )
    if result is None:
        return 0
    output = output_for_people(arguments)
    rows = [
        (s.name, s.queries, s.recall_at[1], s.recall_at[5], s.recall_at[10], s.recall_at_100_precision)
        for s in result.exported.sets
    ]
    if rows:
        print_table(("validation set", "queries", "R@1", "R@5", "R@10", "R at 100 % precision"), rows, output)
    if result.corrupt:
        print(f"{result.corrupt} images could not be read, see skipped.csv", file=output)
    print(result.onnx, file=output)
    write_json(arguments, result)
    return 0


@contextmanager
def _counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes how many more are done."""
    with progress(what, total) as advance:

        def advance_by(count: int) -> None:
            for _ in range(count):
                advance()

        yield advance_by
