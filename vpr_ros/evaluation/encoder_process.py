"""What an encoder costs a robot: a process that only encodes, measured from inside.

``python -m vpr_ros.evaluation.encoder_process NAME ENGINE THREADS`` prints one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from vpr_ros.encoders import EncoderError, open_encoder
from vpr_ros.evaluation.environment import peak_memory_mib

_PASSES = 3
_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class EncoderProcess:
    """A process that encoded a few images.

    Attributes:
        engine: What ran the network.
        peak_memory_mib: Largest resident memory of the whole process, interpreter and libraries included, in MiB.
        has_torch: Whether torch was loaded.
    """

    engine: str
    peak_memory_mib: float
    has_torch: bool


def measure_encoder_process(name: str, engine: str, threads: int) -> EncoderProcess:
    """Encode in a process of its own.

    Raises:
        EncoderError: It ended with an error; carries its last line.
    """
    command = [sys.executable, "-m", __name__, name, engine, str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)  # noqa: S603
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise EncoderError(f"a process with '{name}' on {engine} ended: {said[-1] if said else error}") from error
    return EncoderProcess(**json.loads(done.stdout))


def main() -> None:
    """Encode and print."""
    name, engine, threads = sys.argv[1:]
    encoder = open_encoder(name, engine, threads=int(threads))
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    for _ in range(_PASSES):
        encoder.encode(image)
    figures = {"engine": encoder.engine, "peak_memory_mib": peak_memory_mib(), "has_torch": "torch" in sys.modules}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
