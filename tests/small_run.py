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
    save_variables,
    shapes_of_variables,
)
from dfmvr_jax.training.workdir import open_workdir

SMALL = changed(
    Config(), {"image_size": 32, "face_model": "builtin-coarse", "network.width": 8, "parse.width": 8}
)
GAIN = 0.5  # of a layer: involutions multiply what they see by itself, and with 1 nothing stays finite


def small_run(folder: Path, config: Config = SMALL) -> Path:
    """A workdir with networks whose every array is random."""
    model = load_face_model(config.face_model)
    open_workdir(folder, config, model)
    rng = np.random.default_rng(0)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        kind = path[-1].key
        if kind == "kernel":
            return rng.normal(0, GAIN * np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape).astype(np.float32)
        return (kind in ("scale", "var")) + rng.uniform(0, 0.01, leaf.shape).astype(np.float32)

    for name in (NETWORK_FOLDER, PARSE_FOLDER):
        shapes = shapes_of_variables(name, config, model)  # much quicker than true initial ones
        save_variables(folder / name, jax.tree_util.tree_map_with_path(draw, shapes), config)
    return folder


def variables_in(workdir: Path) -> dict[str, dict]:
    config = read_config(workdir / "config.json")
    model = load_face_model(config.face_model)
    return {name: best_variables(workdir / name, config, model) for name in (NETWORK_FOLDER, PARSE_FOLDER)}
