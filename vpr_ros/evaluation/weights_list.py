"""Weights as results: where those of each known network are, and what a fetch brought."""

from __future__ import annotations

from dataclasses import dataclass

from vpr_ros.encoders import FetchedWeights, known_weights


@dataclass(frozen=True, slots=True)
class WeightsEntry:
    """The weights of one network.

    Attributes:
        name: What ``weights fetch`` takes.
        about: What it is.
        licence: Of the weights.
        state: ``ready``, ``broken``, ``checkpoint``, ``fetch`` or ``by hand``.
        path: The file that is there, None while there is none.
        where: Where it comes from.
        needs_export: Whether only its authors' code can make an encoder of it.
    """

    name: str
    about: str
    licence: str
    state: str
    path: str | None
    where: str
    needs_export: bool


@dataclass(frozen=True, slots=True)
class WeightsList:
    """The outcome of ``vpr_ros weights list``."""

    weights: tuple[WeightsEntry, ...]


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The outcome of ``vpr_ros weights fetch``.

    Attributes:
        name: What was fetched.
        path: Where the file lies.
        sha256: Of the file.
        bytes: Its size.
        licence: Of the weights.
        was_there: Whether it lay there before.
    """

    name: str
    path: str
    sha256: str
    bytes: int
    licence: str
    was_there: bool


def weights_list() -> WeightsList:
    """Return the weights of every network that is known by name."""
    return WeightsList(
        tuple(
            WeightsEntry(w.name, w.about, w.licence, w.state, str(w.path) if w.path else None, w.where, w.needs_export)
            for w in known_weights()
        )
    )


def fetch_result(fetched: FetchedWeights) -> FetchResult:
    """Return what a fetch brought, for machines."""
    return FetchResult(
        fetched.name, str(fetched.path), fetched.sha256, fetched.size, fetched.licence, fetched.was_there
    )
