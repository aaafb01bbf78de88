"""The int8 form of a network: ranges from images, and refused where it computes something else."""

import shutil
import struct
import zlib

import cv2
import numpy as np
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


def mean_colour(folder, first_weights, *, in_half=False):
    """Write a network of two 1 x 1 convolutions whose descriptor is the mean colour, and return its path."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper
    from own_network import write_network

    stored = {"first": first_weights, "second": np.eye(3, len(first_weights))}
    dtype, suffix = (np.float16, "_half") if in_half else (np.float32, "")
    weights = [
        numpy_helper.from_array(np.array(values, dtype).reshape(*np.shape(values), 1, 1), name + suffix)
        for name, values in stored.items()
    ]
    widened = [helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT) for name in stored]
    nodes = [
        *(widened if in_half else ()),
        helper.make_node("Conv", ["image", "first"], ["a"]),
        helper.make_node("Conv", ["a", "second"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("LpNormalization", ["flat"], ["descriptor"], axis=1, p=2),
    ]
    return write_network(folder, "colour", nodes, weights, mean=0.0, std=1.0, shape=[1, 3])


def coloured(folder, *ranges):
    """Write 32 images of one colour each, drawn in turns from these ranges of grey levels, and return the folder."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(32):
        colour = rng.uniform(*ranges[index % len(ranges)], 3)
        cv2.imwrite(str(folder / f"{index:02}.png"), np.full((32, 32, 3), colour, np.uint8))
    return folder


PLAIN = np.eye(3)


@pytest.mark.parametrize("in_half", [False, True], ids=["in-float", "stored-in-half"])
def test_int8_that_computes_the_same_is_written(tmp_path, in_half):
    path = mean_colour(tmp_path, PLAIN, in_half=in_half)

    made = quantize_encoder(str(path), coloured(tmp_path / "images", (205, 255)), tmp_path / "new")

    assert made == tmp_path / "new" / int8_name(path).name
    for each in (made, made.with_suffix(".yaml")):
        shutil.move(each, tmp_path)
    image = np.full((32, 32, 3), (250, 230, 210), np.uint8)
    ours, reference = (open_encoder(str(path), engine).encode(image) for engine in ("openvino:int8", "onnxruntime"))
    assert ours.descriptor @ reference.descriptor > 0.99
    assert np.abs(ours.descriptor - reference.descriptor).max() > 1e-6


def test_int8_keeps_the_name_of_the_output_that_is_the_descriptor(tmp_path):
    onnx = pytest.importorskip("onnx")
    path = mean_colour(tmp_path, PLAIN)
    model = onnx.load_model(path)
    model.graph.node[-1].output[0] = model.graph.output[0].name = "features"
    onnx.save_model(model, path)
    with path.with_suffix(".yaml").open("a") as recipe:
        recipe.write("output: features\n")

    quantize_encoder(str(path), coloured(tmp_path / "images", (205, 255)), tmp_path)

    assert open_encoder(str(path), "openvino:int8").recipe.name == "colour"


def test_int8_that_loses_what_is_small_beside_something_large_is_refused_with_the_figure(tmp_path):
    large_beside = [*PLAIN, (1000, 1000, 1000)]

    with pytest.raises(EncoderError, match=r"int8 is refused for 'colour': on 16 images .* cosine of .*0\.99"):
        quantize_encoder(str(mean_colour(tmp_path, large_beside)), coloured(tmp_path / "images", (100, 255)), tmp_path)
    assert list(tmp_path.glob("*int8*")) == []


def test_the_images_that_give_the_ranges_are_not_those_it_is_compared_on(tmp_path):
    """Ranges of the dark ones cut off what the bright ones hold."""
    with pytest.raises(EncoderError, match="int8 is refused for 'colour'"):
        quantize_encoder(
            str(mean_colour(tmp_path, PLAIN)), coloured(tmp_path / "images", (40, 50), (25, 255)), tmp_path
        )


def test_too_few_images_are_refused_and_a_broken_one_is_left_out(own, tmp_path, images, caplog):
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(images / "office" / "001.jpg", few / "001.jpg")
    (few / "broken.jpg").write_bytes(b"no image")
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)  # more pixels than OpenCV takes
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (few / "huge.png").write_bytes(png)
    with pytest.raises(EncoderError, match="holds 1 readable images, expected at least 24"):
        quantize_encoder(str(own), few, tmp_path)
    assert "broken.jpg" in caplog.text
    assert "huge.png" in caplog.text


def test_images_that_are_not_there_are_told(own, tmp_path):
    with pytest.raises(EncoderError, match=r"there is no folder '.*nowhere' of images; give one with --images"):
        quantize_encoder(str(own), tmp_path / "nowhere", tmp_path)


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
