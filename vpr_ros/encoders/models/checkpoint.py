"""Reading checkpoints: tensors only, nothing executed, loaded strictly with every mismatch named."""

from __future__ import annotations

import errno
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.weights import is_there, is_torchscript

_WRAPPERS = ("state_dict", "model_state_dict")
_NAMES_SHOWN = 5
_BYTES_SHOWN = 8
# What torch.save begins a file with: a zip archive, or before torch 1.6 a pickle.
_TORCH_BEGINNINGS = (b"PK\x03\x04", b"\x80")
# How torch calls the first class that it does not load, in the old layout as in the new one.
_REFUSED_CLASS = re.compile(r"GLOBAL (\S+) was not an allowed global")
# How it calls a pickle of protocol 4: 149 begins its frames, which protocol 2, torch.save's own, has not.
_LATER_PROTOCOL = "Unsupported operand 149"


def read_checkpoint(path: Path) -> dict[str, object]:
    """Return what a torch file holds, read without executing any of it.

    Raises:
        EncoderError: Missing, truncated, no torch file, or one that holds more than plain values and tensors.
    """
    if not is_there(path):
        raise EncoderError(f"there is no checkpoint '{path}'; check the path")
    if is_torchscript(path):
        raise EncoderError(
            f"'{path}' is TorchScript, a program, where a checkpoint of tensors is expected; it runs only where you "
            "give its path, with a recipe beside it: --encoder PATH"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Of pickle's protocol; what comes of it is an error below.
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise EncoderError(_why_not_unpickled(path, error)) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # Of a short archive torch looks for the end before its beginning.
            raise EncoderError(_why_not_whole(path)) from error
        raise EncoderError(f"can't read '{path}': {error}; check its permissions") from error
    except Exception as error:  # A damaged file can make torch's readers raise anything.
        raise EncoderError(_why_not_whole(path)) from error
    if not isinstance(content, dict):
        raise EncoderError(f"'{path}' holds a {type(content).__name__}, expected a dictionary of tensors")
    return content


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors by name, unwrapped from ``state_dict`` and freed of one ``module.`` (DataParallel).

    Raises:
        EncoderError: As :func:`read_checkpoint`, or it holds no tensors.
    """
    return state_dict_of(read_checkpoint(path), path)


def state_dict_of(content: Mapping[str, object], path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint that was read.

    Raises:
        EncoderError: There are none; names the keys seen.
    """
    inner = next((content[key] for key in _WRAPPERS if key in content), content)
    named = inner.items() if isinstance(inner, Mapping) else ()
    tensors = {name: value for name, value in named if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise EncoderError(
            f"'{path}' holds no tensors by name (its keys: {some(list(map(str, content)))}); "
            f"expected a state dict, bare or under {' or '.join(_WRAPPERS)}"
        )
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def load_strictly(network: nn.Module, weights: Mapping[str, Tensor], path: Path, model: str) -> None:
    """Put weights into a network as float32.

    Raises:
        EncoderError: Missing, unexpected or mis-shaped tensors, values that are not finite in float32, or tensors of
            another kind, such as sparse or complex ones; each is named.
    """
    wanted = network.state_dict()
    shapes = (
        f"{name} is {tuple(weights[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in weights and weights[name].shape != wanted[name].shape
    )
    broken = {
        "missing": [name for name in wanted if name not in weights],
        "unexpected": [name for name in weights if name not in wanted],
        "mis-shaped": list(shapes),
        "not plain numbers": [name for name, value in weights.items() if not _is_plain(value)],
        # As float32, in which they run: float64 holds more.
        "not finite": [n for n, value in weights.items() if _is_plain(value) and not value.float().isfinite().all()],
    }
    findings = [f"{len(names)} {what} ({some(names)})" for what, names in broken.items() if names]
    if findings:
        raise EncoderError(
            f"'{path}' does not hold {model}: of {len(weights)} tensors, {len(wanted)} wanted: {'; '.join(findings)}"
        )
    network.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in weights.items()}, strict=True)


def _is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor holds a real number at each place."""
    is_dense = tensor.layout is torch.strided and tensor.device.type == "cpu"
    return is_dense and not tensor.is_quantized and not tensor.is_complex()


def _why_not_unpickled(path: Path, error: pickle.UnpicklingError) -> str:
    try:
        classes = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # noqa: BLE001 - as in read_checkpoint
        classes = []
    classes = classes or _REFUSED_CLASS.findall(str(error))
    if not classes and _LATER_PROTOCOL in str(error):
        return (
            f"'{path}' was pickled with protocol 4 or later, expected torch.save's own, 2: of others it is not known "
            "whether they run code; where you trust the file, save torch.load(...)['state_dict'] anew and give that"
        )
    if not classes:
        return _why_not_whole(path)
    return (
        f"'{path}' holds Python objects beside its tensors ({some(classes)}); loading them would run the file's own "
        "code, so it is refused: save torch.load(...)['state_dict'] alone where you trust the file, and give that"
    )


def _why_not_whole(path: Path) -> str:
    """Say what a file is that torch can't read; torch's own words advise to run whatever code is in it."""
    with path.open("rb") as file:
        beginning = file.read(_BYTES_SHOWN)
    seen = f"'{path}' ({path.stat().st_size} bytes) is no whole torch checkpoint"
    if beginning.startswith(_TORCH_BEGINNINGS):
        return f"{seen}: it begins as one, but is cut short or damaged; copy or download it again and compare its size"
    if path.suffix == ".onnx":
        return f"{seen}: it is an ONNX file; give the weights that it was made of, a file that torch.save wrote"
    if beginning.lstrip().startswith(b"<"):
        return f"{seen}: it is a web page; download it again in a browser, and give the file that comes"
    begins = f"begins with {beginning!r}" if beginning else "is empty"
    return f"{seen}: it {begins}; expected a file that torch.save wrote: check the path, or copy or download it again"


def some(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
