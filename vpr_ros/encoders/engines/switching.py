"""An engine that serves while a better one is built behind it."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.engine import Engine

_LOG = logging.getLogger(__name__)
_BUILDER = "engine builder"
_LOOK_EVERY_S = 0.5


class SwitchingEngine:
    """Runs on the serving engine until the other is built and has passed its check, then on the other.

    Where that fails, the serving engine goes on, and the reason is logged once.
    """

    def __init__(self, serving: Engine) -> None:
        """Take the engine that serves from the first image."""
        self._current = serving
        self._thread: threading.Thread | None = None

    @classmethod
    def start(cls, serving: Engine, build: Callable[[], Engine]) -> SwitchingEngine:
        """Begin to build in a thread of its own.

        Args:
            serving: What runs meanwhile.
            build: Returns the better engine, checked; raises where there is none.
        """
        engine = cls(serving)
        # A daemon: what waits for it when the process ends is below, where the wait can be said and broken off.
        engine._thread = threading.Thread(target=engine._build, args=(build,), name=_BUILDER, daemon=True)
        engine._thread.start()
        # The last to be registered is the first to run: before what the libraries registered for themselves.
        atexit.unregister(_let_builders_end)
        atexit.register(_let_builders_end)
        return engine

    @property
    def name(self) -> str:
        """Return the name of what runs now."""
        return self._current.name

    def run(self, network_input: NDArray[np.float32]) -> Encoding:
        """Run the network once; see :class:`~vpr_ros.encoders.engines.engine.Engine`."""
        return self._current.run(network_input)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until building has ended either way, and return whether it has."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self._thread is None or not self._thread.is_alive()

    def _build(self, build: Callable[[], Engine]) -> None:
        try:
            built = build()
        except Exception as error:  # noqa: BLE001 - a builder's thread has nobody to raise to; serving goes on
            _LOG.warning("%s keeps serving: %s", self.name, error)
            return
        _LOG.info("engine %s takes over from %s", built.name, self.name)
        self._current = built


def _let_builders_end() -> None:
    """Wait for what is being built when the process ends, until the user's Ctrl-C.

    A runtime that is still at work in a thread while the interpreter is taken down ends the process by a signal. What
    it builds is kept in the cache, so the next start has it.
    """
    builders = [thread for thread in threading.enumerate() if thread.name == _BUILDER]
    if not builders:
        return
    try:
        _LOG.warning("waiting for the engine that is being built, so that the next start has it; Ctrl-C ends this")
        for builder in builders:
            while builder.is_alive():
                builder.join(_LOOK_EVERY_S)  # A bounded wait is one that Ctrl-C breaks off on every Python.
    except KeyboardInterrupt:
        _LOG.warning("the engine that was being built is given up; the next start begins anew")
