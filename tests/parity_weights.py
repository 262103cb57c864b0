"""The parity fixture's weights: a released file's tensors, filled with its reproducible numbers."""

import json
from pathlib import Path

import numpy as np

from benchmarks.parity import reproducible_weights
from dfmvr_jax.torch_weights.names import split_parse_net


def released_weights(shared_dir: Path, seed: int) -> dict[str, np.ndarray]:
    keys = json.loads((shared_dir / "parity" / "keys.json").read_text())
    return reproducible_weights({name: tuple(key["shape"]) for name, key in keys.items()}, seed)


def reconstruction_part(tensors: dict) -> dict:
    return split_parse_net(tensors)[0]


def parse_part(tensors: dict) -> dict:
    """The parse net's tensors, named as in a file of its own."""
    return split_parse_net(tensors)[1]


def with_19_classes(parse_net: dict) -> dict:
    """A parse net as the usual 19-class files have it: nine more rows in the last layer of each head."""
    return {
        name: np.concatenate([value, -value[:9]]) if name.endswith("conv_out.weight") else value
        for name, value in parse_net.items()
    }
