"""What can go wrong when two images are compared patch by patch."""

from vpr_ros.core import VprError


class RerankingError(VprError):
    """A vocabulary that is missing, broken or another encoder's, or patch descriptors that can't be compared."""
