#!/bin/sh
# All benchmarks for a GPU, by the Python that $PYTHON names: see benchmarks/on_gpu.py, or --help.
root=$(cd "$(dirname "$0")/.." && pwd)
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "${PYTHON:-python3}" -m benchmarks.on_gpu "$@"
