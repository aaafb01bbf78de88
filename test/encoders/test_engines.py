"""What every engine gives for the same network, and that exports compute the same."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

import random_checkpoints  # noqa: E402 - needs torch

from vpr_ros.encoders import (  # noqa: E402
    EncoderError,
    engine_states,
    export_encoder,
    open_encoder,
    quantize_encoder,
)
from vpr_ros.encoders.engines.onnx_runtime import OnnxRuntime  # noqa: E402
from vpr_ros.encoders.models.export import export_network, fold_batch_norms  # noqa: E402

ENGINES = [state.name for state in engine_states() if not state.reason]
# What each arithmetic may cost: the least cosine to torch in fp32.
LEAST_COSINE = {"fp16": 0.999, "bf16": 0.999, "int8": 0.99}


# What docs/engines.md says parity refuses on some processors.
DOCUMENTED_REFUSALS = {("gem-lite", "openvino:bf16"), ("gem-lite", "openvino:int8")}
# Why there is no int8 file of a network here: test_engines_quantization.py makes gem-lite's, or sees it refused.
NO_INT8 = {"gem-lite": "gem-lite's is made in another test"}


def open_or_skip(name, engine):
    """Skip for what the machine lacks, and for a refusal that is documented and gives its figure; for nothing else."""
    try:
        return open_encoder(name, engine)
    except EncoderError as error:
        said = str(error)
    if "no int8 file" in said:
        assert name in NO_INT8, said
        pytest.skip(NO_INT8[name])
    assert (name, engine) in DOCUMENTED_REFUSALS, said
    assert re.search(r"is refused for .* 0\.\d{5}", said), said
    pytest.skip(said)


@pytest.fixture(scope="module")
def user_weights(tmp_path_factory, images):
    """A weights folder as a user fills it: a checkpoint of random weights and its export."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save(random_checkpoints.released(128), folder / "resnet50_MixVPR_128_channels(64)_rows(2).ckpt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VPR_ROS_WEIGHTS", str(folder))
        patch.setenv("VPR_ROS_CACHE", str(folder / "cache"))
        export_encoder("mixvpr-128", folder)
        if "openvino:int8" in ENGINES and importlib.util.find_spec("nncf"):
            quantize_encoder("mixvpr-128", images / "office", folder)
        else:
            NO_INT8["mixvpr-128"] = "nncf, which makes it, is not installed"
        yield folder


@pytest.fixture(params=["gem-lite", "mixvpr-128"])
def name(request, user_weights):
    return request.param


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_gives_what_torch_gives(name, engine, office):
    encoder, reference = open_or_skip(name, engine), open_encoder(name, "torch_cpu")
    least = LEAST_COSINE.get(engine.partition(":")[2], 0.9999)
    assert encoder.engine == engine
    assert encoder.recipe == reference.recipe
    for image in office[:2]:
        ours, theirs = encoder.encode(image), reference.encode(image)

        assert ours.descriptor @ theirs.descriptor >= least * np.linalg.norm(ours.descriptor)
        assert ours.descriptor.dtype == np.float32
        assert (ours.feature_map is None) == (theirs.feature_map is None)
        if ours.feature_map is not None:
            a, b = ours.feature_map.ravel(), theirs.feature_map.ravel()
            assert a @ b / np.sqrt((a @ a) * (b @ b)) >= least


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_finds_the_ten_neighbours_that_torch_finds_in_their_order(name, engine, images):
    """Neighbours that torch holds apart by less than the arithmetic may cost are a draw."""
    paths = sorted((images / "office").glob("*.jpg"))[::2]
    pictures = [np.array(Image.open(path).convert("RGB")) for path in paths]
    encoder, reference = open_or_skip(name, engine), open_encoder(name, "torch_cpu")

    ours = np.array([encoder.encode(picture).descriptor for picture in pictures])
    theirs = np.array([reference.encode(picture).descriptor for picture in pictures])

    similarities = theirs[1:] @ theirs[0]
    found = similarities[np.argsort(-(ours[1:] @ ours[0]))[:10]]
    tie = 1 - LEAST_COSINE.get(engine.partition(":")[2], 0.9999)
    assert len(found) == 10
    np.testing.assert_allclose(found, -np.sort(-similarities)[:10], atol=tie)


@pytest.mark.skipif("openvino:bf16" not in ENGINES, reason="this processor does not compute in bf16")
def test_bf16_rounds_where_fp32_does_not(user_weights, office):
    half, full, reference = (
        open_encoder("mixvpr-128", engine).encode(office[0]).descriptor
        for engine in ("openvino:bf16", "openvino", "onnxruntime")
    )
    assert np.abs(full - reference).max() < 1e-5 < np.abs(half - reference).max()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_encoding_stays_what_it_was_when_the_next_image_comes(name, engine, office):
    encoder = open_or_skip(name, engine)
    first = encoder.encode(office[0])
    kept = first.descriptor.copy()

    second = encoder.encode(office[1])

    np.testing.assert_array_equal(first.descriptor, kept)
    assert second.descriptor @ kept < 0.99999


@pytest.mark.parametrize("engine", ENGINES)
def test_an_input_of_another_size_is_an_error_of_the_encoder(name, engine):
    encoder = open_or_skip(name, engine)
    with pytest.raises(EncoderError, match=r"ONNX Runtime failed|OpenVINO failed|torch failed|gave"):
        encoder._engine.run(np.zeros((1, 4, 320, 320), np.float32))


def test_auto_takes_the_onnx_file_where_there_is_one_and_the_checkpoint_else(user_weights, monkeypatch, tmp_path):
    assert open_encoder("mixvpr-128").engine in ("openvino", "onnxruntime")

    checkpoint = next(user_weights.glob("*.ckpt"))
    (tmp_path / checkpoint.name).symlink_to(checkpoint)
    monkeypatch.setenv("VPR_ROS_WEIGHTS", str(tmp_path))
    assert open_encoder("mixvpr-128").engine == "torch_cpu"


def test_a_checkpoint_is_opened_by_its_path(user_weights):
    encoder = open_encoder(str(next(user_weights.glob("*.ckpt"))))
    assert (encoder.recipe.name, encoder.engine) == ("mixvpr-128", "torch_cpu")


def test_a_checkpoint_of_another_size_than_the_name_says_is_refused(user_weights, tmp_path):
    with pytest.raises(EncoderError, match="holds mixvpr-128, expected mixvpr-512"):
        export_encoder("mixvpr-512", tmp_path, checkpoint=next(user_weights.glob("*.ckpt")))


def test_an_export_of_any_mixvpr_is_named_after_what_the_file_holds(user_weights, tmp_path):
    made = export_encoder("mixvpr", tmp_path, checkpoint=next(user_weights.glob("*.ckpt")))
    assert made.name == "mixvpr-128.onnx"
    assert made.read_bytes() == (user_weights / "mixvpr-128.onnx").read_bytes()


def test_an_export_into_no_folder_or_under_another_ending_is_refused(tmp_path):
    with pytest.raises(EncoderError, match="no folder"):
        export_encoder("gem-lite", tmp_path / "gone" / "gem-lite.onnx")
    with pytest.raises(EncoderError, match=r"does not end in \.onnx"):
        export_encoder("gem-lite", tmp_path / "gem-lite.bin")


def test_an_export_that_can_not_be_written_is_one_line():
    with pytest.raises(EncoderError, match=r"^can't write '/proc/net\.onnx': [^\n]*; check space[^\n]*$"):
        export_encoder("gem-lite", Path("/proc/net.onnx"))


def test_an_export_that_computes_something_else_leaves_no_file(tmp_path):
    recipe = open_encoder("gem-lite").recipe

    class ChangesItsMind(torch.nn.Module):
        """Its answer depends on whether it is being traced."""

        def forward(self, images):
            values = images.flatten(1)[:, :320]
            return values / values.norm() if torch.jit.is_tracing() else values.flip(1) / values.norm()

    with pytest.raises(EncoderError, match="gives another descriptor than torch"):
        export_network(ChangesItsMind(), recipe, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_folding_batch_norms_changes_no_value():
    from vpr_ros.encoders.models.mixvpr import MixVpr, MixVprShape

    network = MixVpr(MixVprShape(8, 2))
    network.load_state_dict(
        {n: v for n, v in random_checkpoints.released(128).items() if "_proj" not in n}, strict=False
    )
    folded = fold_batch_norms(network)

    assert not [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    images = torch.randn(1, 3, 320, 320, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        np.testing.assert_allclose(folded(images), network.eval()(images), atol=1e-4)


def test_onnx_runtime_takes_no_more_threads_than_it_is_given(user_weights):
    """Threads beyond the caller's are the pool's: none for one, one for two."""

    def threads():
        return len(list(Path("/proc/self/task").iterdir()))

    before = threads()
    one = OnnxRuntime(user_weights / "mixvpr-128.onnx", threads=1)
    assert threads() == before
    two = OnnxRuntime(user_weights / "mixvpr-128.onnx", threads=2)
    assert threads() == before + 1
    del one, two


def test_a_signal_is_survived_after_encoders_have_come_and_gone():
    """OpenVINO's plugin lends the thread a signal stack, and two plugins that went left it in the wrong hands."""
    pytest.importorskip("openvino")
    program = """
import gc, signal
from vpr_ros.encoders import open_encoder
heard = []
signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
first, second = open_encoder("gem-lite", "openvino"), open_encoder("mixvpr-lite", "openvino")
del first
gc.collect()
del second
gc.collect()
signal.raise_signal(signal.SIGUSR1)
print(len(heard))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)

    assert (ended.returncode, ended.stdout.strip()) == (0, "1"), ended.stderr[-500:]
