"""What works on this machine, what is missing, and what to do about it: each thing is tried, not looked up."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import numpy as np

from vpr_ros.core import VprError
from vpr_ros.detection.settings import DetectorChoice
from vpr_ros.encoders import engine_states, known_weights, open_encoder, registered

State = Literal["ok", "missing", "optional"]

# Distribution, module, what it is for, and whether the main job needs it.
_LIBRARIES = (
    ("numpy", "numpy", "arrays", True),
    ("faiss-cpu", "faiss", "search in the map", True),
    ("onnxruntime", "onnxruntime", "the encoder", True),
    ("opencv-python-headless", "cv2", "images", True),
    ("rosbags", "rosbags", "reading bags without ROS", False),
    ("vizdoom", "vizdoom", "the simulated robot", False),
    ("torch", "torch", "training, export and the torch engines", False),
    ("pytorch-metric-learning", "pytorch_metric_learning", "training", False),
    ("tensorboard", "tensorboard", "training's curves", False),
    ("openvino", "openvino", "a faster engine on many processors", False),
    ("onnx", "onnx", "export", False),
    ("nncf", "nncf", "export in int8", False),
)
_PROBE_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried.

    Attributes:
        what: The thing.
        state: ``ok``; ``missing`` where the main job needs it; ``optional`` where only something else would.
        seen: What was found.
        advice: What to do about it, empty where nothing is to be done.
    """

    what: str
    state: State
    seen: str
    advice: str = ""


def check_installation() -> Iterator[Finding]:
    """Yield what works here and what does not, the main job's needs first."""
    yield _python()
    for distribution, module, purpose, needed in _LIBRARIES:
        yield _library(distribution, module, purpose, needed=needed)
    yield from _weights()
    yield from _engines()
    yield from _ros()


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} on {platform.machine()}")


def _library(distribution: str, module: str, purpose: str, *, needed: bool) -> Finding:
    try:
        import_module(module)
    except Exception as error:  # noqa: BLE001 - a broken library can raise anything, and this is where it is found out
        advice = f"for {purpose}: pip install {distribution}"
        return Finding(module, "missing" if needed else "optional", f"{type(error).__name__}: {error}", advice)
    return Finding(module, "ok", f"{_version(distribution, module)}, {purpose}")


def _version(distribution: str, module: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # a system package under another name, such as Ubuntu's python3-opencv
        return str(getattr(import_module(module), "__version__", "unknown version"))


def _weights() -> Iterator[Finding]:
    try:
        encoders = registered()
        without_file = {weights.name for weights in known_weights() if weights.path is None}
    except VprError as error:
        yield Finding("weights", "missing", str(error), "mend that, or set VPR_ROS_WEIGHTS to another folder")
        return
    for encoder in encoders:
        needed = encoder.name == DetectorChoice().encoder
        if encoder.present:
            checked = "sha256 as its recipe says" if encoder.recipe else "a checkpoint, which runs with torch"
            yield Finding(f"weights {encoder.name}", "ok", f"{encoder.weights}, {checked}")
        elif needed or encoder.name not in without_file:  # what can't be opened is told, what nobody got is counted
            state: State = "missing" if needed else "optional"
            yield Finding(f"weights {encoder.name}", state, "no file that can be opened", encoder.advice)
    absent = len(without_file & {encoder.name for encoder in encoders})
    yield Finding("weights of others", "optional", f"{absent} have none here", "'vpr_ros weights list' says where from")


def _engines() -> Iterator[Finding]:
    """Run the default encoder once on each engine that is here, and say why the others are not."""
    for engine in engine_states():
        needed: State = "missing" if engine.name == "onnxruntime" else "optional"
        what = f"engine {engine.name}"
        if engine.reason:
            yield Finding(what, needed, engine.reason)
            continue
        try:
            yield Finding(what, "ok", _run_once(engine.name)[1])
        except VprError as error:
            yield Finding(what, needed, str(error))
    try:
        chosen, seen = _run_once("auto")
    except VprError as error:
        yield Finding("engine auto", "missing", str(error))
        return
    yield Finding("engine auto", "ok", f"{chosen}: {seen}")


def _run_once(engine: str) -> tuple[str, str]:
    """Return which engine ran the default encoder, and how that went."""
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    name = DetectorChoice().encoder
    began = time.perf_counter()
    encoder = open_encoder(name, engine)
    encoder.encode(image)
    return encoder.engine, f"{name} opened and run once in {time.perf_counter() - began:.1f} s"


def _ros() -> Iterator[Finding]:
    """Ask ROS in a process of its own: it belongs to the nodes' side, and a broken one may take us along."""
    command = [sys.executable, "-m", "vpr_ros.nodes.probe"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=True)  # noqa: S603
        facts = json.loads(done.stdout)
    except (subprocess.SubprocessError, json.JSONDecodeError) as error:
        said = getattr(error, "stderr", None) or str(error)
        last_line = said.strip().splitlines()[-1] if said.strip() else type(error).__name__
        yield Finding("ROS 2", "optional", last_line, "for the nodes: source your ROS 2, or see docs/robot.md")
        return
    for name, value in facts.items():
        yield Finding(f"ROS {name}", "ok", str(value))


@dataclass(frozen=True, slots=True)
class Checkup:
    """The outcome of ``vpr_ros doctor``.

    Attributes:
        fit: Whether the main job can run.
        findings: What was tried.
    """

    fit: bool
    findings: tuple[Finding, ...]
