#!/usr/bin/env bash
# Build vpr_msgs with the ROS wheels of a virtual environment, into that environment: build_vpr_msgs.sh VENV
#
# Installed there, the messages need no environment variable to be found. Takes about half a minute; with nothing
# changed, well under a second: the stamp in VENV names the sources, the ROS wheels, the Python and the place.
# On a ROS machine colcon builds vpr_msgs, and this script is not used.
set -euo pipefail
cd "$(dirname "$0")/.."

stop() { echo "error: $*" >&2; exit 1; }

[ $# = 1 ] || stop "expected one argument, the virtual environment: requirements/build_vpr_msgs.sh .venv"
[ -x "$1/bin/python" ] || stop "'$1' is no virtual environment (no bin/python); make it with: make setup"
venv=$(cd "$1" && pwd)
build=.build/vpr_msgs-$(basename "$venv")

key=$({
  find vpr_msgs cmake -type f | LC_ALL=C sort | xargs sha256sum
  ls "$venv"/lib/python*/site-packages | grep -i '^ros.*dist-info$'
  "$venv/bin/python" -V
  echo "$venv"
} | sha256sum | cut -c1-16)
stamp=$venv/share/vpr_msgs/.built-$key
[ ! -e "$stamp" ] || exit 0

for tool in cmake:cmake c++:g++ cc:gcc make:make; do
  command -v "${tool%:*}" >/dev/null || stop "'${tool%:*}' not found, vpr_msgs needs it: apt-get install ${tool#*:}"
done
headers=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
[ -e "$headers/Python.h" ] || stop "Python.h is missing in $headers, vpr_msgs needs it: apt-get install python3-dev"

# A sourced ROS and the wheels don't mix. The generators are scripts in the environment's bin.
unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH PYTHONPATH
export PATH="$venv/bin:$PATH"
mkdir -p .build
log=$build.log
quietly() { "$@" >>"$log" 2>&1 || { tail -n 30 "$log" >&2; stop "building vpr_msgs failed; everything it said is in $log"; }; }

: >"$log"
rm -rf "$build"
quietly cmake -S vpr_msgs -B "$build" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
  -DCMAKE_PREFIX_PATH="$venv" -DCMAKE_INSTALL_PREFIX="$venv" \
  -DPython3_EXECUTABLE="$venv/bin/python" -DPython3_FIND_VIRTUALENV=ONLY \
  -DCMAKE_PROJECT_INCLUDE="$PWD/cmake/wheels_fix.cmake"
quietly cmake --build "$build" -j"$(nproc)"
quietly cmake --install "$build"
rm -f "$venv"/share/vpr_msgs/.built-*
touch "$stamp"
