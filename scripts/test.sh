#!/usr/bin/env bash
# Runs the whole suite, a worker a core and one more, since many tests wait for clocks, processes and
# databases; arguments go to pytest. Set up first: `make test` does both.
set -euo pipefail
cd "$(dirname "$0")/.."

workers=$(($(nproc 2>/dev/null || echo 2) + 1))
[ "$workers" -le 4 ] || workers=4
for browser in chromium chromium-browser google-chrome; do
    if command -v "$browser" >/dev/null; then found=$browser && break; fi
done
if [ -z "${found:-}" ]; then
    echo "No Chromium was found: the browser tests are skipped (sudo apt-get install chromium)." >&2
fi
if [ -z "${TEST_POSTGRES_URL:-}" ]; then
    echo "TEST_POSTGRES_URL is not set: the store is tested on SQLite alone." >&2
fi
# What the workers and the many programs that tests start import is compiled once, not by each of them.
unset PYTHONDONTWRITEBYTECODE
# A test file stays with one worker, which loads its model once; those with slow tests come first
# (tests/conftest.py sorts them).
exec .venv/bin/python -m pytest -n "$workers" --dist loadfile --no-loadscope-reorder "$@"
