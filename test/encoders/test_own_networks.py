"""ONNX and TorchScript files of the user's run as encoders by the recipe beside them."""

import hashlib

import numpy as np
import pytest
import yaml

from vpr_ros.encoders import EncoderError, open_encoder

onnx = pytest.importorskip("onnx")

HEIGHT, WIDTH = 24, 40
RECIPE = {
    "name": "my-megaloc",
    "height": HEIGHT,
    "width": WIDTH,
    "interpolation": "bicubic",
    "mean": [0.1, 0.2, 0.3],
    "std": [0.5, 0.25, 0.125],
    "dim": 3,
    "licence": "MIT",
}


@pytest.fixture
def image():
    """Red, green and blue are told apart by their means."""
    return np.full((50, 70, 3), (200, 100, 20), np.uint8)


def expected(recipe, image):
    """The made-up networks give the mean of each normalised channel, at unit length."""
    colours = image.reshape(-1, 3).mean(axis=0) / 255
    if recipe.get("channel_order") == "bgr":
        colours = colours[::-1]
    means = (colours - recipe["mean"]) / recipe["std"]
    return means / np.linalg.norm(means)


def write_onnx(path, output="descriptor", *, height=HEIGHT, width=WIDTH, unit_length=True, ignores_input=False):
    """A network that averages each channel: input and weights of no other meaning."""
    from onnx import TensorProto, helper

    last = [helper.make_node("LpNormalization", ["flat"], [output], axis=1, p=2)]
    if not unit_length:
        last = [helper.make_node("Identity", ["flat"], [output])]
    # Softmax over an axis of one is 1, whatever the input.
    first = [helper.make_node("Softmax", ["averaged"], ["pooled"], axis=2)]
    if not ignores_input:
        first = [helper.make_node("Identity", ["averaged"], ["pooled"])]
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["averaged"]),
        *first,
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        *last,
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (1, 3, height, width))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, (1, 3))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def write_recipe(path, recipe=RECIPE, **beside):
    path.with_suffix(".yaml").write_text(yaml.safe_dump({"recipe": recipe, **beside}))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def network(tmp_path):
    """An ONNX file whose recipe is right."""
    path = tmp_path / "mine.onnx"
    write_onnx(path)
    write_recipe(path)
    return path


def test_a_recipe_written_by_hand_makes_an_encoder_of_an_onnx_file(network, image):
    encoder = open_encoder(str(network))

    assert (encoder.recipe.name, encoder.recipe.licence) == ("my-megaloc", "MIT")
    assert encoder.recipe.weights_sha256 == sha256(network)
    np.testing.assert_allclose(encoder.encode(image).descriptor, expected(RECIPE, image), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (901, 2)], ids=str)
def test_a_tiny_or_oblong_image_is_brought_to_the_recipes_size(network, shape):
    plain = np.full((*shape, 3), (200, 100, 20), np.uint8)
    np.testing.assert_allclose(open_encoder(str(network)).encode(plain).descriptor, expected(RECIPE, plain), atol=1e-5)


def test_whole_numbers_are_numbers_too(network, image):
    whole = RECIPE | {"mean": [0, 0, 0], "std": [1, 1, 1]}
    write_recipe(network, whole)
    np.testing.assert_allclose(open_encoder(str(network)).encode(image).descriptor, expected(whole, image), atol=1e-5)


def test_the_colour_order_of_the_recipe_is_that_of_the_network(network, image):
    write_recipe(network, RECIPE | {"channel_order": "bgr"})

    seen = open_encoder(str(network)).encode(image).descriptor

    np.testing.assert_allclose(seen, expected(RECIPE | {"channel_order": "bgr"}, image), atol=1e-5)


def test_the_output_that_is_the_descriptor_is_named_in_the_recipe_file(network, image):
    write_onnx(network, output="features")
    write_recipe(network, output="features")

    assert open_encoder(str(network)).encode(image).descriptor.shape == (3,)


def test_an_output_that_is_not_there_is_answered_with_those_that_are(network):
    write_onnx(network, output="features")
    with pytest.raises(EncoderError, match=r"outputs \['features'\].*'descriptor'.*'output' in the recipe"):
        open_encoder(str(network))


@pytest.mark.parametrize("key", ["sha256", "onnx_sha256"])
def test_a_sha256_of_the_file_that_is_stated_is_compared(network, key):
    write_recipe(network, **{key: sha256(network)})
    assert open_encoder(str(network)).recipe.weights_sha256 == sha256(network)
    write_recipe(network, **{key: "ab" * 32})
    with pytest.raises(EncoderError, match="the recipe beside it says abababababab"):
        open_encoder(str(network))


@pytest.mark.parametrize("is_files_own_stated", [True, False])
def test_the_sha256_of_the_checkpoint_is_what_maps_remember_and_is_compared_with_no_file(network, is_files_own_stated):
    beside = {"sha256": sha256(network)} if is_files_own_stated else {}
    write_recipe(network, RECIPE | {"weights_sha256": "cd" * 32}, **beside)
    assert open_encoder(str(network)).recipe.weights_sha256 == "cd" * 32


DISAGREEING = {
    "length": (RECIPE | {"dim": 4}, r"4-D.*shape \(3,\), its recipe says \(4,\)"),
    "height": (RECIPE | {"height": 25}, "input 3 x 25 x 40.*(dimension|incompatible)"),
    "sides exchanged": (RECIPE | {"height": WIDTH, "width": HEIGHT}, "input 3 x 40 x 24.*(dimension|incompatible)"),
}


@pytest.mark.parametrize("what", DISAGREEING)
@pytest.mark.parametrize("engine", ["auto", "openvino"])
def test_a_recipe_and_weights_that_disagree_are_refused_when_opened_in_one_line(network, what, engine):
    if engine == "openvino":
        pytest.importorskip("openvino")
    recipe, words = DISAGREEING[what]
    write_recipe(network, recipe)
    with pytest.raises(EncoderError, match=rf"mine\.onnx' does not do what the recipe.*{words}") as caught:
        open_encoder(str(network), engine)
    assert "\n" not in str(caught.value)


def test_a_network_without_its_normalisation_is_refused_when_opened(network):
    write_onnx(network, unit_length=False)
    with pytest.raises(EncoderError, match="expected 1; export the network with its L2 normalisation inside"):
        open_encoder(str(network))


def test_a_network_that_ignores_its_input_is_refused_when_opened(network):
    write_onnx(network, ignores_input=True)
    with pytest.raises(EncoderError, match=r"mine\.onnx' gives the same descriptor for two different images") as caught:
        open_encoder(str(network))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({k: v for k, v in RECIPE.items() if k != "licence"}, "licence"),
        (RECIPE | {"interpolation": "nearest"}, "interpolation 'nearest', expected one of bilinear, bicubic"),
        (RECIPE | {"channel_order": "grb"}, "channel_order 'grb', expected one of rgb, bgr"),
        (RECIPE | {"std": [0.5, 0.5, 0]}, "std"),
        (RECIPE | {"mean": [0.5, 0.5]}, "mean .*expected three numbers"),
        (RECIPE | {"dimension": 3}, "dimension, .*it takes name, height"),
        (RECIPE | {"mean": [25, 50, 76], "std": [127, 64, 32]}, "divide by 255"),
        (RECIPE | {"dim": "3"}, "dim '3', expected a whole number"),
        (RECIPE | {"mean": ["a", "b", "c"]}, "mean .*expected three numbers"),
        (RECIPE | {"name": 7}, "name 7, expected text"),
        ("MegaLoc", "mapping"),
    ],
)
def test_a_recipe_that_no_encoder_can_have_is_refused_and_the_value_named(network, recipe, words):
    write_recipe(network, recipe)
    with pytest.raises(EncoderError, match=words):
        open_encoder(str(network))


def test_an_unknown_key_beside_the_recipe_is_refused(network):
    write_recipe(network, ouput="features")
    with pytest.raises(EncoderError, match=r"holds .*ouput.*expected the keys recipe"):
        open_encoder(str(network))


def traced(path, module):
    """Save a torch module as TorchScript."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.trace(module, torch.zeros(1, 3, HEIGHT, WIDTH)), path)


@pytest.fixture
def mean_of_channels():
    """Make a torch module of what is given of the descriptor."""
    torch = pytest.importorskip("torch")

    class Mean(torch.nn.Module):
        def __init__(self, shape_output):
            super().__init__()
            self.shape_output = shape_output

        def forward(self, images):
            means = images.mean(dim=(2, 3))
            return self.shape_output(means / means.norm(dim=1, keepdim=True), images)

    return Mean


@pytest.fixture
def script(tmp_path, mean_of_channels):
    """A TorchScript file whose recipe is right."""
    path = tmp_path / "mine.pt"
    traced(path, mean_of_channels(lambda descriptor, images: descriptor))
    write_recipe(path)
    return path


def test_a_torchscript_file_runs_where_its_path_is_given_and_is_called_a_program(script, image, caplog):
    encoder = open_encoder(str(script))

    assert encoder.engine == "torch_cpu"
    np.testing.assert_allclose(encoder.encode(image).descriptor, expected(RECIPE, image), atol=1e-5)
    assert "a program that runs with your rights" in caplog.text
    assert str(script) in caplog.text


def test_a_torchscript_file_is_not_run_for_a_name_it_happens_to_have(script, weights_folder):
    script.rename(weights_folder / "mixvpr-512.pt")
    with pytest.raises(EncoderError, match=r"mixvpr-512\.pt' is TorchScript, a program.*give its path"):
        open_encoder("mixvpr-512")


def test_a_torchscript_file_with_another_sha256_is_not_run(script, caplog):
    write_recipe(script, sha256="ab" * 32)
    with pytest.raises(EncoderError, match="truncated or another file"):
        open_encoder(str(script))
    assert caplog.text == ""


def test_a_torchscript_file_without_a_recipe_is_not_run(script, caplog):
    script.with_suffix(".yaml").unlink()
    with pytest.raises(EncoderError, match=r"no recipe 'mine\.yaml'"):
        open_encoder(str(script))
    assert caplog.text == ""


def test_a_torchscript_file_and_a_recipe_that_disagree_are_refused(script):
    write_recipe(script, RECIPE | {"dim": 5})
    with pytest.raises(EncoderError, match=r"mine\.pt' does not do what the recipe.*5-D"):
        open_encoder(str(script))


def test_what_a_torchscript_network_gives_beside_its_descriptor_is_left_out(script, mean_of_channels, image):
    """Bag of Queries returns its attentions too; only a map can be a feature map."""
    traced(script, mean_of_channels(lambda descriptor, images: (descriptor, descriptor[:, :1])))
    assert open_encoder(str(script)).encode(image).feature_map is None

    traced(script, mean_of_channels(lambda descriptor, images: (descriptor, images[:, :, ::8, ::8])))
    assert open_encoder(str(script)).encode(image).feature_map.shape == (3, 3, 5)


def test_a_torchscript_network_that_gives_no_descriptor_first_is_refused(script, mean_of_channels):
    traced(script, mean_of_channels(lambda descriptor, images: (images, descriptor)))
    with pytest.raises(EncoderError, match=r"gave a tensor \(1, 3, 24, 40\), expected a tensor \(1, dim\)"):
        open_encoder(str(script))


@pytest.mark.parametrize(
    ("what", "words"), [("double", "float64, expected .* float32"), ("two rows", r"shape \(2, 3\)")]
)
def test_a_torchscript_network_that_gives_another_output_is_refused_when_opened(script, mean_of_channels, what, words):
    outputs = {"double": lambda d, _: d.double(), "two rows": lambda d, _: d.repeat(2, 1)}
    traced(script, mean_of_channels(outputs[what]))
    with pytest.raises(EncoderError, match=words) as caught:
        open_encoder(str(script))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("def forward(self, x):\n  raise ValueError('no such place')\n", "no such place"),
        ("def forward(self, x):\n  return x.flatten(1) @ torch.ones(7, 3)\n", "shapes cannot be multiplied"),
        ("def forward(self, x):\n  return x.mean(dim=[2, 3]).to_sparse()\n", "Sparse"),
        ("def other(self, x):\n  return x\n", "forward"),
    ],
    ids=["raises", "another size", "sparse", "no forward"],
)
def test_a_torchscript_program_that_fails_is_refused_in_one_line_with_its_cause(script, program, words):
    import warnings

    import torch

    class Network(torch.jit.ScriptModule):
        """Torch keeps what is defined by class, so each test has its own."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        network = Network()
        network.define(program)
        torch.jit.save(network, script)
    with pytest.raises(EncoderError, match=rf"mine\.pt' does not do what .*torch failed: .*{words}") as caught:
        open_encoder(str(script))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_under_a_torchscript_name_is_read_as_the_checkpoint_it_is(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "weights.torchscript"
    torch.save({"layer.weight": torch.ones(2)}, path)
    with pytest.raises(EncoderError, match=r"holds layer\.weight, which is no MixVPR"):
        open_encoder(str(path))
