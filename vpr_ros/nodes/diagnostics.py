"""The node's vitals as /diagnostics."""

from __future__ import annotations

from dataclasses import dataclass

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from vpr_ros.nodes.vitals import Vitals


@dataclass(frozen=True, slots=True)
class Standing:
    """What the node is and does at this moment.

    Attributes:
        name: The node's full name.
        state: Lifecycle state.
        silence: What is wrong with the inputs, empty if nothing is.
        waiting: Frames that wait for the worker.
        capacity: Frames that may wait.
        encoder: Name of the encoder, empty where none is loaded.
        engine: What runs it.
        map: Directory of the map, or ``in memory``; empty where none is open.
        places: Places in it.
        session: Number of the running session.
    """

    name: str
    state: str
    silence: str = ""
    waiting: int = 0
    capacity: int = 0
    encoder: str = ""
    engine: str = ""
    map: str = ""
    places: int = 0
    session: int = -1


def diagnostics(standing: Standing, vitals: Vitals, stamp: Time) -> DiagnosticArray:
    """Return the message: one status, its level and one line for people, and every figure as a key and a value."""
    level, line = _summary(standing, vitals)
    status = DiagnosticStatus(level=level, name=standing.name, message=line, hardware_id=standing.engine)
    status.values = [KeyValue(key=key, value=value) for key, value in _figures(standing, vitals).items()]
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message


def _summary(standing: Standing, vitals: Vitals) -> tuple[bytes, str]:
    if standing.state != "active":
        return DiagnosticStatus.OK, f"{standing.state}; not looking at images"
    if standing.silence:
        return DiagnosticStatus.STALE, standing.silence
    if vitals.drops:
        drops = ", ".join(f"{count} {cause}" for cause, count in vitals.drops.most_common())
        return DiagnosticStatus.WARN, f"looking; dropped: {drops}"
    return DiagnosticStatus.OK, "looking"


def _figures(standing: Standing, vitals: Vitals) -> dict[str, str]:
    counts = {what: str(vitals.counts[what]) for what in ("images", "frames", "keyframes", "closures")}
    rates = {f"{what} Hz": f"{vitals.rate_hz(what):.1f}" for what in ("images", "frames", "keyframes")}
    latencies = {
        f"latency {stage} ms": f"p50 {latency.p50_ms:.1f}, p95 {latency.p95_ms:.1f}"
        for stage, latency in vitals.latencies().items()
    }
    return {
        "state": standing.state,
        **counts,
        **rates,
        "queue": f"{standing.waiting} of {standing.capacity}",
        **{f"dropped: {cause}": str(count) for cause, count in sorted(vitals.drops.items())},
        **{f"noticed: {cause}": str(count) for cause, count in sorted(vitals.oddities.items())},
        **latencies,
        "map": standing.map,
        "map places": str(standing.places),
        "session": str(standing.session),
        "encoder": standing.encoder,
        "engine": standing.engine,
        "last error": vitals.last_error,
    }
