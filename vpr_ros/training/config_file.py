"""Training configs from YAML, read strictly."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import dacite
import yaml

from vpr_ros.training.config import TrainingConfig
from vpr_ros.training.datasets.specs import SPECS, DataSpec, usual_views
from vpr_ros.training.errors import TrainingError

_T = TypeVar("_T")


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once: of two the last would win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands here twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_config(path: Path) -> TrainingConfig:
    """Read a training config.

    Raises:
        TrainingError: The file can't be read, has an unknown or missing key, or a value of the wrong type or range.
        EncoderError: The network's part does not fit.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # a safe loader
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())  # YAML's has several lines
        raise TrainingError(f"can't read training config '{path}': {reason}; expected YAML") from error
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
    if not isinstance(values, dict) or not isinstance(kind, str) or kind not in SPECS:
        raise TrainingError(f"{place} is of kind '{kind}', expected one of {', '.join(SPECS)}")
    given = {key: value for key, value in values.items() if key != "kind"}
    if isinstance(given.get("views"), dict):
        given["views"] = asdict(usual_views(SPECS[kind])) | given["views"]
    return _built(SPECS[kind], given, place)


def _built(group: type[_T], values: Mapping[str, object], place: str) -> _T:
    """Return a frozen group; tuples may come as lists, and whole numbers as floats."""
    _refuse_what_dacite_blurs(group, values, place)
    given = {key: _with_tuples(value) for key, value in values.items()}
    try:
        return dacite.from_dict(group, given, dacite.Config(strict=True, type_hooks={float: _as_float, int: _as_whole}))
    except dacite.WrongTypeError as error:
        raise _wrong(f"{place}: {error.field_path}", error.value, error.field_type) from error
    except dacite.DaciteError as error:
        raise TrainingError(f"{place}: {error}") from error


def _refuse_what_dacite_blurs(group: type, values: Mapping[str, object], place: str, path: str = "") -> None:
    """Refuse unknown keys, of which dacite does not say the group, and what is no list, which it takes apart."""
    types = get_type_hints(group)
    if unknown := sorted(f"{path}{key}" for key in values if key not in types):
        raise TrainingError(f"{place}: unknown {', '.join(unknown)}; there are {', '.join(types)}")
    for key, value in values.items():
        if get_origin(types[key]) is tuple and not isinstance(value, (list, tuple)):
            raise _wrong(f"{place}: {path}{key}", value, types[key])
        inner = next((kind for kind in (types[key], *get_args(types[key])) if is_dataclass(kind)), None)
        for each in value if isinstance(value, list) else (value,):
            if isinstance(inner, type) and isinstance(each, Mapping):
                _refuse_what_dacite_blurs(inner, each, place, f"{path}{key}.")


def _wrong(name: str, value: object, expected: object) -> TrainingError:
    seen = list(value) if isinstance(value, tuple) else value
    return TrainingError(f"{name} is {seen!r}, expected {_told(expected)}")


def _told(expected: object) -> str:
    """Return what people call a type of a config's value."""
    kind, arguments = get_origin(expected), get_args(expected)
    if kind is Literal:
        return f"one of {', '.join(arguments)}"
    if kind is tuple:
        count = "" if Ellipsis in arguments else f" of {len(arguments)}"
        return f"a list{count} in brackets, each {_told(arguments[0])}"
    names: dict[object, str] = {
        float: "a finite number",
        float | None: "a finite number, or nothing",
        int: "a whole number",
        str: "text in quotes",
        bool: "true or false",
    }
    return names.get(expected, "a group of settings")


def _with_tuples(value: object) -> object:
    """Return a value with every list as a tuple, as frozen groups hold it."""
    if isinstance(value, dict):
        return {key: _with_tuples(inner) for key, inner in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _as_whole(value: object) -> object:
    # Python's True is a whole number, and dacite lets it pass; as text it is refused.
    return str(value).lower() if isinstance(value, bool) else value


def _as_float(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return _as_whole(value)
    try:
        number = float(value)  # YAML reads 1e-4 as text, because its numbers want a point.
    except (ValueError, OverflowError):
        return value
    return number if math.isfinite(number) else str(value)
