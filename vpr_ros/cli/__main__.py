"""``python -m vpr_ros.cli`` is the program ``vpr_ros``."""

import sys

from vpr_ros.cli.main import main

sys.exit(main())
