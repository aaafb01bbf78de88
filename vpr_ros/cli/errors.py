"""What only the command line can find wrong."""

from vpr_ros.core import VprError


class UsageError(VprError):
    """Options that don't go together."""
