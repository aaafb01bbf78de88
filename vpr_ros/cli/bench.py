"""``vpr_ros bench``: measure the hot paths on this machine, each against a named peer."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vpr_ros.cli import options
from vpr_ros.cli.options import Commands, add_json_option
from vpr_ros.cli.printing import output_for_people, print_table, write_json
from vpr_ros.cli.progress import progress

if TYPE_CHECKING:
    from vpr_ros.evaluation import Benchmark

DEFAULT_SOURCE = "sim:"
_ABOUT = """\
Measure a hot path on this machine. Every claim is a ratio: a peer's time over ours, so above 1 is faster than the peer.
"""


def add_commands(commands: Commands) -> None:
    """Add the group."""
    group = commands.add_parser("bench", help="measure speed against named peers", description=_ABOUT)
    benches = group.add_subparsers(title="benchmarks", metavar="NAME", required=True)
    encode = benches.add_parser("encode", help="an image to a descriptor", description="Time of encoding an image.")
    gpu = benches.add_parser(
        "gpu",
        help="MixVPR-512 on an NVIDIA GPU",
        description="Time of MixVPR-512 (random weights) on the GPU: plain torch in fp32; ours in fp16, one image and "
        "sixteen at a time; the least time that its arithmetic and memory allow on this GPU. Needs torch with CUDA.",
    )
    rerank = benches.add_parser(
        "rerank", help="re-ranking candidates", description="Time of describing and scoring patches."
    )
    search = benches.add_parser("search", help="search in maps of several sizes", description="Time of a search.")
    growth = benches.add_parser(
        "growth", help="adding places while the map grows", description="Time of adding a place while the map grows."
    )
    pipeline = benches.add_parser(
        "pipeline",
        help="the whole path, image to decision",
        description=f"Time of the whole path by stage, and ORB with brute-force matching.\n\n{options.SOURCE_HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for parser, run in (
        (encode, run_encode),
        (gpu, run_gpu),
        (rerank, run_rerank),
        (search, run_search),
        (growth, run_growth),
        (pipeline, run_pipeline),
    ):
        add_json_option(parser)
        # Peers are measured with the threads that they take; the whole path runs as it does on a robot.
        parser.set_defaults(run=run, many_blas_threads=parser is not pipeline)
    options.add_encoder_options(encode)
    options.add_settings_options(options.add_encoder_options(pipeline))
    pipeline.add_argument(
        "source", nargs="?", metavar="SOURCE", default=DEFAULT_SOURCE, help=f"recording ({DEFAULT_SOURCE})"
    )
    options.add_source_options(pipeline)


def run_encode(arguments: argparse.Namespace) -> int:
    """Measure the encoder."""
    from vpr_ros.detection.settings import DetectorChoice
    from vpr_ros.evaluation.benchmark_encode import bench_encode

    name = arguments.encoder or DetectorChoice().encoder
    with progress("images", 0) as advance:
        benchmark = bench_encode(name, arguments.engine or "auto", on_image=advance)
    return _print(arguments, benchmark)


def run_gpu(arguments: argparse.Namespace) -> int:
    """Measure the GPU.

    Raises:
        VprError: There is no torch, or no GPU.
    """
    from vpr_ros.evaluation.benchmark_gpu import bench_gpu

    with progress("images", 0) as advance:
        benchmark = bench_gpu(on_image=advance)
    return _print(arguments, benchmark)


def run_rerank(arguments: argparse.Namespace) -> int:
    """Measure re-ranking."""
    from vpr_ros.evaluation.benchmark_rerank import bench_rerank

    return _print(arguments, bench_rerank())


def run_search(arguments: argparse.Namespace) -> int:
    """Measure the search."""
    from vpr_ros.evaluation.benchmark_search import bench_search

    return _print(arguments, bench_search())


def run_growth(arguments: argparse.Namespace) -> int:
    """Measure adding places."""
    from vpr_ros.evaluation.benchmark_search import bench_growth

    return _print(arguments, bench_growth())


def run_pipeline(arguments: argparse.Namespace) -> int:
    """Measure the whole path."""
    from vpr_ros.encoders import open_encoder
    from vpr_ros.evaluation.benchmark_pipeline import bench_pipeline
    from vpr_ros.sources import open_source

    settings = options.settings(arguments)
    encoder = open_encoder(settings.choice.encoder, settings.choice.engine)
    with (
        open_source(arguments.source, options.source_options(arguments)) as source,
        progress("images", len(source)) as advance,
    ):
        benchmark = bench_pipeline(source, encoder, settings, advance)
    return _print(arguments, benchmark)


def _print(arguments: argparse.Namespace, benchmark: Benchmark) -> int:
    from vpr_ros.evaluation import bench_result

    output = output_for_people(arguments)
    rows = [
        (
            row.what,
            "peer" if row.peer else "",
            row.p50_ms,
            row.p95_ms,
            ", ".join(f"{k} {_short(v)}" for k, v in row.more.items()),
        )
        for row in benchmark.rows
    ]
    print_table(("what", "", "p50 ms", "p95 ms", "more"), rows, output)
    for name, ratio in benchmark.ratios.items():
        print(f"{name}: {ratio:.2f}", file=output)
    write_json(arguments, bench_result(benchmark))
    return 0


def _short(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
