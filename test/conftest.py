"""What every test may ask for."""

import os
import signal
from pathlib import Path

# As the program and the nodes do, before numpy is loaded (docs/robot.md).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A shell lets what it starts in the background ignore Ctrl-C, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the development recordings, which lie beside the checkout and not in it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no development recordings at {folder}")
    return folder


@pytest.fixture(scope="session")
def images() -> Path:
    """Folder of the small real images that ship with the tests."""
    return ROOT / "test" / "images"
