"""A training so small that tests can run it: toy face model, 32 px photos, networks of width 8.

Run as a script it takes one step on all devices and saves the resulting parameters, for the tests that
compare several devices with one:  python -m tests.small_training OUT.npz [BATCH_SIZE]
"""

import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.config import Config, NetworkConfig, ParseConfig, changed
from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_rendering import landmark_pixels, render_coefficients
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.training.network_folders import NETWORK_FOLDER, PARSE_FOLDER, initial_variables
from dfmvr_jax.training.optimizer import TRANSFORMATIONS, Optimizer, learning_rate_schedule
from dfmvr_jax.training.state import DEVICES, TrainState, initial_state, replicate, shard, unreplicate
from dfmvr_jax.training.update import Frozen, freeze, make_reconstruction_update
from tests.toy_face import random_coefficients, toy_face_model

CONFIG = Config(
    image_size=32,
    # the network that compiles most quickly; those of the paper are in tests/test_variants.py
    network=NetworkConfig(width=8, fusion="cnn", backbone="resnet50", stage_sizes=(1, 1, 1, 1)),
    parse=ParseConfig(width=8),
    batch_size=4,
    learning_rate=1e-3,
    log_every=1,
    checkpoint_every=3,
)
TOTAL_STEPS = 6


class SmallTraining(NamedTuple):
    update: callable
    validate: callable
    frozen: Frozen  # not replicated
    state: TrainState  # not replicated
    batches: list[dict]


def small_training(config: Config = CONFIG) -> SmallTraining:
    model = toy_face_model()
    _, parse_net = make_networks(config, model.dimensions)
    synced_network, _ = make_networks(config, model.dimensions, DEVICES)
    schedule = learning_rate_schedule(config.learning_rate, TOTAL_STEPS)
    optimizer = Optimizer(TRANSFORMATIONS[config.optimizer], schedule, 1.0)
    update, validate = make_reconstruction_update(config, synced_network, parse_net, optimizer, TOTAL_STEPS)
    state = initial_state(initial_variables(NETWORK_FOLDER, config, model), optimizer.transformation)
    frozen = freeze(config, model, initial_variables(PARSE_FOLDER, changed(config, {"seed": 1}), model))
    return SmallTraining(
        update,
        validate,
        frozen,
        state,
        [make_batch(model, seed, config.batch_size) for seed in range(TOTAL_STEPS)],
    )


def make_batch(model, seed: int, batch_size: int) -> dict:
    cameras = face_cameras(3, CONFIG.image_size)
    subjects = [random_coefficients(model, seed * 100 + i) for i in range(batch_size)]
    faces, renderings = jax.vmap(render_coefficients, (None, None, 0))(
        model, cameras, jax.tree.map(lambda *x: jnp.stack(x), *subjects)
    )
    batch = {
        "photos": jnp.clip(renderings.images, 0, 1),
        "given": jnp.ones((batch_size, 3), bool),
        "labels": renderings.masks.astype(jnp.int32),
        "landmarks": jax.vmap(landmark_pixels, (None, None, 0))(model, cameras, faces.posed),
        "landmarks_3d": faces.vertices[:, model.landmarks_3d],
    }
    return jax.tree.map(np.asarray, batch)


def one_step(training: SmallTraining) -> dict[str, np.ndarray]:
    """Parameters and loss after one step, by name."""
    state, metrics = training.update(
        replicate(training.state), replicate(training.frozen), shard(training.batches[0])
    )
    leaves = jax.tree_util.tree_flatten_with_path(unreplicate((state.params, state.batch_stats, metrics)))[0]
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


if __name__ == "__main__":
    size = int(sys.argv[2]) if len(sys.argv) > 2 else CONFIG.batch_size
    training = small_training(changed(CONFIG, {"batch_size": size}))
    np.savez(sys.argv[1], devices=jax.local_device_count(), **one_step(training))
