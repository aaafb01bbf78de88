"""From images to descriptors."""

from vpr_ros.core import Recipe
from vpr_ros.encoders.encoder import Encoder, NetworkEncoder
from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.registry import RegisteredEncoder, export_encoder, open_encoder, registered

__all__ = [
    "Encoder",
    "EncoderError",
    "Encoding",
    "NetworkEncoder",
    "Recipe",
    "RegisteredEncoder",
    "export_encoder",
    "open_encoder",
    "registered",
]
