"""Makes the worlds of this folder, and geometry's made-up scenes, importable by their name."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "geometry")]
