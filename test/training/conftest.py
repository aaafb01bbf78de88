"""What the training tests share: small made-up places, and configs of networks that train in seconds."""

import numpy as np
import pytest
import yaml
from made_up_places import scene, small_values, write_image

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Sums in one order: equal runs give equal weights."""
    torch.set_num_threads(1)


@pytest.fixture
def manifest_folder(tmp_path):
    """Six places of three photographs: four to learn, two to judge; the last place of each is not open."""
    lines = ["path,place_id,source,licence,split,open"]
    for place in range(6):
        split, is_open = ("train", place != 3) if place < 4 else ("val", place != 5)
        for view in range(3):
            name = f"street_{place}/{view}.png"
            write_image(tmp_path / "set" / name, np.roll(scene(place), 6 * view, axis=1))
            licence = "CC0-1.0" if is_open else "NonCommercial"
            row = (name, f"street{place}x_{place}", "made up:here", licence, split, "yes" if is_open else "no")
            lines.append(",".join(row))
    (tmp_path / "set" / "manifest.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "set"


@pytest.fixture
def panorama_folder(tmp_path):
    """Three panoramas of 256 x 128."""
    for number in range(3):
        write_image(tmp_path / "around" / f"hall_{'abc'[number]}.png", scene(100 + number, 128, 256))
    return tmp_path / "around"


@pytest.fixture
def photo_folders(tmp_path, images):
    """Photographs of an office: fourteen to learn from, fourteen others to judge on, each a place of its own."""
    names = sorted((images / "office").glob("*.jpg"))
    for part, some in (("learn", names[::2]), ("judge", names[1::2])):
        for path in some:
            target = tmp_path / part / path.name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture
def small_config(tmp_path):
    """Write a small config and return its path."""

    def write(**over):
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(small_values(**over)))
        return path

    return write
