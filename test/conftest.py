"""What every test may ask for."""

import os
from pathlib import Path

# As the program and the nodes do, before numpy is loaded (docs/robot.md).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

ROOT = Path(__file__).resolve().parents[1]


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
