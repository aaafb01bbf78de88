"""From start to a clean end of a node's process, whatever signals come; the core's log on the node's logger."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from vpr_ros.core import VprError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# How long a signal may wait to be seen; rcl's own wait is not woken by it.
_SPIN_S = 0.1


class RosArgumentsError(VprError):
    """What follows --ros-args, or a parameter file it names, is not understood by ROS."""


def own_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Parse what is not ROS's; what ROS does not understand of its own ends the process as any usage error does."""
    try:
        own = remove_ros_args(arguments)
    except RuntimeError as error:  # the root of all that rclpy raises for it
        parser.error(f"ROS arguments are not understood: {error}")
    return parser.parse_args(own[1:])


@contextmanager
def ros(arguments: list[str]) -> Iterator[threading.Event]:
    """Run ROS in this process; the event is set by SIGINT or SIGTERM.

    A terminal's Ctrl-C and the launcher's come as two signals a few milliseconds apart. rclpy's own handlers let the
    second one kill the process while it shuts down, so ours only set a flag, and the last thing done is to ignore what
    still comes.

    Raises:
        RosArgumentsError: The arguments or a parameter file can't be read.
    """
    stop = threading.Event()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # the root of all that rclpy raises for it
        raise RosArgumentsError(f"ROS arguments are not understood: {error}") from error
    try:
        yield stop
    finally:
        rclpy.try_shutdown()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def spin(node: Node, is_done: Callable[[], bool]) -> None:
    """Serve a node until ``is_done``."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not is_done():
            executor.spin_once(timeout_sec=_SPIN_S)
    finally:
        executor.shutdown()


class LoggerBridge(logging.Handler):
    """Hands what the core says to a node's logger."""

    def __init__(self, logger: RcutilsLogger) -> None:
        """Bridge to ``logger``."""
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record. rclpy refuses two severities from one line of code, so each has its own."""
        text = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


@contextmanager
def core_log_on(node: Node) -> Iterator[None]:
    """Show the core's log through the node's logger while the block runs."""
    bridge = LoggerBridge(node.get_logger())
    core = logging.getLogger("vpr_ros")
    core.addHandler(bridge)
    core.setLevel(logging.INFO)
    try:
        yield
    finally:
        core.removeHandler(bridge)
