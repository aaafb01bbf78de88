r"""Fitting the policy that ships with an encoder, by open photographs and drives of the simulated robot.

    python -m vpr_ros.training.fit_policy --photographs FOLDER --one-site 'udacity_*' 'ph_modern_buildings*' \
        --out weights/mixvpr-lite-policy.yaml

Real views say what figures weigh and what they mean without odometry: the simulator's textures repeat, and its robot
has odometry. Its drives say what they mean where odometry allows a pair.

What the policy accepts of each recording is printed, as the table of its card. ``vpr_ros calibrate`` fits one to a
user's own recordings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from vpr_ros.core import Recipe
from vpr_ros.detection import Settings
from vpr_ros.detection.calibration import (
    Label,
    LabelledCandidate,
    Queries,
    all_seen,
    best_pairs,
    fit_to_queries,
    reliability,
)
from vpr_ros.detection.policy import Policy, policy_as_yaml, read_policy
from vpr_ros.encoders import Encoder, open_encoder
from vpr_ros.training.accepted import accepted_table
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.labelled_drives import DRIVES, HELD_OUT_DRIVES, Drive, drive_queries
from vpr_ros.training.labelled_photographs import Photographs, open_rows
from vpr_ros.training.tours import tour_queries, tours_of

# What queries are for: the fit; the scales of pairs that odometry allows and of single images; or the proof.
Use = Literal["fitted", "scales", "held out"]


@dataclass(frozen=True, slots=True)
class Recording:
    """Something that gives labelled queries.

    Attributes:
        name: Distinct among all.
        use: What its queries are for.
        queries: Makes them; takes minutes.
    """

    name: str
    use: Use
    queries: Callable[[], Queries]


def recordings(encoder: Encoder, photographs: Path, one_site: Sequence[str] = ()) -> Iterator[Recording]:
    """Yield all that the shipped policy is fitted to and proven by.

    Args:
        encoder: To run.
        photographs: Folder with ``manifest.csv``; only its open images are read.
        one_site: Patterns of place names; photographs of different places that fit one count neither way.
    """
    settings = all_seen(Settings().of_encoder(encoder.recipe))
    views: list[Photographs] = []  # opened once, when first asked

    def of_split(split: str) -> Queries:
        views[:] = views or [Photographs(photographs, encoder, settings, one_site)]
        return list(views[0].queries(split))

    splits: tuple[tuple[str, Use], ...] = (("train", "fitted"), ("val", "held out"))
    for split, use in splits:
        yield Recording(f"photographs {split}", use, partial(of_split, split))
        for number, stops in enumerate(tours_of(_panoramas(photographs, split))):
            yield Recording(f"tour {split} {number}", use, partial(tour_queries, stops, number, encoder, settings))
    for drive in (*DRIVES, *HELD_OUT_DRIVES):
        yield Recording(_name(drive), _use(drive), partial(drive_queries, drive, encoder, settings))


def fit(found: Sequence[tuple[Recording, Queries]], encoder: Encoder) -> tuple[Policy, dict[str, object]]:
    """Return the policy of an encoder, and notes on what it was fitted to and how it does on what was held out."""
    by_use: dict[Use, list[Sequence[LabelledCandidate]]] = {use: [] for use in get_args(Use)}
    for recording, queries in found:
        by_use[recording.use].extend(queries)
    policy, pairs = fit_to_queries(
        by_use["fitted"],
        encoder.recipe,
        "open photographs and simulated robot",
        only_with_odometry=by_use["scales"],
    )
    # What odometry refuses never comes to the policy.
    allowed = [[c for c in query if c.figures.get("odometry") != 0] for query in by_use["held out"]]
    bins = reliability(policy, best_pairs([query for query in allowed if query], policy.log_odds))
    right = int(pairs.is_same_place.sum())
    return policy, {
        "right": right,
        "wrong": len(pairs.is_same_place) - right,
        "reliability": [{"pairs": b.count, "said": round(b.said, 3), "true": round(b.true, 3)} for b in bins],
    }


class KeptQueries:
    """Labelled queries in a file, a line of JSON a recording, so that a stopped run goes on and a fit is repeated."""

    def __init__(self, file: Path, recipe: Recipe) -> None:
        """Read what an earlier run left; a last line that was cut off is made again.

        Args:
            file: Is made with the first recording.
            recipe: Of the encoder whose queries they are.

        Raises:
            TrainingError: The file holds queries of another encoder, or of other weights.
        """
        self._file = file
        self._encoder = f"{recipe.name} {recipe.weights_sha256}"
        self._kept: dict[str, Queries] = {}
        *lines, cut_off = file.read_text(encoding="utf-8").split("\n") if file.exists() else [""]
        for line in lines:
            content = json.loads(line)
            made_by = content.get("encoder")
            if made_by != self._encoder:
                raise TrainingError(
                    f"'{file}' holds queries of encoder {made_by}, expected {self._encoder}; give another --kept, or "
                    "remove it"
                )
            self._kept[content["recording"]] = [
                [LabelledCandidate(figures, Label(label)) for label, figures in query] for query in content["queries"]
            ]
        if cut_off:
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def of(self, recording: Recording) -> Queries:
        """Return the queries of a recording, made and kept if they are not here."""
        if recording.name not in self._kept:
            queries = recording.queries()
            content = [[(candidate.label.value, dict(candidate.figures)) for candidate in query] for query in queries]
            with self._file.open("a", encoding="utf-8") as out:
                line = {"encoder": self._encoder, "recording": recording.name, "queries": content}
                out.write(json.dumps(line) + "\n")
            self._kept[recording.name] = queries
        return self._kept[recording.name]


def main() -> None:
    """Look at all recordings, fit and write."""
    parser = argparse.ArgumentParser(description="Fit the policy that ships with an encoder.")
    parser.add_argument("--encoder", default="mixvpr-lite", help="by its registered name or its ONNX file")
    parser.add_argument("--photographs", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--one-site", nargs="*", default=(), help="patterns of place names: what fits one is one site")
    parser.add_argument("--out", type=Path, required=True, help="policy file to write")
    parser.add_argument(
        "--kept",
        type=Path,
        help="labelled queries of the same folder and --one-site: read where they are, kept where not (OUT.jsonl)",
    )
    arguments = parser.parse_args()
    encoder = open_encoder(arguments.encoder)
    try:
        kept = KeptQueries(arguments.kept or arguments.out.with_suffix(".jsonl"), encoder.recipe)
    except TrainingError as error:
        parser.error(str(error))
    found = []
    for recording in recordings(encoder, arguments.photographs, arguments.one_site):
        found.append((recording, kept.of(recording)))
        sys.stderr.write(f"{recording.name}, {recording.use}: {len(found[-1][1])} queries\n")
    policy, notes = fit(found, encoder)
    arguments.out.write_text(policy_as_yaml(policy, notes), encoding="utf-8")
    written = read_policy(arguments.out)
    sys.stdout.write(accepted_table(((each.name, each.use, queries) for each, queries in found), written))


def _panoramas(photographs: Path, split: str) -> list[Path]:
    rows = open_rows(photographs)
    return [photographs / row["path"] for row in rows if row["split"] == split and row["path"].startswith("panoramas/")]


def _name(drive: Drive) -> str:
    return drive.uri if drive.size is None else f"{drive.uri} at {drive.size[0]} x {drive.size[1]}"


def _use(drive: Drive) -> Use:
    return "held out" if drive in HELD_OUT_DRIVES else "scales"


if __name__ == "__main__":
    main()
