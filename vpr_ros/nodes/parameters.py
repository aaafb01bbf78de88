"""ROS parameters from the settings of the core: declared with meaning and range, read back as one value."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.exceptions import ParameterUninitializedException
from rclpy.node import Node
from rclpy.parameter import Parameter

from vpr_ros.core.settings import SettingFacts, SettingsError, Value, refuse_unknown, settings_of
from vpr_ros.detection import SETTING_GROUPS, Settings

_LOWEST_INTEGER, _HIGHEST_INTEGER = -(2**63), 2**63 - 1
_LOWEST_FLOAT, _HIGHEST_FLOAT = -1.7e308, 1.7e308
# Parameters that rclpy itself takes from a file.
_OF_RCLPY = ("use_sim_time", "start_type_description_service", "qos_overrides")


class Parameters:
    """The settings of a node as its parameters.

    The node must be made with ``automatically_declare_parameters_from_overrides=True``: what a file or the command line
    gives is then there, wrong or right, and a wrong one is refused when the node is configured, not when it is made.

    Attributes:
        complaints: What is wrong with the values given, a sentence each.
    """

    def __init__(self, node: Node) -> None:
        """Declare every setting; values that are given and right take effect."""
        self._node = node
        self._facts = {facts.name: facts for group in SETTING_GROUPS for facts in settings_of(group)}
        self._wrong: dict[str, str] = {}
        self._given: set[str] = set()
        self._unknown = list(self._unknown_names())
        self._is_locked = False
        for facts in self._facts.values():
            self._declare(facts)
        node.add_on_set_parameters_callback(self._check)

    @property
    def complaints(self) -> list[str]:
        """What is wrong with the values given, a sentence each."""
        return [*self._wrong.values(), *self._unknown]

    def read(self) -> Settings:
        """Return the settings and allow no change until ``unlock``.

        Raises:
            SettingsError: A value given is wrong or a name unknown; says all of it.
        """
        if self.complaints:
            raise SettingsError("; ".join(self.complaints))
        # The others have their defaults, in place of which an encoder may know better.
        settings = Settings.from_values({name: self._value(name) for name in sorted(self._given)}, "parameters")
        self._is_locked = True
        return settings

    def show(self, settings: Settings) -> None:
        """Have the parameters that nobody set say what holds in their place, so that a dump repeats this run.

        They still count as not set: after a clean-up another encoder's values take the place of these.
        """
        values = {f.name: getattr(settings.thresholds, f.name) for f in fields(settings.thresholds)}
        shown = [Parameter(name, value=_for_ros(value)) for name, value in values.items() if name not in self._given]
        self._node.remove_on_set_parameters_callback(self._check)
        self._node.set_parameters(shown)
        self._node.add_on_set_parameters_callback(self._check)

    def unlock(self) -> None:
        """Allow changes again."""
        self._is_locked = False

    def _declare(self, facts: SettingFacts) -> None:
        value = facts.default
        if self._node.has_parameter(facts.name):
            given = self._node.get_parameter(facts.name).value
            self._node.undeclare_parameter(facts.name)
            try:
                value = facts.check(_plain(given))
                self._given.add(facts.name)
            except SettingsError as error:
                self._wrong[facts.name] = str(error)
        self._node.declare_parameter(facts.name, _for_ros(value), descriptor_of(facts), ignore_override=True)

    def _value(self, name: str) -> object:
        try:
            return _plain(self._node.get_parameter(name).value)
        except ParameterUninitializedException:
            return ()

    def _unknown_names(self) -> Iterator[str]:
        for name in self._node.get_parameters_by_prefix(""):
            if name.split(".")[0] in _OF_RCLPY:
                continue
            try:
                refuse_unknown({name: None}, SETTING_GROUPS, "parameters")
            except SettingsError as error:
                yield str(error)

    def _check(self, parameters: Sequence[Parameter[Any]]) -> SetParametersResult:
        """Refuse a change that is wrong, or comes while the node works with the values it has read."""
        own = [parameter for parameter in parameters if parameter.name in self._facts]
        for parameter in own:
            facts = self._facts[parameter.name]
            if self._is_locked:
                reason = f"{parameter.name} is read when the node is configured; clean up, set it, configure again"
                return SetParametersResult(successful=False, reason=reason)
            try:
                facts.check(_plain(parameter.value))
            except SettingsError as error:
                return SetParametersResult(successful=False, reason=str(error))
        for parameter in own:  # Only now: of several set at once, one that is wrong stops all.
            self._wrong.pop(parameter.name, None)
            self._given.add(parameter.name)
        return SetParametersResult(successful=True)


def descriptor_of(facts: SettingFacts) -> ParameterDescriptor:
    """Return what ``ros2 param describe`` shows of a setting."""
    descriptor = ParameterDescriptor(name=facts.name, description=facts.about, type=_type_of(facts.default))
    if facts.choices:
        descriptor.additional_constraints = f"one of {', '.join(facts.choices)}"
    if facts.low is None and facts.high is None:
        return descriptor
    if isinstance(facts.default, float):
        low = _LOWEST_FLOAT if facts.low is None else float(facts.low)
        high = _HIGHEST_FLOAT if facts.high is None else float(facts.high)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif isinstance(facts.default, int):
        lowest = _LOWEST_INTEGER if facts.low is None else int(facts.low)
        highest = _HIGHEST_INTEGER if facts.high is None else int(facts.high)
        descriptor.integer_range = [IntegerRange(from_value=lowest, to_value=highest)]
    return descriptor


def _type_of(default: Value) -> int:
    if isinstance(default, bool):
        return int(ParameterType.PARAMETER_BOOL)
    if isinstance(default, int):
        return int(ParameterType.PARAMETER_INTEGER)
    if isinstance(default, float):
        return int(ParameterType.PARAMETER_DOUBLE)
    if isinstance(default, str):
        return int(ParameterType.PARAMETER_STRING)
    return int(ParameterType.PARAMETER_DOUBLE_ARRAY)


def _for_ros(value: Value) -> Any:
    """Return a value as rclpy declares it; an empty list has no type there, so its type stands for it."""
    if isinstance(value, tuple):
        return array("d", value) if value else Parameter.Type.DOUBLE_ARRAY
    return value


def _plain(value: object) -> object:
    """Return an array's numbers as a tuple of floats, anything else as it is."""
    if isinstance(value, (array, list, tuple)):
        return tuple(float(number) if isinstance(number, int) else number for number in value)
    return value
