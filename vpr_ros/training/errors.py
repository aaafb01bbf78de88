"""What can go wrong before and during a training."""

from vpr_ros.core import VprError


class TrainingError(VprError):
    """A config that does not fit, data that can't be learned from, or a checkpoint of another training."""
