"""Which of two engines on the processor is faster, and whether they agree: found out once, kept for this machine."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from vpr_ros import __version__
from vpr_ros.encoders.engines.engine import Engine
from vpr_ros.encoders.engines.engine_cache import EngineCache, EngineKey
from vpr_ros.encoders.engines.onnx_runtime import default_threads
from vpr_ros.encoders.engines.parity import Parity, probe_inputs, try_side_by_side
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.weights import ExportedNetwork, sha256_of

_LOG = logging.getLogger(__name__)
_WARM_UP = 2  # Passes of an engine in which it still allocates.


def open_faster(
    openers: Mapping[str, Callable[[], Engine]], network: ExportedNetwork, threads: int | None, cache: EngineCache
) -> Engine:
    """Open the faster of two engines that run one network; the reference where the other computes something else.

    The first time both run the same made-up pictures in turns, which takes a second or two. The outcome is kept in the
    cache, and from then on only the winner is opened. One that fails is said in a line, and the other runs.

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
    kept = (cache.get(key) or b"").decode(errors="replace")
    if kept in openers:
        return _open_working({kept: openers[kept], **openers}, most=1)[0]
    reference, *candidates = _open_working(openers, most=len(openers))
    if not candidates:
        return reference
    try:
        fastest = _race(candidates[0], reference, network)
    except EncoderError as error:
        _LOG.warning("%s runs '%s', because the other engine failed: %s", reference.name, network.recipe.name, error)
        return reference
    cache.put(key, fastest.name.encode())
    return fastest


def _open_working(openers: Mapping[str, Callable[[], Engine]], *, most: int) -> list[Engine]:
    """Open engines in their order until so many are open; say in a line each which are passed over.

    Raises:
        EncoderError: None can be opened; the first one's words.
    """
    opened: list[Engine] = []
    failures: dict[str, EncoderError] = {}
    for name, opener in openers.items():
        if len(opened) == most:
            break
        try:
            opened.append(opener())
        except EncoderError as error:
            failures[name] = error
    if not opened:
        raise next(iter(failures.values()))
    for name, failure in failures.items():
        _LOG.warning("engine %s is passed over: %s", name, failure)
    return opened


def _race(candidate: Engine, reference: Engine, network: ExportedNetwork) -> Engine:
    ours, theirs = try_side_by_side((candidate, reference), probe_inputs(network.recipe))
    parity = Parity.between(ours.encodings, theirs.encodings, "fp32")
    if parity.objection:
        raise EncoderError(f"engine {candidate.name} is refused: against {reference.name} its {parity.objection}")
    ours_ms, theirs_ms = (float(np.median(trial.spent_ms[_WARM_UP:])) for trial in (ours, theirs))
    return candidate if ours_ms < theirs_ms else reference


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
