"""Where the files that ship beside the code lie: weights, launch and config files."""

import os
import sys
from pathlib import Path


def share_path(relative: str) -> Path:
    """Return the path of a shipped file or folder, such as ``weights/gem-lite.onnx``.

    Looked for in the source tree (a checkout or an editable install), then in ``share/vpr_ros`` of each prefix on
    ``AMENT_PREFIX_PATH`` (a ROS workspace), then of the running Python. No ROS package is needed for it.

    Raises:
        FileNotFoundError: It is in none of them; names them all.
    """
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    source_tree = Path(__file__).resolve().parents[2]
    places = [source_tree] if (source_tree / "package.xml").is_file() else []
    places += [Path(prefix, "share", "vpr_ros") for prefix in prefixes]
    for place in places:
        if (place / relative).exists():
            return place / relative
    raise FileNotFoundError(f"'{relative}' is in none of {', '.join(map(str, places))}; install vpr_ros again")
