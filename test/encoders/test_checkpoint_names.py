"""A checkpoint that is asked for under a name is the network of that name, and is taken as it is by its path."""

import pytest

torch = pytest.importorskip("torch")

from vpr_ros.encoders import EncoderError, export_encoder, open_encoder  # noqa: E402
from vpr_ros.encoders.models.mixvpr import MixVpr, MixVprShape  # noqa: E402
from vpr_ros.encoders.models.network_spec import HeadSpec, NetworkSpec, ProjectionSpec  # noqa: E402
from vpr_ros.encoders.models.networks import load_network  # noqa: E402
from vpr_ros.encoders.models.place_network import PlaceNetwork, save_network  # noqa: E402

SPEC = NetworkSpec("efficientnet-lite0", (HeadSpec("average"),), ProjectionSpec("linear", 16), input_size=64)


def trained(folder, name, stem="weights"):
    """What 'vpr_ros train' writes, with random weights."""
    torch.manual_seed(0)
    path = folder / f"{stem}.pt"
    save_network(PlaceNetwork(SPEC), name, "MIT", path)
    return path


def test_a_trained_network_of_another_name_is_not_exported_as_the_default(tmp_path):
    path = trained(tmp_path, "my-contrastive")

    with pytest.raises(EncoderError, match=r"holds my-contrastive, expected mixvpr-lite.*vpr_ros export checkpoint --"):
        export_encoder("mixvpr-lite", tmp_path, path)

    assert list(tmp_path.iterdir()) == [path]


def test_a_trained_network_of_another_name_is_not_run_as_the_default(weights_folder):
    path = trained(weights_folder, "my-contrastive", "mixvpr-lite")

    with pytest.raises(EncoderError, match="holds my-contrastive, expected mixvpr-lite"):
        open_encoder("mixvpr-lite", "torch_cpu")
    assert open_encoder(str(path), "torch_cpu").recipe.name == "my-contrastive"


def test_a_trained_network_of_the_defaults_name_takes_its_place(weights_folder):
    trained(weights_folder, "mixvpr-lite", "mixvpr-lite")
    trained(weights_folder, "mixvpr-lite-128", "mixvpr-lite-128")

    assert open_encoder("mixvpr-lite", "torch_cpu").recipe.dim == 16
    assert open_encoder("mixvpr-lite-128", "torch_cpu").recipe.name == "mixvpr-lite-128"


def test_a_shortened_network_keeps_the_name_that_its_length_gave_it(weights_folder):
    pytest.importorskip("onnx")
    made = export_encoder("mixvpr-lite", weights_folder, dim=128)

    assert made.name == "mixvpr-lite-128.onnx"
    assert open_encoder("mixvpr-lite-128", "onnxruntime").recipe.dim == 128


def test_a_variant_that_no_name_stands_for_is_answered_with_a_way_that_takes_it(tmp_path):
    pytest.importorskip("onnx")
    path = tmp_path / "weights.ckpt"
    torch.save(MixVpr(MixVprShape(512, 4)).state_dict(), path)

    with pytest.raises(EncoderError, match=r"holds mixvpr-2048, expected mixvpr-512; .*vpr_ros export mixvpr --"):
        export_encoder("mixvpr-512", tmp_path, path)

    assert export_encoder("mixvpr", tmp_path, path).name == "mixvpr-2048.onnx"


@pytest.mark.parametrize("name", ["gem-lite", "mixvpr-lite"])
def test_a_size_that_would_be_ignored_is_refused(tmp_path, name):
    with pytest.raises(EncoderError, match="trained for 320 x 320 pixels, not 640 x 480"):
        export_encoder(name, tmp_path, size=(640, 480))


def test_whatever_network_a_checkpoint_holds_is_taken_where_no_name_is_asked_for(tmp_path):
    assert load_network("checkpoint", trained(tmp_path, "mine"))[1].name == "mine"


def test_a_checkpoint_of_another_kind_under_a_trained_name_is_told_with_a_few_of_its_tensors(tmp_path):
    pytest.importorskip("onnx")
    path = tmp_path / "weights.ckpt"
    torch.save(MixVpr(MixVprShape(64, 2)).state_dict(), path)

    with pytest.raises(EncoderError, match=r"and 281 more; expected a weights file that 'vpr_ros train' wrote"):
        export_encoder("mixvpr-lite", tmp_path, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"input_size": 320_000}, "input_size is 320000 pixels, expected .*at most 1024"),
        ({"heads": [{"kind": "mixvpr", "dim": 10**14, "out_rows": 1}]}, "can't be built"),
    ],
    ids=["input_size", "dim"],
)
def test_a_trained_file_that_states_sizes_which_no_memory_holds_is_refused(tmp_path, change, words):
    path = trained(tmp_path, "mine")
    content = torch.load(path)
    content["network"] |= change
    torch.save(content, path)

    with pytest.raises(EncoderError, match=rf"'?{path}'?: .*{words}"):
        load_network("checkpoint", path)
