"""Which engine runs a network, and what is said where one can't."""

import logging
import sys
import threading
import weakref
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from vpr_ros.core import share_path
from vpr_ros.encoders import ENGINE_NAMES, EncoderError, engine_states, open_encoder
from vpr_ros.encoders.encoder import NetworkEncoder
from vpr_ros.encoders.engines import selection
from vpr_ros.encoders.engines.engine_cache import EngineCache
from vpr_ros.encoders.engines.onnx_runtime import OnnxRuntime, default_threads
from vpr_ros.encoders.engines.openvino_cpu import OpenVinoCpu, why_no_bf16, why_no_openvino
from vpr_ros.encoders.engines.racing import open_faster, race_key
from vpr_ros.encoders.engines.switching import SwitchingEngine
from vpr_ros.encoders.weights import ExportedNetwork

has_openvino = pytest.mark.skipif(bool(why_no_openvino()), reason="no openvino here")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("VPR_ROS_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def network():
    return ExportedNetwork.read(share_path("weights/gem-lite.onnx"))


def test_every_engine_is_listed_with_a_reason_where_it_is_not_here():
    states = {state.name: state for state in engine_states()}

    assert ("auto", *states) == ENGINE_NAMES
    assert states["onnxruntime"].reason == ""
    for name, state in states.items():
        if state.reason:
            with pytest.raises(EncoderError, match=rf"engine {name} can't run here: .*auto"):
                open_encoder("gem-lite", name)


def test_auto_takes_one_of_the_processors_engines_and_remembers_which(cache_folder):
    first = open_encoder("gem-lite")
    assert first.engine in ("openvino", "onnxruntime")
    if why_no_openvino():
        return
    (kept,) = cache_folder.iterdir()

    assert kept.read_bytes().endswith(first.engine.encode())
    assert open_encoder("gem-lite").engine == first.engine


@has_openvino
@pytest.mark.parametrize("winner", ["onnxruntime", "openvino"])
def test_what_was_remembered_is_opened_alone(network, tmp_path, winner):
    cache, opened = EngineCache(tmp_path), []

    def opener(name, make):
        return name, lambda: opened.append(name) or make(network.path)

    openers = dict([opener("onnxruntime", OnnxRuntime), opener("openvino", OpenVinoCpu)])
    open_faster(openers, network, 1, cache)
    (kept,) = tmp_path.iterdir()
    key = race_key(tuple(openers), network, 1)
    assert kept.name == key.file_name
    cache.put(key, winner.encode())
    opened.clear()

    assert open_faster(openers, network, 1, cache).name == winner
    assert opened == [winner]


@has_openvino
def test_an_engine_that_does_not_start_leaves_the_reference_and_a_line(network, tmp_path, caplog):
    def fails():
        raise EncoderError("it is broken today")

    openers = {"onnxruntime": lambda: OnnxRuntime(network.path), "openvino": fails}

    assert open_faster(openers, network, None, EngineCache(tmp_path)).name == "onnxruntime"
    (record,) = caplog.records
    assert "broken today" in record.getMessage()
    assert list(tmp_path.iterdir()) == []


@has_openvino
def test_a_remembered_winner_that_fails_leaves_the_other_and_a_line(network, tmp_path, caplog):
    def fails():
        raise EncoderError("it is broken today")

    openers, cache = {"onnxruntime": lambda: OnnxRuntime(network.path), "openvino": fails}, EngineCache(tmp_path)
    cache.put(race_key(tuple(openers), network, default_threads()), b"openvino")

    assert open_faster(openers, network, None, cache).name == "onnxruntime"
    assert [r.getMessage() for r in caplog.records] == ["engine openvino is passed over: it is broken today"]


class Turned:
    """An engine that gives what the real one does with the signs turned: no arithmetic of this machine does that."""

    def __init__(self, engine):
        self._engine, self.name = engine, "openvino"

    def run(self, network_input):
        encoding = self._engine.run(network_input)
        return replace(encoding, descriptor=-encoding.descriptor)


def test_an_engine_that_computes_something_else_loses_the_race_and_the_next_start_races_again(
    network, tmp_path, caplog
):
    openers = {
        "onnxruntime": lambda: OnnxRuntime(network.path),
        "openvino": lambda: Turned(OnnxRuntime(network.path)),
    }

    assert open_faster(openers, network, None, EngineCache(tmp_path)).name == "onnxruntime"
    (record,) = caplog.records
    assert "openvino is passed over: against onnxruntime its descriptors reach a cosine of -1.00000" in record.message
    assert list(tmp_path.iterdir()) == []


@has_openvino
@pytest.mark.parametrize("engine", ["openvino:bf16", "onnxruntime_cuda", "onnxruntime_tensorrt:fp16"])
def test_an_engine_that_is_compared_each_time_and_computes_something_else_is_refused(monkeypatch, engine):
    stand_in = lambda path, *_, **__: Turned(OnnxRuntime(path))  # noqa: E731
    monkeypatch.setattr(selection, "OpenVinoCpu", stand_in)
    monkeypatch.setitem(selection.KINDS, engine, replace(selection.KINDS[engine], why_not=str))
    if engine.startswith("onnxruntime"):
        real = OnnxRuntime
        monkeypatch.setattr(
            selection,
            "OnnxRuntime",
            lambda path, *, providers=(), name="", **options: (
                Turned(real(path, **options)) if providers else real(path, **options)
            ),
        )

    with pytest.raises(EncoderError, match=r"is refused for 'gem-lite'.*cosine of -1\.00000, expected at least 0\.9"):
        open_encoder("gem-lite", engine)


@has_openvino
def test_without_onnx_runtime_auto_takes_openvino(monkeypatch):
    monkeypatch.setattr("vpr_ros.encoders.engines.onnx_runtime.find_spec", lambda name: None)

    states = {state.name: state.reason for state in engine_states()}
    assert states["onnxruntime"] == "onnxruntime is not installed; 'pip install onnxruntime'"
    assert open_encoder("gem-lite").engine == "openvino"


def test_a_race_holds_for_the_versions_that_are_imported_and_for_the_output(network, monkeypatch):
    import onnxruntime

    def not_found(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("vpr_ros.encoders.engines.racing.version", not_found)
    key = race_key(("onnxruntime",), network, 1)

    assert f"onnxruntime {onnxruntime.__version__}" in key.runtime  # as where onnxruntime-gpu is installed
    assert race_key(("onnxruntime",), replace(network, output="other"), 1) != key
    monkeypatch.setattr("vpr_ros.encoders.engines.racing.__version__", "another")
    assert race_key(("onnxruntime",), network, 1) != key


@has_openvino
def test_openvino_by_name_is_compared_once_and_that_is_remembered(cache_folder, monkeypatch):
    compared = []
    monkeypatch.setattr(selection, "refuse_difference", lambda ours, *_: compared.append(ours.engine))

    assert [open_encoder("gem-lite", "openvino").engine for _ in range(2)] == ["openvino", "openvino"]
    assert compared == ["openvino"]


@has_openvino
def test_openvino_by_name_that_computes_something_else_is_refused_and_that_is_not_remembered(cache_folder, monkeypatch):
    right = OpenVinoCpu.run
    monkeypatch.setattr(OpenVinoCpu, "run", lambda *args: replace(right(*args), descriptor=-right(*args).descriptor))

    for _ in range(2):
        with pytest.raises(EncoderError, match=r"openvino is refused for 'gem-lite'.*cosine of -1\.00000"):
            open_encoder("gem-lite", "openvino")
    assert not cache_folder.exists()


@has_openvino
@pytest.mark.parametrize("name", ["openvino", "auto"])
def test_one_engine_is_gone_before_the_next_comes(cache_folder, monkeypatch, name):
    """Both at once would be the most memory that the process ever takes."""
    opened = []

    def alone(engine):
        def open_it(*args, **options):
            assert [each() for each in opened] == [None] * len(opened)
            it = engine(*args, **options)
            opened.append(weakref.ref(it))
            return it

        return open_it

    monkeypatch.setattr(selection, "OnnxRuntime", alone(OnnxRuntime))
    monkeypatch.setattr(selection, "OpenVinoCpu", alone(OpenVinoCpu))

    open_encoder("gem-lite", name)

    assert len(opened) == {"openvino": 3, "auto": 5}[name]


@pytest.mark.parametrize(
    ("openvino_s", "onnxruntime_s", "winner"),
    [(1, 2, "openvino"), (2, 1, "onnxruntime"), ((9, 1), 2, "openvino"), (2, (9, 1), "onnxruntime")],
    ids=["openvino", "onnxruntime", "openvino-in-its-second-round", "onnxruntime-in-its-second-round"],
)
def test_the_fastest_pass_of_two_rounds_wins(network, tmp_path, monkeypatch, openvino_s, onnxruntime_s, winner):
    now_s = [0.0]
    monkeypatch.setattr("vpr_ros.encoders.engines.parity.time.perf_counter", lambda: now_s[0])

    class Timed:
        def __init__(self, name, spent_s):
            self.name, self._spent_s, self._engine = name, spent_s, OnnxRuntime(network.path)

        def run(self, network_input):
            now_s[0] += self._spent_s
            return self._engine.run(network_input)

    def opener(name, seconds):
        rounds = iter(seconds if isinstance(seconds, tuple) else (seconds, seconds))
        return lambda: Timed(name, next(rounds, 0))

    openers = {"onnxruntime": opener("onnxruntime", onnxruntime_s), "openvino": opener("openvino", openvino_s)}
    cache = EngineCache(tmp_path)

    assert open_faster(openers, network, 1, cache).name == winner
    assert cache.get(race_key(tuple(openers), network, 1)) == winner.encode()


@has_openvino
def test_a_reference_that_opens_and_fails_is_no_missing_one(cache_folder, monkeypatch):
    def fails(*_):
        raise EncoderError("ONNX Runtime failed: no memory")

    monkeypatch.setattr(OnnxRuntime, "run", fails)

    with pytest.raises(EncoderError, match="ONNX Runtime failed: no memory"):
        open_encoder("gem-lite", "openvino")


@has_openvino
def test_where_both_are_broken_the_one_that_was_named_is_told(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)

    for name in ("openvino", "openvino:bf16"):
        # As where it is installed and can't be imported.
        monkeypatch.setitem(selection.KINDS, name, replace(selection.KINDS[name], why_not=str))
        with pytest.raises(EncoderError, match=r"engine openvino can't start.*pip install openvino"):
            open_encoder("gem-lite", name)
    assert caplog.records == []


@has_openvino
def test_openvino_by_name_runs_without_onnx_runtime_and_says_that_it_was_not_compared(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    assert open_encoder("gem-lite", "openvino").engine == "openvino"
    (record,) = caplog.records
    assert "runs without a comparison: engine onnxruntime can't start" in record.getMessage()


def test_torch_that_sees_no_gpu_is_told_where_a_driver_left_its_traces(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(selection, "_GPU_TRACES", ("/",))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    states = {state.name: state.reason for state in engine_states()}
    assert "this torch finds no GPU" in states["torch_cuda"]
    assert "this torch finds no GPU" in states["torch_cuda:fp16"]


def test_what_onnx_runtime_says_in_three_lines_is_one_with_the_sizes(network):
    with pytest.raises(EncoderError, match=r"^ONNX Runtime failed: [^\n]*Got: 224 Expected: 320[^\n]*$"):
        OnnxRuntime(network.path).run(np.zeros((1, 3, 224, 224), np.float32))


@has_openvino
def test_what_openvino_says_is_the_cause_and_not_where_in_its_sources(tmp_path):
    with pytest.raises(EncoderError, match=r"^OpenVINO can't load [^\n]*Could not open the file[^\n]*$") as refusal:
        OpenVinoCpu(tmp_path / "gone.onnx")
    assert ".cpp:" not in str(refusal.value)


def test_a_cache_that_can_not_be_written_costs_a_line_and_nothing_else(cache_folder, caplog, office):
    cache_folder.write_text("a file stands here")
    encoder = open_encoder("gem-lite")
    assert abs(np.linalg.norm(encoder.encode(office[0]).descriptor) - 1) < 1e-3
    assert len(caplog.records) == (0 if why_no_openvino() else 1)


def test_a_missing_runtime_is_passed_over_by_auto_and_named_to_who_asks(monkeypatch):
    monkeypatch.setattr("vpr_ros.encoders.engines.openvino_cpu.find_spec", lambda name: None)

    assert open_encoder("gem-lite").engine == "onnxruntime"
    with pytest.raises(EncoderError, match=r"openvino is not installed; 'pip install openvino'"):
        open_encoder("gem-lite", "openvino")


def test_a_processor_without_bf16_is_told(tmp_path):
    plain, able = tmp_path / "plain", tmp_path / "able"
    plain.write_text("flags : fpu avx2 avx512f\n")
    able.write_text("flags : fpu avx512_bf16\n")
    assert "avx512_bf16" in why_no_bf16(plain)
    assert why_no_bf16(tmp_path / "gone")
    assert why_no_bf16(able) == ""


def test_the_serving_engine_answers_until_the_other_is_built_and_then_the_other(network, office):
    may_build = threading.Event()
    other = OnnxRuntime(network.path, name="better")

    def build():
        may_build.wait(60)
        return other

    engine = SwitchingEngine.start(OnnxRuntime(network.path), build)
    encoder = NetworkEncoder(network.recipe, engine)
    assert encoder.engine == "onnxruntime"
    before = encoder.encode(office[0]).descriptor
    assert not engine.wait(0)

    may_build.set()
    assert engine.wait(60)

    assert encoder.engine == "better"
    np.testing.assert_array_equal(encoder.encode(office[0]).descriptor, before)


@pytest.mark.parametrize("error", [EncoderError("cosine 0.98100"), RuntimeError("driver")])
def test_a_builder_that_fails_leaves_the_serving_engine_and_one_line(network, office, caplog, error):
    def build():
        raise error

    engine = SwitchingEngine.start(OnnxRuntime(network.path), build)
    assert engine.wait(60)

    assert engine.name == "onnxruntime"
    assert NetworkEncoder(network.recipe, engine).encode(office[0]).descriptor.shape == (320,)
    assert [r.getMessage() for r in caplog.records] == [f"onnxruntime keeps serving: {error}"]


@has_openvino
def test_auto_switches_to_what_a_gpu_would_build_after_it_has_passed_its_check(monkeypatch, caplog, office):
    """OpenVINO in fp32 stands for TensorRT: the way from auto through thread and check to the switch is the same."""
    caplog.set_level(logging.INFO)
    stand_in = selection.EngineKind("tensorrt:fp16", "", "fp32", selection.KINDS["openvino"].open, lambda: "")
    monkeypatch.setitem(selection.KINDS, "tensorrt:fp16", stand_in)

    encoder = open_encoder("gem-lite")
    assert encoder._engine.wait(120)

    assert encoder.engine == "openvino"
    assert encoder.encode(office[0]).descriptor.shape == (320,)


def test_onnx_runtime_that_lacks_a_provider_is_no_silent_fallback(network):
    providers = (("CUDAExecutionProvider", {}),)
    with pytest.raises(EncoderError, match=r"can't (start|load)"):
        OnnxRuntime(network.path, name="onnxruntime_cuda", providers=providers)
