"""Training configs from YAML, read strictly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import dacite
import yaml

from vpr_ros.training.config import TrainingConfig
from vpr_ros.training.datasets.specs import SPECS, DataSpec, usual_views
from vpr_ros.training.errors import TrainingError

_T = TypeVar("_T")


def read_config(path: Path) -> TrainingConfig:
    """Read a training config.

    Raises:
        TrainingError: The file can't be read, has an unknown or missing key, or a value of the wrong type or range.
        EncoderError: The network's part does not fit.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"can't read training config '{path}': {error}; expected YAML") from error
    if not isinstance(values, dict):
        raise TrainingError(
            f"training config '{path}' holds a {type(values).__name__}, expected name, network, data and what differs "
            "from the defaults; see config/training/"
        )
    return config_of_values(values, str(path))


def config_of_values(values: Mapping[str, object], place: str) -> TrainingConfig:
    """Return the config of a mapping.

    Raises:
        TrainingError: As :func:`read_config`.
    """
    values = dict(values)
    data = values.get("data")
    if isinstance(data, dict):
        sets = {name: _data_specs(data[name], name, place) for name in ("train", "validation") if name in data}
        values["data"] = data | sets
    return _built(TrainingConfig, values, place)


def _data_specs(values: object, name: str, place: str) -> tuple[DataSpec, ...]:
    if not isinstance(values, list):
        raise TrainingError(f"{place}: data.{name} is a {type(values).__name__}, expected a list of data sets")
    return tuple(_data_spec(each, f"{place}: data.{name}[{number}]") for number, each in enumerate(values))


def _data_spec(values: object, place: str) -> DataSpec:
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(values, dict) or kind not in SPECS:
        raise TrainingError(f"{place} is of kind '{kind}', expected one of {', '.join(SPECS)}")
    given = {key: value for key, value in values.items() if key != "kind"}
    if isinstance(given.get("views"), dict):
        given["views"] = asdict(usual_views(SPECS[kind])) | given["views"]
    return _built(SPECS[kind], given, place)


def _built(group: type[_T], values: Mapping[str, object], place: str) -> _T:
    """Return a frozen group; tuples may come as lists, and whole numbers as floats."""
    hooks: dict[Any, Callable[[Any], Any]] = {float: _as_float, tuple[float, ...]: _as_list, tuple[str, ...]: _as_list}
    try:
        return dacite.from_dict(group, values, dacite.Config(strict=True, cast=[tuple], type_hooks=hooks))
    except dacite.UnexpectedDataError as error:
        raise TrainingError(f"{place}: unknown {', '.join(sorted(error.keys))}; there are {_names(group)}") from error
    except (dacite.DaciteError, TypeError) as error:
        raise TrainingError(f"{place}: {error}") from error


def _names(group: type) -> str:
    return ", ".join(getattr(group, "__dataclass_fields__", {}))


def _as_list(value: object) -> object:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{value} stands where a list is expected: write it in brackets")
    return value


def _as_float(value: object) -> object:
    if isinstance(value, str):  # YAML reads 1e-4 as text, because its numbers want a point.
        try:
            return float(value)
        except ValueError:
            return value
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
