"""The queue between the executor and the worker."""

from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpr_ros.nodes.inbox import Inbox, InboxClosedError, Question


def taken(inbox):
    """Close the inbox once all is in it, and return what the worker gets, questions by their answers."""
    got = []
    while (item := inbox.take()) is not None:
        if isinstance(item, Question):
            item.run()
        else:
            got.append(item)
        if not len(inbox):
            inbox.close()
    return got


@given(st.lists(st.integers(), min_size=1, max_size=50), st.integers(1, 10))
def test_a_full_inbox_keeps_the_newest_in_order_and_counts_the_rest(frames, capacity):
    drops = []
    inbox = Inbox(capacity, lambda: drops.append(1))

    for frame in frames:
        inbox.put(frame)

    assert taken(inbox) == frames[-capacity:]
    assert len(drops) == max(0, len(frames) - capacity)


def test_questions_go_before_frames_and_ends_after_them():
    inbox, order = Inbox(5, lambda: None), []
    inbox.put("frame 1")
    inbox.ask_after_frames(lambda: order.append("end"))
    inbox.put("frame 2")
    inbox.ask(lambda: order.append("question"))

    while len(order) < 4:
        item = inbox.take()
        item.run() if isinstance(item, Question) else order.append(item)

    assert order == ["question", "frame 1", "end", "frame 2"]


def test_whoever_asked_gets_the_error_and_the_worker_lives_on():
    inbox = Inbox(1, lambda: None)
    broken, whole = inbox.ask(lambda: 1 // 0), inbox.ask(lambda: "answer")

    inbox.take().run()
    inbox.take().run()

    with pytest.raises(ZeroDivisionError):
        broken.result(0)
    assert whole.result(0) == "answer"


def test_a_dropped_frame_never_takes_a_question_with_it():
    inbox = Inbox(1, lambda: None)
    end = inbox.ask_after_frames(lambda: "ended")
    inbox.put("old")
    inbox.put("new")

    assert taken(inbox) == ["new"]
    assert end.result(0) == "ended"


def test_closing_wakes_the_worker_and_refuses_questions():
    inbox = Inbox(1, lambda: None)
    got = []
    worker = Thread(target=lambda: got.append(inbox.take()))
    worker.start()

    inbox.close()
    worker.join(10)

    assert got == [None]
    with pytest.raises(InboxClosedError):
        inbox.ask(lambda: None).result(0)
