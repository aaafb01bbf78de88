"""Small folders made of real images, in each layout."""

import shutil

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def office(images):
    """The image files of the small office recording, 512 x 384, in order."""
    return sorted((images / "office").iterdir())


@pytest.fixture
def folder_of(tmp_path, office):
    """Return a builder: a folder with one real image under each of the given names."""

    def build(*names, under="images"):
        folder = tmp_path / under
        folder.mkdir(parents=True)
        for name, image in zip(names, office, strict=False):
            shutil.copyfile(image, folder / name)
        return folder

    return build


@pytest.fixture
def write_depth():
    """Return a writer of a 16-bit depth image with one value everywhere but in the first pixel, which is unknown."""

    def write(path, units, size=(384, 512)):
        path.parent.mkdir(parents=True, exist_ok=True)
        depth = np.full(size, units, np.uint16)
        depth[0, 0] = 0
        assert cv2.imwrite(str(path), depth)

    return write


@pytest.fixture
def tum(tmp_path, folder_of, write_depth):
    """A TUM RGB-D folder: four images 0.1 s apart; depth of 2 m that is 5, 15 and 30 ms late, none for the last."""
    folder_of("a.jpg", "b.jpg", "c.jpg", "d.jpg", under="tum/rgb")
    folder = tmp_path / "tum"
    late = {"a": "100.005", "b": "100.115", "c": "100.230"}
    for name in late:
        write_depth(folder / "depth" / f"{name}.png", 10_000)
    (folder / "rgb.txt").write_text(
        "# color images\n100.0 rgb/a.jpg\n100.1 rgb/b.jpg\n100.2 rgb/c.jpg\n100.3 rgb/d.jpg\n"
    )
    (folder / "depth.txt").write_text("".join(f"{stamp} depth/{name}.png\n" for name, stamp in late.items()))
    (folder / "groundtruth.txt").write_text("100.0 0 0 0 0 0 0 1\n100.2 2 0 0 0 0 0 1\n")
    return folder


CAMERA = """\
image_width: {width}
image_height: 384
camera_name: front
camera_matrix: {{rows: 3, cols: 3, data: [400.0, 0.0, 250.0, 0.0, 401.0, 190.0, 0.0, 0.0, 1.0]}}
distortion_model: plumb_bob
distortion_coefficients: {{rows: 1, cols: 5, data: [{distortion}, 0, 0, 0, 0]}}
projection_matrix: {{rows: 3, cols: 4, data: [300.0, 0, 256.0, 0, 0, 300.0, 192.0, 0, 0, 0, 1.0, 0]}}
"""


@pytest.fixture
def write_camera():
    """Return a writer of ``camera.yaml`` for the office images."""

    def write(folder, *, width=512, distortion=0.1):
        (folder / "camera.yaml").write_text(CAMERA.format(width=width, distortion=distortion))

    return write
