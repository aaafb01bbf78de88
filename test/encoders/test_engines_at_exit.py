"""A process that ends while an engine is built behind the one that serves."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from vpr_ros.encoders.engines.switching import SwitchingEngine

class Serving:
    name = "serving"

def build():
    print("building", flush=True)
    time.sleep(float(sys.argv[1]))
    print("built", flush=True)
    return Serving()

SwitchingEngine.start(Serving(), build)
"""


@pytest.fixture
def start():
    """Start the program with the seconds that building takes."""
    started = []

    def start(seconds):
        command = [sys.executable, "-c", PROGRAM, str(seconds)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_it_waits_for_the_build_and_says_so(start):
    process = start(1)

    said, told = process.communicate(timeout=60)

    assert (process.returncode, said) == (0, "building\nbuilt\n"), told
    assert told.splitlines() == [
        "waiting for the engine that is being built, so that the next start has it; Ctrl-C ends this"
    ]


def test_ctrl_c_ends_the_wait(start):
    process = start(300)
    assert process.stdout.readline() == "building\n"
    assert process.stderr.readline().startswith("waiting for the engine")

    process.send_signal(signal.SIGINT)
    said, told = process.communicate(timeout=30)

    assert said == ""
    assert "is given up" in told
    assert "Traceback" not in told
