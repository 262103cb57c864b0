"""How fast data reaches the training: photos read, decoded, augmented and batched per second.

    python -m benchmarks.data

First the parts, at 112 and 224 px. Then whole batches for the preset `small`, with 0, 1 and 2 worker
processes, beside its training step, in turns: how many times faster do photos come than the step takes them?
Prepares a few synthetic subjects in a temporary folder.
"""

import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import numpy as np

from benchmarks.arguments import make_parser
from benchmarks.network import training_step
from dfmvr_jax.command_line import run
from dfmvr_jax.config import DataConfig
from dfmvr_jax.datasets.augmentation import augment, blur, jitter_color
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.presets import load_preset

if TYPE_CHECKING:
    from dfmvr_jax.datasets.pipeline import Split

SUBJECTS, BATCH_SIZE, REPEATS = 8, 16, 40
ROUNDS, BATCHES, STEPS = 5, 40, 5  # turns of data and training step, batches and steps in each
WORKERS = (0, 1, 2)


def main() -> None:
    make_parser(__doc__).parse_args()
    print(f"{os.cpu_count()} CPU cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as directory:
        for size in (112, 224):
            measure_parts(size, synthetic_split(size, directory))
        beside_training_step(synthetic_split(load_preset("small").image_size, directory))


def synthetic_split(size: int, directory: str) -> "Split":
    from dfmvr_jax.datasets.pipeline import load_split
    from dfmvr_jax.datasets.synthetic.builder import Synthetic, SyntheticConfig

    variant = SyntheticConfig(
        name=f"benchmark-{size}", image_size=size, face_model="builtin-coarse", subjects=(SUBJECTS, 1, 1)
    )
    Synthetic.BUILDER_CONFIGS = [variant]
    return load_split(DataConfig(name=f"synthetic/{variant.name}", directory=directory), "train")


def measure_parts(size: int, split: "Split") -> None:
    from dfmvr_jax.datasets.pipeline import iterate, training_batches

    config, rng = DataConfig(), np.random.default_rng(0)
    example = split[0]
    photos = example["photos"]
    for name, step in {
        "read and decode": lambda: split[int(rng.integers(SUBJECTS))],
        "colour jitter": lambda: jitter_color(photos, rng, config.color_jitter),
        "blur, sigma 2 px at 224 px": lambda: blur(photos, 2 * size / 224),
        "augment (blur in 30 %)": lambda: augment(example, rng, config),
    }.items():
        print(f"{size} px  {name:28} {3 / seconds(step, REPEATS):8.0f} images/s")
    batches = iterate(training_batches(split, config, BATCH_SIZE, seed=0))
    rate = 3 * BATCH_SIZE / seconds(lambda: next(batches), REPEATS)
    print(f"{size} px  {'batches of 16, no workers':28} {rate:8.0f} images/s")
    batches.close()


def beside_training_step(split: "Split") -> None:
    """Batches and training steps of `small` in turns; medians over the turns."""
    from dfmvr_jax.datasets.pipeline import iterate, training_batches

    config = load_preset("small")
    step = training_step(config, load_face_model(config.face_model), config.batch_size)
    images = 3 * config.batch_size
    rates = {workers: [] for workers in (None, *WORKERS)}  # None: of the training step
    for _ in range(ROUNDS):
        rates[None].append(images / seconds(lambda: jax.block_until_ready(step()), STEPS))
        for workers in WORKERS:
            batches = iterate(training_batches(split, config.data, config.batch_size, 0), workers=workers)
            for _ in range(4 * max(workers, 1)):
                next(batches)  # what was loaded ahead
            rates[workers].append(images / seconds(functools.partial(next, batches), BATCHES))
            batches.close()
    taken = statistics.median(rates[None])
    size = config.image_size
    print(f"{size:3} px  {'training step of small':28} {taken:8.0f} images/s")
    for workers in WORKERS:
        come, name = statistics.median(rates[workers]), f"batches of 16, {workers} workers"
        print(f"{size:3} px  {name:28} {come:8.0f} images/s, {come / taken:.1f} times the step's")


def seconds(step: Callable[[], object], repeats: int) -> float:
    """Mean wall time of a call."""
    step()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


if __name__ == "__main__":
    run(main)
