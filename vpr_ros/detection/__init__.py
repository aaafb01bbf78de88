"""From frames to decisions."""

from vpr_ros.detection.loop_detector import LoopDetector, Observation
from vpr_ros.detection.relocalizer import RelocalizationAnswer, Relocalizer
from vpr_ros.detection.settings import SETTING_GROUPS, Settings, read_settings_file
from vpr_ros.detection.stages import STAGE_NAMES

__all__ = [
    "SETTING_GROUPS",
    "STAGE_NAMES",
    "LoopDetector",
    "Observation",
    "RelocalizationAnswer",
    "Relocalizer",
    "Settings",
    "read_settings_file",
]
