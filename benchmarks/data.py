"""How fast data reaches the training: photos decoded and augmented per second, at 112 and 224 px.

    python benchmarks/data.py

Prepares a few synthetic subjects in a temporary folder first.
"""

import os
import tempfile
import time
from collections.abc import Callable

import numpy as np

from datasets.augmentation import augment, blur, jitter_color
from datasets.pipeline import iterate, load_split, training_batches
from datasets.synthetic.builder import Synthetic, SyntheticConfig
from dfmvr_jax.config import DataConfig

SUBJECTS, BATCH_SIZE, REPEATS = 8, 16, 40


def measure(size: int, directory: str) -> None:
    variant = SyntheticConfig(
        name=f"benchmark-{size}", image_size=size, face_model="builtin-coarse", subjects=(SUBJECTS, 1, 1)
    )
    Synthetic.BUILDER_CONFIGS = [variant]
    config = DataConfig(name=f"synthetic/{variant.name}", directory=directory)
    split, rng = load_split(config, "train"), np.random.default_rng(0)
    example = split[0]
    photos = example["photos"]
    for name, step in {
        "read and decode": lambda: split[int(rng.integers(SUBJECTS))],
        "colour jitter": lambda: jitter_color(photos, rng, config.color_jitter),
        "blur, sigma 2 px at 224 px": lambda: blur(photos, 2 * size / 224),
        "augment (blur in 30 %)": lambda: augment(example, rng, config),
    }.items():
        print(f"{size} px  {name:28} {3 / seconds(step):8.0f} images/s")
    batches = iterate(training_batches(split, config, BATCH_SIZE, seed=0))
    rate = 3 * BATCH_SIZE / seconds(lambda: next(batches))
    print(f"{size} px  {'batches of 16, no workers':28} {rate:8.0f} images/s")
    batches.close()


def seconds(step: Callable[[], object]) -> float:
    """Mean wall time of a call."""
    step()
    start = time.perf_counter()
    for _ in range(REPEATS):
        step()
    return (time.perf_counter() - start) / REPEATS


if __name__ == "__main__":
    print(f"{os.cpu_count()} CPU cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as directory:
        for size in (112, 224):
            measure(size, directory)
