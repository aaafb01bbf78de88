"""``vpr_ros export``: what is said where there is nothing to make, and the list of engines."""

import pytest


def test_without_an_encoder_it_lists_the_engines_and_why_one_is_not_here(vpr_ros):
    done = vpr_ros("export")

    assert done.returncode == 0
    for engine in ("tensorrt:fp16", "torch_cuda", "onnxruntime_cuda", "openvino:int8", "onnxruntime", "torch_cpu"):
        assert engine in done.stdout
    assert "here" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gem-lite",), "--out"),
        (("gem-lite", "--precision", "int8", "--out", "."), "--images FOLDER"),
        (("gem-lite", "--precision", "bf16", "--out", "."), "no file of its own"),
        (("gem-lite", "--precision", "int8", "--engine", "onnxruntime", "--out", "."), "is for openvino"),
        (("gem-lite", "--precision", "int8", "--images", "gone", "--out", "."), "no folder 'gone' of images"),
        (("mixvpr-lite", "--precision", "int8", "--dim", "128", "--out", "."), "--dim says nothing"),
        (("gem-lite", "--precision", "int8", "--checkpoint", "x.pth", "--out", "."), "--checkpoint says nothing"),
        (("gem-lite", "--precision", "int8", "--stored-in-half", "--out", "."), "--stored-in-half says nothing"),
    ],
)
def test_what_does_not_go_together_is_one_line_that_says_what_to_do(vpr_ros, arguments, words):
    done = vpr_ros("export", *arguments)

    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
