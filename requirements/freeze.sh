#!/usr/bin/env bash
# Resolve requirements/NAME.in into the exact pins of requirements/NAME.txt (run by `make freeze`).
#
# `pip freeze` can't be used: the ROS wheels hold second egg-infos (rclpy, sensor_msgs, ...) that it lists and that no
# registry has. The resolver's own report names only what was asked for.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-python3}
for name in demo dev; do
  report=$(mktemp)
  "$python" -m pip install --dry-run --ignore-installed --quiet --report "$report" -r "$name.in"
  {
    echo "# Made by 'make freeze' from $name.in; install with --no-deps."
    "$python" - "$report" <<'PY'
import json
import sys

for pin in sorted(f"{i['metadata']['name']}=={i['metadata']['version']}".lower() for i in json.load(open(sys.argv[1]))["install"]):
    print(pin)
PY
  } > "$name.txt"
  rm "$report"
  [ "$name" = demo ] || { echo patchnetvlad==0.1.8 >> "$name.txt"; LC_ALL=C sort -o "$name.txt" "$name.txt"; }
  echo "$name.txt: $(grep -c == "$name.txt") pins" >&2
done
