"""Nodes as operating system processes, started and ended in order."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import TracebackType

from vpr_ros.core import VprError
from vpr_ros.evaluation.environment import peak_memory_mib

_STOP_TIMEOUT_S = 15.0


class NodeProcessError(VprError):
    """A node's process that ended or did not end against expectation."""


class NodeProcess:
    """A node of this package as a process; whatever happens in the ``with`` block, it is gone afterwards."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Name the node; it starts when the block is entered.

        Args:
            module: Its module in ``vpr_ros.nodes``.
            arguments: What it is called with.
        """
        self.module = module
        self._command = [sys.executable, "-m", f"vpr_ros.nodes.{module}", *arguments]

    def __enter__(self) -> NodeProcess:
        """Start it, in a session of its own: a Ctrl-C in the terminal is the parent's alone, who ends it in order."""
        self._process = subprocess.Popen(self._command, start_new_session=True)  # noqa: S603
        return self

    @property
    def status(self) -> int | None:
        """Exit status, None while it runs."""
        return self._process.poll()

    @property
    def peak_memory_mib(self) -> float:
        """Largest resident memory so far, NaN where the system does not tell."""
        return peak_memory_mib(self._process.pid)

    def stop(self) -> int:
        """End it as a Ctrl-C would and return its exit status.

        Raises:
            NodeProcessError: It did not end in time.
        """
        if self.status is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise NodeProcessError(
                f"{self.module} still runs {_STOP_TIMEOUT_S:g} s after it was asked to end; it is killed"
            ) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it if it still runs."""
        if self.status is None:
            self._process.kill()
            self._process.wait()
