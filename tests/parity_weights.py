"""The parity fixture (shared/parity): reproducible weights with the released names."""

import json
from pathlib import Path

import numpy as np

from dfmvr_jax.torch_names import PARSE_PREFIX


def released_weights(shared_dir: Path, seed: int) -> dict[str, np.ndarray]:
    """The released network's tensors, filled with the fixture's reproducible numbers."""
    keys = json.loads((shared_dir / "parity" / "keys.json").read_text())
    tensors = {}
    for i, name in enumerate(sorted(keys)):
        shape = tuple(keys[name]["shape"])
        rng = np.random.Generator(np.random.Philox(key=[seed, i]))
        if name.endswith("num_batches_tracked"):
            value = np.zeros(shape, np.int64)
        elif name.endswith("running_var"):
            value = rng.uniform(0.5, 1.5, shape)
        elif name.endswith("running_mean"):
            value = rng.uniform(-0.1, 0.1, shape)
        elif len(shape) == 1 and name.endswith("weight"):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            value = rng.uniform(-0.1, 0.1, shape)
        else:
            value = rng.uniform(-1, 1, shape) * np.sqrt(3 / np.prod(shape[1:]))
        tensors[name] = value if value.dtype == np.int64 else value.astype(np.float32)
    return tensors


def reconstruction_part(tensors: dict) -> dict:
    return {name: value for name, value in tensors.items() if not name.startswith(PARSE_PREFIX)}


def parse_part(tensors: dict) -> dict:
    """The parse net's tensors, named as in a file of its own."""
    return {
        name.removeprefix(PARSE_PREFIX): value
        for name, value in tensors.items()
        if name.startswith(PARSE_PREFIX)
    }


def with_19_classes(parse_net: dict) -> dict:
    """A parse net as the usual 19-class files have it: nine more rows in the last layer of each head."""
    return {
        name: np.concatenate([value, -value[:9]]) if name.endswith("conv_out.weight") else value
        for name, value in parse_net.items()
    }
