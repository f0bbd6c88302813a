#!/usr/bin/env bash
# Every check that wants a GPU, in one command of under 8 minutes on one card: see bench_gpu.py beside this file.
#   tests/benchmarks/gpu.sh              on the first CUDA device
#   tests/benchmarks/gpu.sh --dry-run    on a CPU, with few steps and short clips
# PYTHON names another interpreter; OUT is the folder that gets gpu.jsonl and gpu.md (here by default).
set -euo pipefail
cd "$(dirname "$0")/../.."

usable() { "$1" -c "import ldmbench, torch, diffusers" 2>/dev/null; }

python=""
for candidate in "${PYTHON:-}" .venv/bin/python python3; do
  if [ -n "$candidate" ] && usable "$candidate"; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "ldmbench is not installed here: make install" >&2
  make install
  python=.venv/bin/python
fi
exec "$python" tests/benchmarks/bench_gpu.py "$@"
