"""Which of two engines on the processor is faster, and whether they agree: found out once, kept for this machine."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

from vpr_ros import __version__
from vpr_ros.encoders.engines.engine import Engine
from vpr_ros.encoders.engines.engine_cache import EngineCache, EngineKey
from vpr_ros.encoders.engines.onnx_runtime import default_threads
from vpr_ros.encoders.engines.parity import Parity, Trial, probe_inputs
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.weights import ExportedNetwork, sha256_of

_LOG = logging.getLogger(__name__)
_SECOND_ROUND = 5  # Passes, of which the first two are slow: an engine still allocates.


def open_faster(
    openers: Mapping[str, Callable[[], Engine]], network: ExportedNetwork, threads: int | None, cache: EngineCache
) -> Engine:
    """Open the faster of two engines that run one network; the reference where the other computes something else.

    The first time each runs the same made-up pictures, which takes a second or two; the outcome is kept in the cache,
    and from then on only the winner is opened. One that fails is said in a line, and the other runs.

    Args:
        openers: By name, one or two, the reference first.
        network: What both run.
        threads: Processor threads a pass, for which the outcome holds.
        cache: Where the outcome is kept.

    Raises:
        EncoderError: Neither can be opened.
    """
    if len(openers) == 1:
        return next(iter(openers.values()))()
    key = race_key(tuple(openers), network, threads or default_threads())
    first = (cache.get(key) or b"").decode(errors="replace")
    if first not in openers:
        first, both_agree = _race(openers, network)
        if both_agree:
            cache.put(key, first.encode())
    return _open_working({first: openers[first], **openers})


def _race(openers: Mapping[str, Callable[[], Engine]], network: ExportedNetwork) -> tuple[str, bool]:
    """Return which engine shall run the network, and whether both ran it and agree.

    In two rounds, of which each engine's better one counts: other work that comes and goes slows one of them down.
    """
    first = _round(openers, network)
    again = _round(openers, network, most_inputs=_SECOND_ROUND) if len(first) == len(openers) else {}
    if len(again) < len(openers):
        return next(iter(again or first or openers)), False
    return min(openers, key=lambda name: min(first[name], again[name])), True


def _round(
    openers: Mapping[str, Callable[[], Engine]], network: ExportedNetwork, most_inputs: int | None = None
) -> dict[str, float]:
    """Return the time of each engine's fastest pass in ms, without those that fail or compute something else.

    One after the other, because both at once take more memory than an encoder on a robot may; the reference last,
    because it takes less than most, and the other's feature maps lie beside it.
    """
    trials: dict[str, Trial] = {}
    failures: dict[str, EncoderError] = {}
    for name in reversed(tuple(openers)):
        try:
            trials[name] = Trial.of(openers[name](), islice(probe_inputs(network.recipe), most_inputs))
        except EncoderError as error:  # noqa: PERF203 - for two
            failures[name] = error
    if not failures:
        (name, candidate), (_, reference) = trials.items()
        if objection := Parity.between(candidate.encodings, reference.encodings, "fp32").objection:
            del trials[name]
            failures[name] = EncoderError(f"against {reference.engine} its {objection}")
    # Where neither runs the network, or the reference gives nothing that is a descriptor, its first image says so.
    if any(trial.is_sound for trial in trials.values()):
        _say_passed_over(failures)
    return {name: trial.least_ms for name, trial in trials.items()}


def _open_working(openers: Mapping[str, Callable[[], Engine]]) -> Engine:
    """Open the first engine that can be opened; say in a line each which are passed over.

    Raises:
        EncoderError: None can be opened; the first one's words.
    """
    failures: dict[str, EncoderError] = {}
    for name, opener in openers.items():
        try:
            engine = opener()
        except EncoderError as error:
            failures[name] = error
            continue
        _say_passed_over(failures)
        return engine
    raise next(iter(failures.values()))


def _say_passed_over(failures: Mapping[str, EncoderError]) -> None:
    for name, failure in failures.items():
        _LOG.warning("engine %s is passed over: %s", name, failure)


def race_key(engines: tuple[str, ...], network: ExportedNetwork, threads: int) -> EngineKey:
    """Return what the outcome of a race depends on: the engines' versions and ours, network, processor and threads."""
    return _key(" or ".join(map(_with_version, engines)), network, threads)


def agreement_key(engine: str, reference: str, network: ExportedNetwork, threads: int) -> EngineKey:
    """Return what it depends on whether an engine computes what the reference does; the same as in a race."""
    return _key(f"{_with_version(engine)} like {_with_version(reference)}", network, threads)


def _key(runtimes: str, network: ExportedNetwork, threads: int) -> EngineKey:
    recipe = network.recipe
    return EngineKey(
        f"{runtimes}, vpr_ros {__version__}, output '{network.output}'",
        f"{_processor()}, {threads} threads",
        sha256_of(network.path),
        "fp32",
        (1, 3, recipe.height, recipe.width),
    )


def _with_version(module: str) -> str:
    """Return a library and its version, without importing it where its distribution has its name."""
    try:
        return f"{module} {version(module)}"
    except PackageNotFoundError:  # onnxruntime-gpu, or a system package
        return f"{module} {_imported_version(module)}"


def _imported_version(module: str) -> str:
    try:
        return str(import_module(module).__version__)
    except Exception:  # noqa: BLE001 - a broken library can raise anything; opening the engine says what
        return "unknown"


def _processor() -> str:
    """Return the processor and what it can: virtual machines all call theirs by one name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    return ", ".join(facts.get(name, "") for name in ("model name", "model", "stepping", "CPU part", "flags"))
