"""``vpr_ros encoders`` and ``vpr_ros export``: which encoders there are, and ONNX files of their checkpoints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vpr_ros.cli.options import Commands, add_json_option
from vpr_ros.cli.printing import output_for_people, print_table, write_json

if TYPE_CHECKING:
    from vpr_ros.evaluation import EncoderState

_EXPORT = """\
Make an encoder's ONNX file, and the recipe beside it, from its checkpoint; needs torch and onnx. With --precision int8
make the quantized form of an ONNX file for OpenVINO; needs nncf. With --engine tensorrt build the engine of this
machine's GPU ahead of time. Without an ENCODER, list the engines and why one is not here.
"""


def add_commands(commands: Commands) -> None:
    """Add both commands."""
    encoders = commands.add_parser(
        "encoders",
        help="list the encoders",
        description="List the encoders, their licences and whether weights are here.",
    )
    add_json_option(encoders)
    encoders.set_defaults(run=run_encoders)
    _add_export(commands)


def _add_export(commands: Commands) -> None:
    export = commands.add_parser(
        "export",
        help="make an encoder's ONNX file, its int8 form, or its TensorRT engine",
        description=_EXPORT,
        epilog="examples:\n"
        "  vpr_ros export mixvpr-512 --checkpoint mixvpr.ckpt --out ~/.local/share/vpr_ros/weights\n"
        "  vpr_ros export mixvpr-lite --dim 128 --stored-in-half --out small/\n"
        "  vpr_ros export mixvpr-512 --precision int8 --images photos --out ~/.local/share/vpr_ros/weights\n"
        "  vpr_ros export mixvpr-512 --engine tensorrt --precision fp16",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument(
        "encoder",
        nargs="?",
        metavar="ENCODER",
        help="a name that 'vpr_ros encoders' lists; 'mixvpr', 'netvlad', 'cosplace' or 'eigenplaces' for whatever "
        "variant FILE holds, 'checkpoint' for whatever network",
    )
    export.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="trained weights (looked for in your weights folder)"
    )
    export.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="ONNX file to write, or a folder for it (made where missing; int8: a folder)",
    )
    export.add_argument(
        "--engine",
        choices=("onnxruntime", "openvino", "tensorrt"),
        help="what is to run it (any that takes ONNX files)",
    )
    export.add_argument(
        "--precision", choices=("fp32", "fp16", "bf16", "int8"), default="fp32", help="arithmetic of the engine (fp32)"
    )
    export.add_argument(
        "--images", type=Path, metavar="FOLDER", help="images like those the robot sees, at least 24, for int8"
    )
    export.add_argument(
        "--size",
        type=_size,
        metavar="WxH",
        help="pixels of the input, for CosPlace and EigenPlaces (640x480); your camera's keeps its aspect",
    )
    export.add_argument(
        "--dim",
        type=int,
        metavar="N",
        help="keep the first N values, the strongest axes, of an encoder that 'vpr_ros train' made with a projection",
    )
    export.add_argument(
        "--stored-in-half",
        action="store_true",
        help="large weights as float16 in the file, half its size; any engine runs them in its own precision",
    )
    export.set_defaults(run=run_export)


def run_encoders(arguments: argparse.Namespace) -> int:
    """Print a line an encoder."""
    from vpr_ros.evaluation import encoder_list, weights_list

    listed = encoder_list()
    output = output_for_people(arguments)
    rows = [(e.name, _told(e), e.dim, e.input_size, e.licence, e.about) for e in listed.encoders]
    print_table(("encoder", "weights", "dim", "input", "licence", "what it is"), rows, output)
    fetchable = [weights.name for weights in weights_list().weights if weights.state == "fetch"]
    for encoder in listed.encoders:
        if encoder.advice and encoder.name not in fetchable:
            print(f"{encoder.name}: {encoder.advice}", file=output)
    print(
        "'vpr_ros weights fetch NAME' gets the weights of the others; 'vpr_ros weights list' says where from",
        file=output,
    )
    write_json(arguments, listed)
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """Make what was asked for and print where it is."""
    from vpr_ros.encoders import export_encoder, open_encoder, quantize_encoder

    if arguments.encoder is None:
        return _list_engines()
    if arguments.engine == "tensorrt":
        precision = "" if arguments.precision == "fp32" else f":{arguments.precision}"
        print(f"{open_encoder(arguments.encoder, f'tensorrt{precision}').engine} is built and passed its check")
        return 0
    out = _where_to(arguments)
    if arguments.precision == "int8":
        print(quantize_encoder(arguments.encoder, arguments.images, out, on_step=_say))
    else:
        made = export_encoder(
            arguments.encoder,
            out,
            arguments.checkpoint,
            size=arguments.size,
            dim=arguments.dim,
            stored_in_half=arguments.stored_in_half,
        )
        print(made)
    return 0


def _told(encoder: EncoderState) -> str:
    if encoder.is_broken:
        return "broken"
    return "ready" if encoder.present else "no weights"


def _list_engines() -> int:
    from vpr_ros.encoders import engine_states

    rows = [(state.name, state.reason or "here", state.about) for state in engine_states()]
    print_table(("engine", "here, or why not", "what it is"), rows, sys.stdout)
    return 0


def _where_to(arguments: argparse.Namespace) -> Path:
    """Return where an export goes, if what was asked for goes together."""
    from vpr_ros.cli.errors import UsageError

    if arguments.precision in ("fp16", "bf16"):
        raise UsageError(
            f"--precision {arguments.precision} needs no file of its own: an engine computes the fp32 file in it, as "
            "'--engine openvino:bf16' of 'vpr_ros loops' does; int8 needs one, and --engine tensorrt builds one"
        )
    if arguments.precision == "int8" and arguments.engine == "onnxruntime":
        raise UsageError("--precision int8 is for openvino, but --engine is onnxruntime; leave --engine out")
    changed = [f"--{name}" for name in ("checkpoint", "dim", "size", "stored_in_half") if getattr(arguments, name)]
    if arguments.precision == "int8" and changed:
        option = changed[0].replace("_", "-")
        raise UsageError(f"int8 is made of an ONNX file as it is, so {option} says nothing; export with it first")
    if arguments.precision == "int8" and arguments.images is None:
        raise UsageError("int8 takes its ranges from images like those the robot sees; give --images FOLDER")
    if arguments.out is None:
        raise UsageError("there is nowhere to write to; give --out with a file or a folder")
    out: Path = arguments.out
    return out


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _size(text: str) -> tuple[int, int]:
    width, times, height = text.partition("x")
    if not (times and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is no size, expected width x height in pixels such as 848x480")
    return int(width), int(height)
