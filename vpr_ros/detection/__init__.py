"""From frames to decisions."""

from vpr_ros.detection.loop_detector import LoopDetector, Observation
from vpr_ros.detection.path import STAGE_NAMES
from vpr_ros.detection.relocalizer import RelocalizationAnswer, Relocalizer, relocalization_of
from vpr_ros.detection.settings import SETTING_GROUPS, Settings, read_settings_file

__all__ = [
    "SETTING_GROUPS",
    "STAGE_NAMES",
    "LoopDetector",
    "Observation",
    "RelocalizationAnswer",
    "Relocalizer",
    "Settings",
    "read_settings_file",
    "relocalization_of",
]
