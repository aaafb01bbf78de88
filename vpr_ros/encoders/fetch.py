"""The weights of the encoders that are known by name: where they are, where they come from, and getting them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from vpr_ros.encoders.download import FetchError, Progress, download, unwatched
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.table import EXPORTED_BY_HAND, EXPORTED_BY_THEIR_AUTHORS, TABLE, KnownEncoder
from vpr_ros.encoders.weights import (
    ExportedNetwork,
    find_checkpoint,
    find_onnx,
    is_there,
    refuse_other_network,
    sha256_of,
    user_folder,
)

State = Literal["ready", "broken", "checkpoint", "fetch", "by hand"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FetchedWeights:
    """A weights file that is in place.

    Attributes:
        name: What users say.
        path: Where it lies.
        sha256: Of the file, lower-case hex.
        size: In bytes.
        licence: SPDX identifier, or a sentence.
        was_there: Whether it lay there before, so that nothing was downloaded.
        needs_export: Whether only its authors' code can make an encoder of it (docs/encoders.md).
    """

    name: str
    path: Path
    sha256: str
    size: int
    licence: str
    was_there: bool
    needs_export: bool


@dataclass(frozen=True, slots=True)
class WeightsState:
    """Where the weights of one network are, or come from.

    Attributes:
        name: What ``weights fetch`` takes.
        about: What it is, one line.
        licence: SPDX identifier, or a sentence.
        state: ``ready``: an ONNX file is there; ``broken``: one is there that can't be opened; ``checkpoint``: one is
            there, which runs with torch or can be exported; ``fetch``: nothing is there, but a public address is known;
            ``by hand``: there is no address for programs.
        path: The file that is there, None while there is none.
        where: Where it comes from.
        needs_export: As in :class:`FetchedWeights`.
    """

    name: str
    about: str
    licence: str
    state: State
    path: Path | None
    where: str
    needs_export: bool


def known_weights() -> tuple[WeightsState, ...]:
    """Return the weights of every network that is known by name."""
    return tuple(map(_state_of, (*TABLE.values(), *EXPORTED_BY_THEIR_AUTHORS.values())))


def fetch_weights(
    name: str,
    *,
    address: str | None = None,
    sha256: str | None = None,
    progress: Progress = unwatched,
) -> FetchedWeights:
    """Download the weights of a name into the user's weights folder, unless they are there.

    Args:
        name: A name that :func:`known_weights` lists.
        address: Where to take the file from instead of its authors' address, such as a mirror; http or https.
        sha256: What the file must have, 64 hex digits; None compares nothing, for no author of the table states one.
        progress: Called with the bytes that are there and the bytes in all.

    Raises:
        FetchError: Unknown name; no address for programs; no network; a connection that breaks off (what came is kept,
            and the next call goes on from there); or another sha256 (what was downloaded is removed).
    """
    entry = _entry(name)
    wanted = None if sha256 is None else sha256.strip().lower()
    if wanted is not None and not _SHA256.fullmatch(wanted):
        raise FetchError(f"sha256 is '{sha256}', expected 64 hex digits")
    address = address or entry.address
    if not entry.file_name or address is None:
        raise FetchError(_by_hand(entry))
    present = _checkpoint_of(entry)
    path = present or user_folder() / entry.file_name
    if present is None:
        download(address, path, sha256=wanted, progress=progress)
    seen = sha256_of(path)
    if wanted not in (None, seen):
        raise FetchError(f"'{path}' was there before with sha256 {seen}, expected {wanted}; remove it and fetch again")
    return FetchedWeights(
        name, path, seen, path.stat().st_size, entry.licence, present is not None, _needs_export(entry)
    )


def _entry(name: str) -> KnownEncoder:
    known = TABLE | EXPORTED_BY_THEIR_AUTHORS
    if name in known:
        return known[name]
    if name.lower().startswith(EXPORTED_BY_HAND):
        raise FetchError(
            f"weights '{name}' are not fetched: export the network by hand with its authors' code, docs/encoders.md "
            "says how, and give the file as --encoder PATH"
        )
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else "'vpr_ros weights list' names those there are"
    raise FetchError(f"there are no weights '{name}'; {hint}")


def _by_hand(entry: KnownEncoder) -> str:
    if not entry.file_name:
        return f"'{entry.name}' ships with vpr_ros, so there is nothing to fetch; it comes from {entry.where}"
    return (
        f"'{entry.name}' has no address for programs: open {entry.where} in a browser and put the file as "
        f"'{user_folder() / entry.file_name}', or name a mirror of yours with --from"
    )


def _state_of(entry: KnownEncoder) -> WeightsState:
    onnx, checkpoint = find_onnx(entry.name), _checkpoint_of(entry)
    absent: State = "fetch" if entry.address else "by hand"
    state: State = _state_of_onnx(entry.name, onnx) if onnx else "checkpoint" if checkpoint else absent
    return WeightsState(
        entry.name, entry.about, entry.licence, state, onnx or checkpoint, entry.where, _needs_export(entry)
    )


def _state_of_onnx(name: str, path: Path) -> State:
    try:
        refuse_other_network(ExportedNetwork.read(path).recipe, name, path)
    except EncoderError:
        return "broken"
    return "ready"


def _checkpoint_of(entry: KnownEncoder) -> Path | None:
    released = user_folder() / entry.file_name
    return find_checkpoint(entry.checkpoint_stems) or (released if is_there(released) else None)


def _needs_export(entry: KnownEncoder) -> bool:
    return entry.name in EXPORTED_BY_THEIR_AUTHORS
