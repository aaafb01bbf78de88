"""The random checkpoints lie beside the re-ranker's own tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "reranking"))
