"""The int8 form of a network: ranges from images, and refused where it computes something else."""

import shutil

import pytest

pytest.importorskip("nncf")
pytest.importorskip("openvino")

from vpr_ros.core import share_path
from vpr_ros.encoders import EncoderError, open_encoder, quantize_encoder
from vpr_ros.encoders.engines.network_files import int8_name
from vpr_ros.encoders.weights import ExportedNetwork


@pytest.fixture
def own(tmp_path):
    """A network with its recipe in a folder of the user's."""
    for suffix in (".onnx", ".yaml"):
        shutil.copy(share_path(f"weights/gem-lite{suffix}"), tmp_path / f"mine{suffix}")
    return tmp_path / "mine.onnx"


def test_int8_passes_on_images_it_has_not_seen_or_is_refused_with_the_figure(own, images):
    said, refusal = [], ""
    try:
        made = quantize_encoder(str(own), images / "office", own.parent, on_step=said.append)
    except EncoderError as error:
        refusal = str(error)
    if refusal:
        assert "int8 is refused for 'gem-lite'" in refusal
        assert "expected at least 0.99" in refusal or "another order" in refusal
        assert [path.name for path in own.parent.iterdir() if "int8" in path.name] == []
        return
    assert said[-1].endswith("passes")
    assert made == int8_name(own)
    assert made.stat().st_size < 0.6 * own.stat().st_size
    assert open_encoder(str(own), "openvino:int8").recipe == open_encoder(str(own), "onnxruntime").recipe


def test_too_few_images_are_refused_and_a_broken_one_is_left_out(own, tmp_path, images, caplog):
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(images / "office" / "001.jpg", few / "001.jpg")
    (few / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(EncoderError, match="holds 1 readable images, expected at least 24"):
        quantize_encoder(str(own), few, tmp_path)
    assert "broken.jpg" in caplog.text


def test_int8_that_was_never_made_is_answered_with_how_to_make_it(own):
    with pytest.raises(EncoderError, match=r"no int8 file 'mine-int8.onnx'.*--precision int8 --images FOLDER"):
        open_encoder(str(own), "openvino:int8")


def test_int8_of_other_weights_is_refused(own):
    int8 = int8_name(own)
    for suffix in (".onnx", ".yaml"):
        shutil.copy(own.with_suffix(suffix), int8.with_suffix(suffix))
    recipe = int8.with_suffix(".yaml")
    sha256 = ExportedNetwork.read(own).recipe.weights_sha256
    recipe.write_text(recipe.read_text().replace(sha256, "ab" * 32))
    with pytest.raises(EncoderError, match="made of other weights"):
        open_encoder(str(own), "openvino:int8")
