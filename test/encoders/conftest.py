"""What the encoder tests share: real images, and checkpoints with random weights."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def office(images):
    """Six photographs, RGB uint8, 512 x 384."""
    names = ("001", "007", "013", "041", "047", "053")
    return [np.array(Image.open(images / "office" / f"{name}.jpg").convert("RGB")) for name in names]


@pytest.fixture
def weights_folder(tmp_path, monkeypatch):
    """An empty folder that counts as the user's own weights."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("VPR_ROS_WEIGHTS", str(folder))
    return folder
