"""From images to descriptors."""

from vpr_ros.core import Recipe
from vpr_ros.encoders.encoder import Encoder, NetworkEncoder
from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.selection import ENGINE_NAMES, EngineState, engine_states
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.fetch import FetchedWeights, fetch_weights, known_weights
from vpr_ros.encoders.registry import RegisteredEncoder, export_encoder, open_encoder, quantize_encoder, registered

__all__ = [
    "ENGINE_NAMES",
    "Encoder",
    "EncoderError",
    "Encoding",
    "EngineState",
    "FetchedWeights",
    "NetworkEncoder",
    "Recipe",
    "RegisteredEncoder",
    "engine_states",
    "export_encoder",
    "fetch_weights",
    "known_weights",
    "open_encoder",
    "quantize_encoder",
    "registered",
]
