"""A workdir as training or import leaves it, its networks small and random."""

from pathlib import Path

import jax
import numpy as np

from dfmvr_jax.config import Config, changed, read_config
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.inference import (
    NETWORK_FOLDER,
    PARSE_FOLDER,
    best_variables,
    input_shapes,
    save_variables,
)
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.networks.initialization import init_variables
from dfmvr_jax.training.workdir import open_workdir

SMALL = changed(
    Config(), {"image_size": 32, "face_model": "builtin-coarse", "network.width": 8, "parse.width": 8}
)


def small_run(folder: Path, config: Config = SMALL) -> Path:
    """A workdir with networks whose every array is random."""
    model = load_face_model(config.face_model)
    open_workdir(folder, config, model)
    network, parse_net = make_networks(config, model.dimensions)
    photos, labels, flat_photos = input_shapes(config)
    rng = np.random.default_rng(0)
    for name, net, inputs in (
        (NETWORK_FOLDER, network, (photos, labels)),
        (PARSE_FOLDER, parse_net, (flat_photos,)),
    ):
        variables = jax.tree.map(
            lambda leaf: np.float32(leaf + rng.uniform(0, 0.01, leaf.shape) / np.prod(leaf.shape[:-1])),
            init_variables(net, 0, *inputs),
        )
        save_variables(folder / name, variables, config)
    return folder


def variables_in(workdir: Path) -> dict[str, dict]:
    config = read_config(workdir / "config.json")
    network, parse_net = make_networks(config, load_face_model(config.face_model).dimensions)
    photos, labels, flat_photos = input_shapes(config)
    return {
        NETWORK_FOLDER: best_variables(workdir / NETWORK_FOLDER, network, photos, labels),
        PARSE_FOLDER: best_variables(workdir / PARSE_FOLDER, parse_net, flat_photos),
    }
