#!/usr/bin/env bash
# The whole benchmark and the engine's GPU tests in one call, on a machine with a GPU.
#
#   OUT=docs/benchmarks ./scripts/bench_gpu.sh
#
# Runs in a checkout. PYTHON (python3) needs torch, triton and what `bot` imports; on a bare machine
# unpack the wheels into a folder and put that on PYTHONPATH first. Nothing is downloaded. Every
# part runs even when one before it failed; the exit code is that of the first that did.
#   NAME      what the files are called (default: gpu)
#   SMALL_GB  sizes of smaller cards to act as, by a limit on memory (default: "24 12"; "" for none)
#   TESTS     0 leaves the tests out
set -uo pipefail
cd "$(dirname "$0")/.."

PYTHON="${PYTHON:-python3}"
OUT="${OUT:-docs/benchmarks}"
NAME="${NAME:-gpu}"
SMALL_GB="${SMALL_GB-24 12}"
TESTS="${TESTS:-1}"
export DATA_DIR="${DATA_DIR:-${TMPDIR:-/tmp}/caduceus-bench}"
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
mkdir -p "$OUT/logs" "$DATA_DIR"

failed=0
part() {
  local log="$OUT/logs/$1.log" code started=$SECONDS
  shift
  echo "== $*"
  "$@" 2>&1 | tee "$log"
  code=${PIPESTATUS[0]}
  echo "== ended with $code after $((SECONDS - started)) s"
  if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=$code; fi
}

part "$NAME" "$PYTHON" -m bot bench \
  --json "$OUT/$NAME.json" --markdown "$OUT/$NAME.md" "$@"
for size in $SMALL_GB; do
  part "$NAME-${size}gb" "$PYTHON" -m bot bench \
    --gpu-memory-gb "$size" --streams 1,8 --penalties 1.15 --baseline-tokens 0 --chat-channels 0 \
    --json "$OUT/$NAME-${size}gb.json" --markdown "$OUT/$NAME-${size}gb.md"
done
PYTHONPATH=".${PYTHONPATH:+:$PYTHONPATH}" part "$NAME-products" "$PYTHON" scripts/bench_products.py
if [ "$TESTS" != 0 ]; then
  part "$NAME-tests" "$PYTHON" -m pytest -m gpu tests/engine -q
fi
exit "$failed"
