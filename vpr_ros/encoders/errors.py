"""What can go wrong between an image and its descriptor."""

from vpr_ros.core import VprError


class EncoderError(VprError):
    """An image no network takes, weights that are missing or foreign, an engine that can't run, or a broken output."""


class RunError(EncoderError):
    """An engine that opened a network and could not run it on an image of the recipe's size."""
