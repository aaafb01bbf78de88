"""What a figure was measured with: machine and versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import vpr_ros

# Distributions whose version can change a result.
_DISTRIBUTIONS = ("numpy", "faiss-cpu", "onnxruntime", "opencv-python-headless", "opencv-python", "torch", "rclpy")


def versions() -> dict[str, str]:
    """Return the versions of everything that has a say in a result, what is absent left out."""
    found = {"vpr_ros": vpr_ros.__version__, "python": platform.python_version()}
    installed = {name: _installed_version(name) for name in _DISTRIBUTIONS}
    return found | {name: text for name, text in installed.items() if text is not None}


def _installed_version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def machine() -> dict[str, str | int]:
    """Return the machine in words: system, processor, cores that this process may use."""
    return {"system": platform.platform(), "processor": _processor(), "cores": cores()}


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory_mib(process: int | Literal["self"] = "self") -> float:
    """Return the largest resident memory of a process so far, in MiB; NaN where the system does not tell.

    ``getrusage`` would not do: its figure is inherited from the process that started this one.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return float("nan")
    peak_kib = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
    return float("nan") if peak_kib is None else peak_kib / 1024


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
