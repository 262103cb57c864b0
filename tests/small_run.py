"""A workdir as training or import leaves it, its networks small and random."""

from pathlib import Path

import jax
import numpy as np

from dfmvr_jax.config import Config, changed, read_config
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.training.network_folders import (
    NETWORK_FOLDER,
    PARSE_FOLDER,
    best_variables,
    initial_variables,
    save_variables,
)
from dfmvr_jax.training.workdir import open_workdir

SMALL = changed(
    Config(), {"image_size": 32, "face_model": "builtin-coarse", "network.width": 8, "parse.width": 8}
)


def small_run(folder: Path, config: Config = SMALL) -> Path:
    """A workdir with networks whose every array is random."""
    model = load_face_model(config.face_model)
    open_workdir(folder, config, model)
    rng = np.random.default_rng(0)
    for name in (NETWORK_FOLDER, PARSE_FOLDER):
        variables = jax.tree.map(
            lambda leaf: np.float32(leaf + rng.uniform(0, 0.01, leaf.shape) / np.prod(leaf.shape[:-1])),
            initial_variables(name, config, model),
        )
        save_variables(folder / name, variables, config)
    return folder


def variables_in(workdir: Path) -> dict[str, dict]:
    config = read_config(workdir / "config.json")
    model = load_face_model(config.face_model)
    return {name: best_variables(workdir / name, config, model) for name in (NETWORK_FOLDER, PARSE_FOLDER)}
