"""Counts, rates and latencies, and how they look in /diagnostics."""

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

from vpr_ros.core import FrameError
from vpr_ros.nodes.diagnostics import Standing, diagnostics
from vpr_ros.nodes.vitals import Vitals
from vpr_ros.place_map import MapError


@pytest.fixture
def said():
    return []


def test_a_rate_is_that_of_the_last_seconds(said):
    now = [0.0]
    vitals = Vitals(said.append, steady_s=lambda: now[0])
    for now[0] in np.arange(0, 10, 0.1):
        vitals.note("images")

    assert vitals.rate_hz("images") == pytest.approx(10, abs=0.3)
    now[0] += 6
    assert vitals.rate_hz("images") == 0


def test_latencies_are_percentiles(said):
    vitals = Vitals(said.append)
    for spent_ms in range(1, 102):
        vitals.note_time("encode", spent_ms)

    assert vitals.latencies()["encode"].p50_ms == pytest.approx(51)
    assert vitals.latencies()["encode"].p95_ms == pytest.approx(96)


def test_drops_are_counted_by_cause_and_said_ever_more_rarely(said):
    vitals = Vitals(said.append)
    for _ in range(9):
        vitals.drop_for(FrameError("the image is empty"))
    vitals.drop_for(MapError("the disk is full"))
    vitals.drop_for(RuntimeError("boom"))

    assert vitals.drops == {"bad frame": 9, "not stored": 1, "internal error": 1}
    assert len(said) == 4 + 1 + 1  # the 1st, 2nd, 4th and 8th bad frame
    assert vitals.last_error == "RuntimeError: boom"


def test_diagnostics_hold_every_figure(said):
    vitals = Vitals(said.append)
    vitals.note("images")
    vitals.note_time("encode", 12.0)
    vitals.drop("corrupt image", "no JPEG")
    vitals.notice("depth of another size", "depth is 1 x 1")
    standing = Standing(
        name="/loop_closure_node",
        state="active",
        waiting=2,
        capacity=5,
        encoder="gem-lite",
        engine="onnxruntime",
        map="office.vprmap",
        places=17,
        session=1,
    )

    status = diagnostics(standing, vitals, Time(sec=1)).status[0]
    figures = {pair.key: pair.value for pair in status.values}

    assert status.level == DiagnosticStatus.WARN
    assert "1 corrupt image" in status.message
    assert figures["images"] == "1"
    assert figures["queue"] == "2 of 5"
    assert figures["dropped: corrupt image"] == "1"
    assert figures["noticed: depth of another size"] == "1"
    assert figures["latency encode ms"] == "p50 12.0, p95 12.0"
    assert figures["map places"] == "17"
    assert figures["encoder"] == "gem-lite"
    assert figures["last error"] == "no JPEG"


def test_a_silence_is_what_diagnostics_say_first(said):
    standing = Standing(name="/n", state="active", silence="no image on /image for 6 s: nobody publishes it")

    status = diagnostics(standing, Vitals(said.append), Time()).status[0]

    assert status.level == DiagnosticStatus.STALE
    assert status.message == standing.silence
