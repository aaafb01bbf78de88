"""An engine that serves while a better one is built behind it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.engine import Engine

_LOG = logging.getLogger(__name__)


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
        # A builder can't be interrupted and may take minutes: it must not keep a robot's process from ending.
        engine._thread = threading.Thread(target=engine._build, args=(build,), name="engine builder", daemon=True)
        engine._thread.start()
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
