"""``vpr_ros calibrate``: probability and thresholds from the user's own labelled recordings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vpr_ros.cli import options
from vpr_ros.cli.options import Commands
from vpr_ros.cli.printing import print_table
from vpr_ros.cli.progress import progress

if TYPE_CHECKING:
    from vpr_ros.detection import Settings
    from vpr_ros.encoders import Encoder
    from vpr_ros.evaluation import Recording
    from vpr_ros.scoring import Truth

_ABOUT = f"""\
Learn from labelled recordings how sure to be: the probability that a candidate is right, from all that the stages saw
of it. A closure is accepted where that probability reaches the setting target_precision.

{options.SOURCE_HELP}
Truth (--poses or --revisits) is that of every SOURCE; '--poses source' takes each one's own. Twenty right and twenty
wrong best candidates are the least; several laps of several places make a policy that holds elsewhere too.
"""
_EXAMPLES = """\
examples:
  vpr_ros calibrate my_bag --poses poses.txt --out policy.yaml
  vpr_ros loops tuesday.mcap --set policy=policy.yaml --set target_precision=0.995
  vpr_ros calibrate sim:office sim:garden 'sim:court?light=night_lap2' --poses source --out policy.yaml
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "calibrate",
        help="learn the probability from labelled recordings",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="labelled recordings or simulated robots")
    parser.add_argument(
        "--out", type=options.output_file, default=Path("policy.yaml"), metavar="FILE", help="policy.yaml by default"
    )
    options.add_settings_options(options.add_encoder_options(parser))
    options.add_source_options(parser)
    options.add_truth_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run each recording with open eyes, fit, write the policy and print how far it can be trusted."""
    from vpr_ros.detection.calibration import all_seen
    from vpr_ros.detection.policy import policy_as_yaml
    from vpr_ros.encoders import open_encoder
    from vpr_ros.evaluation import calibrate, write_whole

    asked = options.settings(arguments, map="")
    settings = all_seen(asked)
    encoder = open_encoder(settings.choice.encoder, settings.choice.engine)
    judged = [_seen(arguments, uri, encoder, settings) for uri in arguments.sources]
    outcome = calibrate(judged, encoder.recipe, name=", ".join(arguments.sources))
    notes = {
        "sources": list(arguments.sources),
        "right": outcome.right,
        "wrong": outcome.wrong,
        "reliability": [{"pairs": b.count, "said": round(b.said, 3), "true": round(b.true, 3)} for b in outcome.bins],
    }
    write_whole(arguments.out, policy_as_yaml(outcome.policy, notes))
    rows = [(bin_.count, bin_.said, bin_.true) for bin_ in outcome.bins]
    print_table(("pairs", "probability said", "share that is right"), rows, sys.stdout)
    print(f"{outcome.right} right and {outcome.wrong} wrong best candidates. Policy: {arguments.out.resolve()}")
    print(f"use it with: --set policy={arguments.out}")
    target, reached = asked.thresholds.target_precision, outcome.reachable_precision
    if reached < target:
        print(
            f"But nothing will be accepted with it at target_precision {target:g}: that many pairs vouch for "
            f"{reached:.3f} at most. Add recordings, or lower it with --set target_precision."
        )
    return 0


def _seen(arguments: argparse.Namespace, uri: str, encoder: Encoder, settings: Settings) -> tuple[Recording, Truth]:
    from vpr_ros.detection import LoopDetector
    from vpr_ros.detection.calibration import SWITCHED_OFF
    from vpr_ros.evaluation import run_recording
    from vpr_ros.place_map import PlaceMap
    from vpr_ros.sources import open_source

    with (
        open_source(uri, options.source_options(arguments)) as source,
        PlaceMap.in_memory(encoder.recipe) as place_map,
    ):
        truth_of = options.truth(arguments, source)
        with progress(f"images of {uri}", len(source)) as advance:
            detector = LoopDetector(encoder, place_map, settings, SWITCHED_OFF)
            recording = run_recording(source, detector, lambda *_: advance())
        return recording, truth_of(recording)
