"""The benchmarks of networks run, as small as they go: what their tables say, a user measures."""

import json
import subprocess
import sys

import pytest

# the least width at which each works
SMALL = ("--width", "8", "--image-size", "32")
RUNS = {
    "throughput": (*SMALL, "--batches", "2", "--precisions", "float32", "bfloat16", "--rounds", "1"),
    "convolution": (*SMALL, "--repeats", "1"),
    "involution": ("--width", "32", "--image-size", "32", "--calls", "1", "--repeats", "1"),
    "network": ("--preset", "smoke", "--repeats", "1"),
    "memory": ("--preset", "smoke", "--remat", "blocks", "--batch", "4"),
    "first_step": ("--preset", "smoke"),
}
SAID = {
    "throughput": "inference",
    "convolution": "PyTorch",
    "involution": "ms",
    "network": "training step",
    "memory": "remat blocks: batch 4",
    "first_step": "second",
}


@pytest.mark.full
@pytest.mark.parametrize("name", RUNS)
def test_benchmarks_run(name, tmp_path):
    flags = RUNS[name]
    if name in ("throughput", "convolution"):
        pytest.importorskip("torch")
    if name == "throughput":
        flags = (*flags, "--json", tmp_path / "results.json")
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *map(str, flags)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0 and SAID[name] in done.stdout, done.stdout + done.stderr
    if name == "throughput":
        assert len(json.loads((tmp_path / "results.json").read_text())) > 0
