#!/bin/sh
# make_venv.sh PYTHON FOLDER: an empty virtual environment, after a look at what the message build will need of the machine.
set -eu
python=$1
folder=$2

fail() {
    echo "make: $*" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "'$python' not found; expected Python 3.10 to 3.13 (PYTHON=... names another)"
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' ||
    fail "$("$python" --version) does not do: the ROS 2 wheels are for 3.10 to 3.13 (PYTHON=... names another)"
[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] ||
    fail "$(uname -s) on $(uname -m) does not do: the ROS 2 wheels are for Linux on x86_64; elsewhere use colcon with a sourced ROS 2"
for compiler in cc c++; do
    command -v $compiler >/dev/null || fail "no '$compiler': the ROS messages are compiled (Debian: apt install build-essential)"
done
"$python" -c 'import os, sys, sysconfig as s; sys.exit(not os.path.isfile(os.path.join(s.get_path("include"), "Python.h")))' ||
    fail "no Python.h for '$python': the ROS messages are compiled (Debian: apt install python3-dev)"
"$python" -c 'import ensurepip' 2>/dev/null ||
    fail "'$python' cannot make virtual environments (Debian: apt install python3-venv)"

# --clear: one that was left half made, or made by another Python or for another place, is no use.
exec "$python" -m venv --clear "$folder"
