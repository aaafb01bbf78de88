#!/usr/bin/env bash
# Make or update a virtual environment: make_venv.sh VENV PINS
#
# VENV gets the frozen PINS, vpr_msgs built in, and this package (editable). A second run with nothing changed takes
# well under a second: the stamp in VENV names the pins, the Python and the place it was made for.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1 pins=$2 python=${PYTHON:-python3}

stop() { echo "error: $*" >&2; exit 1; }

command -v "$python" >/dev/null || stop "'$python' not found; install it: apt-get install python3 python3-venv python3-dev"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  stop "$("$python" --version) is too old, 3.10 or newer is needed; choose one with: make PYTHON=python3.11 ..."
"$python" -c 'import ensurepip, venv' 2>/dev/null || stop "Python's venv module is missing: apt-get install python3-venv"
[ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" ] ||
  stop "Python.h is missing, vpr_msgs needs it: apt-get install python3-dev"
for tool in cmake:cmake c++:g++ cc:gcc make:make; do
  command -v "${tool%:*}" >/dev/null || stop "'${tool%:*}' not found, vpr_msgs needs it: apt-get install ${tool#*:}"
done

# A sourced ROS and the wheels don't mix, and the wheels' own guard is inherited from venv to venv.
unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH PYTHONPATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

key=$({ cat "$pins" setup.py; "$python" -V; pwd; } | sha256sum | cut -c1-16)
stamp=$venv/.made-$key
if [ ! -e "$stamp" ]; then
  start=$SECONDS
  echo "[1/3] $venv: installing $(grep -c == "$pins") packages from $pins" >&2
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$pins"
  echo "[2/3] $venv: vpr_ros itself" >&2
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
  echo "[3/3] $venv: building vpr_msgs (about half a minute)" >&2
  requirements/build_vpr_msgs.sh "$venv"
  rm -f "$venv"/.made-*
  touch "$stamp"
  echo "$venv is ready after $((SECONDS - start)) s" >&2
else
  requirements/build_vpr_msgs.sh "$venv"
fi
