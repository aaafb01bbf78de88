"""All settings of a running detector and of its node, and the one file format that overrides them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from vpr_ros.core import Recipe
from vpr_ros.core.settings import SettingsError, build_settings, refuse_unknown, setting
from vpr_ros.detection.keyframes import KeyframeRules
from vpr_ros.detection.policy import Thresholds, policy_for, thresholds_by
from vpr_ros.encoders import ENGINE_NAMES
from vpr_ros.geometry import GeometryRules


@dataclass(frozen=True, slots=True)
class DetectorChoice:
    """Which encoder runs, on what, and which map it fills."""

    encoder: str = setting("mixvpr-lite", "Encoder by its registered name; 'vpr_ros encoders' lists them.")
    engine: str = setting(
        "auto",
        "What runs the network; 'vpr_ros doctor' lists what works here.",
        choices=ENGINE_NAMES,
    )
    policy: str = setting(
        "", "File that 'vpr_ros calibrate' wrote; empty takes the one that is shipped for the encoder."
    )
    map: str = setting("", "Map directory (NAME.vprmap), made if absent; empty keeps the map in memory.")
    durable: bool = setting(
        False, "Survive power cuts too, not only killed processes; each keyframe then waits for the disk."
    )
    mode: str = setting(
        "mapping", "mapping adds places; localization only reads the map.", choices=("mapping", "localization")
    )


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What only the node reads. They stand here so that one parameter file serves the node and the command line."""

    image_transport: str = setting(
        "raw", "raw subscribes image, compressed subscribes image/compressed.", choices=("raw", "compressed")
    )
    queue_size: int = setting(
        5, "Frames that wait for the worker; a full queue drops the oldest and counts it.", low=1, high=1000
    )
    sync_tolerance_s: float = setting(0.02, "How far depth may be from its image in time.", low=0.0, high=10.0)
    odometry_tolerance_s: float = setting(
        0.1, "How far the nearest odometry may be from an image in time; between two it is interpolated.", low=0.0
    )
    sync_wait_s: float = setting(
        0.5, "How long an image waits for the odometry and depth that belong to it.", low=0.0, high=60.0
    )
    map_frame: str = setting("map", "Frame of the poses that relocalization publishes.")
    base_frame: str = setting("base_link", "The robot's frame, whose pose relocalization publishes.")
    t_base_camera: tuple[float, ...] = setting(
        (), "Camera in the base frame, x y z qx qy qz qw; empty asks /tf_static."
    )
    publish_descriptors: bool = setting(False, "Send each keyframe's descriptor on ~/keyframes.")
    silence_warning_s: float = setting(5.0, "Say what is wrong when no image has come for this long.", low=0.1)
    autostart: bool = setting(False, "Configure and activate at start, without a lifecycle manager.")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every group of settings; each has its defaults in code.

    ``given`` are the names that somebody set, be it to their defaults.
    """

    choice: DetectorChoice = field(default_factory=DetectorChoice)
    keyframes: KeyframeRules = field(default_factory=KeyframeRules)
    thresholds: Thresholds = field(default_factory=Thresholds)
    geometry: GeometryRules = field(default_factory=GeometryRules)
    node: NodeSettings = field(default_factory=NodeSettings)
    given: frozenset[str] = frozenset()

    @classmethod
    def from_values(cls, values: Mapping[str, object], place: str = "settings") -> Settings:
        """Return the defaults with ``values`` (flat names) put over them.

        Raises:
            SettingsError: Unknown name, wrong type or out of range.
        """
        refuse_unknown(values, SETTING_GROUPS, place)
        made = cls(*(build_settings(group, values) for group in SETTING_GROUPS))  # type: ignore[arg-type]
        return replace(made, given=frozenset(values))

    def of_encoder(self, recipe: Recipe) -> Settings:
        """Return these settings with the thresholds of an encoder in place of defaults, where its policy knows them.

        Raises:
            PolicyError: As :func:`~vpr_ros.detection.policy.policy_for`.
        """
        policy = policy_for(recipe, self.choice.policy)
        return replace(self, thresholds=thresholds_by(policy, self.thresholds, self.given))


SETTING_GROUPS = (DetectorChoice, KeyframeRules, Thresholds, GeometryRules, NodeSettings)


def read_settings_file(path: Path) -> dict[str, object]:
    """Return the flat values of a ROS parameter file (``/**:`` or ``loop_closure_node:``) or of a plain mapping.

    Raises:
        SettingsError: The file is missing or is no such YAML.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"can't read settings {path}: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(
            f"{path} holds a {type(content).__name__}, expected 'name: value' lines or a ROS parameter file"
        )
    sections = [s["ros__parameters"] for s in content.values() if isinstance(s, dict) and "ros__parameters" in s]
    if not sections:
        return content
    values: dict[str, object] = {}
    for section in sections:
        values.update(section or {})
    values.pop("use_sim_time", None)
    return values
