"""What waits for the worker: frames in a bounded queue, and questions."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Something to be done by the worker between two frames, and where its answer goes."""

    ask: Callable[[], Any]
    answer: Future[Any]

    def run(self) -> None:
        """Do it, and hand its answer or its error to whoever asked."""
        if not self.answer.set_running_or_notify_cancel():
            return
        try:
            self.answer.set_result(self.ask())
        except Exception as error:  # noqa: BLE001 - whoever asked gets it, whatever it is
            self.answer.set_exception(error)


class InboxClosedError(RuntimeError):
    """The worker is gone; what waited for it will not be done."""


class Inbox(Generic[Item]):
    """Frames for the worker, the oldest dropped when full, and questions, which go before frames.

    Any thread may put; one thread takes.
    """

    def __init__(self, capacity: int, on_drop: Callable[[], None]) -> None:
        """Make an empty inbox.

        Args:
            capacity: Frames that may wait.
            on_drop: Called once for each frame dropped, from the thread that put the newest.
        """
        self.capacity = capacity
        self._on_drop = on_drop
        self._urgent: deque[Question] = deque()
        self._in_order: deque[Item | Question] = deque()
        self._frames = 0
        self._is_closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Return the number of frames that wait."""
        return self._frames

    def put(self, frame: Item) -> None:
        """Add a frame; the oldest leaves when there are too many. After ``close`` nothing is added."""
        with self._changed:
            if self._is_closed:
                return
            self._in_order.append(frame)
            self._frames += 1
            is_full = self._frames > self.capacity
            if is_full:
                self._drop_oldest()
            self._changed.notify()
        if is_full:
            self._on_drop()

    def ask(self, question: Callable[[], Answer]) -> Future[Answer]:
        """Have ``question`` answered by the worker before the frames that wait."""
        return self._enqueue(self._urgent, question)

    def ask_after_frames(self, question: Callable[[], Answer]) -> Future[Answer]:
        """Have ``question`` answered by the worker when the frames that wait now are done."""
        return self._enqueue(self._in_order, question)

    def take(self) -> Item | Question | None:
        """Wait for the next thing to do, None once the inbox is closed and empty of questions."""
        with self._changed:
            self._changed.wait_for(lambda: self._urgent or self._in_order or self._is_closed)
            if self._urgent:
                return self._urgent.popleft()
            if not self._in_order:
                return None
            first = self._in_order.popleft()
            self._frames -= not isinstance(first, Question)
            return first

    def close(self) -> None:
        """Drop the frames that wait; the questions are still answered, new ones are not."""
        with self._changed:
            self._is_closed = True
            self._in_order = deque(item for item in self._in_order if isinstance(item, Question))
            self._frames = 0
            self._changed.notify_all()

    def _enqueue(self, line: deque[Any], question: Callable[[], Answer]) -> Future[Answer]:
        answer: Future[Answer] = Future()
        with self._changed:
            if self._is_closed:
                answer.set_exception(InboxClosedError("the node is not configured"))
            else:
                line.append(Question(question, answer))
                self._changed.notify()
        return answer

    def _drop_oldest(self) -> None:
        oldest = next(index for index, item in enumerate(self._in_order) if not isinstance(item, Question))
        del self._in_order[oldest]
        self._frames -= 1
