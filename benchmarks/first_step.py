"""Time from the start of a training to its first step, without and with what an earlier start compiled.

    python -m benchmarks.first_step                      # full size, two subjects
    python -m benchmarks.first_step --preset small --batch 16

Each start is a process of its own: imports, face model, initial networks, rendering of a batch,
compilation, one step. train.py opens its data set and checkpoints instead of rendering.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.arguments import make_parser, positive
from dfmvr_jax.command_line import run
from dfmvr_jax.presets import load_preset


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--preset", default="paper", help="of train.py")
    parser.add_argument("--batch", type=positive, default=2, help="subjects")
    parser.add_argument("--rounds", type=positive, default=1, help="pairs of a first and a second start")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    load_preset(arguments.preset)  # if there is one
    if arguments.child:
        take_one_step(arguments.preset, arguments.batch)
        return
    flags = ["--child", "--preset", arguments.preset, "--batch", str(arguments.batch)]
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as cache:
            first, second = (start(flags, cache) for _ in range(2))
        print(f"first start {first:.1f} s, second {second:.1f} s: {second / first:.2f} of it", flush=True)


def start(flags: list[str], cache: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "benchmarks.first_step", *flags],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": cache},
        check=True,
    )
    return time.perf_counter() - began


def take_one_step(preset: str, batch: int) -> None:
    import jax

    from benchmarks.network import training_step
    from dfmvr_jax.compilation import keep_compiled
    from dfmvr_jax.face_model import load_face_model

    keep_compiled()
    config = load_preset(preset)
    step = training_step(config, load_face_model(config.face_model), batch)
    jax.block_until_ready(step())


if __name__ == "__main__":
    run(main)
