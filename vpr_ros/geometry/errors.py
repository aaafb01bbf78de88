"""What can go wrong when two views are compared."""

from vpr_ros.core import VprError


class GeometryError(VprError):
    """An image or depth no features can be taken from, or stored features that are damaged or of another kind."""
