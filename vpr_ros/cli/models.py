"""``vpr_ros encoders`` and ``vpr_ros export``: which encoders there are, and ONNX files of their checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

from vpr_ros.cli.options import Commands, add_json_option
from vpr_ros.cli.printing import output_for_people, print_table, write_json


def add_commands(commands: Commands) -> None:
    """Add both commands."""
    encoders = commands.add_parser(
        "encoders",
        help="list the encoders",
        description="List the encoders, their licences and whether weights are here.",
    )
    add_json_option(encoders)
    encoders.set_defaults(run=run_encoders)

    export = commands.add_parser(
        "export",
        help="make an encoder's ONNX file",
        description="Make an encoder's ONNX file, and the recipe beside it, from its checkpoint. Needs torch and onnx.",
        epilog="example:\n  vpr_ros export mixvpr-512 --checkpoint mixvpr.ckpt --out ~/.local/share/vpr_ros/weights",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("encoder", metavar="ENCODER", help="a name that 'vpr_ros encoders' lists")
    export.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="trained weights (looked for in your weights folder)"
    )
    export.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="ONNX file to write, or a folder for it"
    )
    export.set_defaults(run=run_export)


def run_encoders(arguments: argparse.Namespace) -> int:
    """Print a line an encoder."""
    from vpr_ros.evaluation import encoder_list

    listed = encoder_list()
    output = output_for_people(arguments)
    rows = [
        (e.name, "ready" if e.present else "no weights", e.dim, e.input_size, e.licence, e.about)
        for e in listed.encoders
    ]
    print_table(("encoder", "weights", "dim", "input", "licence", "what it is"), rows, output)
    for encoder in listed.encoders:
        if encoder.advice:
            print(f"{encoder.name}: {encoder.advice}", file=output)
    write_json(arguments, listed)
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """Write the ONNX file and print where it is."""
    from vpr_ros.encoders import export_encoder

    print(export_encoder(arguments.encoder, arguments.out, arguments.checkpoint))
    return 0
