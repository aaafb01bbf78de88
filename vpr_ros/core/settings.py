"""Settings as flat frozen dataclasses: each value carries its unit, range and meaning, and config files only override.

A ROS parameter file, a ``--params`` file and the node's own parameter declarations are all read from these fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, ClassVar, Protocol, TypeVar

from vpr_ros.core.errors import VprError

Value = bool | int | float | str | tuple[float, ...] | tuple[str, ...]


class SettingsError(VprError):
    """An unknown setting, a wrong type or a value out of range."""


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


_Group = TypeVar("_Group", bound=_Dataclass)


@dataclass(frozen=True, slots=True)
class SettingFacts:
    """What a person and ROS need to know of one setting.

    Attributes:
        name: Flat name, unit included.
        default: Its value where no file says otherwise.
        about: What it does, one sentence.
        low: Smallest value allowed, None for no bound.
        high: Largest value allowed, None for no bound.
        choices: The only values allowed, empty for any.
    """

    name: str
    default: Value
    about: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: object) -> Value:
        """Return ``value`` in the type of the default.

        Raises:
            SettingsError: Wrong type or out of range; names what was given and what is allowed.
        """
        kept = self._typed(value)
        if self.choices and kept not in self.choices:
            raise SettingsError(f"{self.name} is '{value}', expected one of {', '.join(self.choices)}")
        if isinstance(kept, (int, float)) and not self._in_range(float(kept)):
            raise SettingsError(f"{self.name} is {value}, expected {self.range_text}")
        return kept

    def _typed(self, value: object) -> Value:
        wanted = type(self.default)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if wanted is tuple and isinstance(value, Iterable) and not isinstance(value, str):
            return tuple(value)
        if wanted is not type(value):
            raise SettingsError(f"{self.name} is {value!r}, a {type(value).__name__}; expected a {wanted.__name__}")
        return value

    def _in_range(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def range_text(self) -> str:
        """The allowed range in words."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"at least {self.low:g}"
        return f"at most {self.high:g}" if self.high is not None else "any number"


def setting(
    default: Any,
    about: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field with its facts beside it."""
    return field(default=default, metadata={"about": about, "low": low, "high": high, "choices": choices})


def settings_of(group: type[_Dataclass]) -> Iterator[SettingFacts]:
    """Yield the facts of each setting of a group, in order."""
    for f in fields(group):
        default: Any = f.default  # each field has one, see setting()
        yield SettingFacts(name=f.name, default=default, **f.metadata)


def build_settings(group: type[_Group], values: Mapping[str, object]) -> _Group:
    """Return the group with the values that are its own put over the defaults; other names are left alone.

    Raises:
        SettingsError: A value of the wrong type or out of range.
    """
    return group(
        **{facts.name: facts.check(values[facts.name]) for facts in settings_of(group) if facts.name in values}
    )


def refuse_unknown(values: Mapping[str, object], groups: Iterable[type[_Dataclass]], place: str) -> None:
    """Check that each name belongs to one of the groups.

    Raises:
        SettingsError: It does not; names the closest one, or all there are.
    """
    known = [facts.name for group in groups for facts in settings_of(group)]
    for name in values:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known)}"
            raise SettingsError(f"{place}: unknown setting '{name}'; {hint}")
