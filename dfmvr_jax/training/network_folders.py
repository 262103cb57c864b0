"""The networks of a run: which folder of its workdir holds which, new ones, trained ones."""

import math
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfmvr_jax.config import Config
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.networks.initialization import init_variables, variable_shapes
from dfmvr_jax.training.checkpoints import Checkpoints
from dfmvr_jax.training.optimizer import TRANSFORMATIONS
from dfmvr_jax.training.state import TrainState, initial_state, variables_of

PARSE_FOLDER = "parse_net"  # in the workdir: the parse net's checkpoints
NETWORK_FOLDER = "df_mvr"  # in the workdir: the reconstruction network's checkpoints
MISSING = {  # what to say where one of them is missing
    NETWORK_FOLDER: "{workdir} has no reconstruction network: let its training come to it; where only a "
    "parse net was trained or imported, a training with <parse.checkpoint> {workdir} makes one",
    PARSE_FOLDER: "{workdir} has no parse net: let its training come to it, or import one too",
}


def initial_variables(folder: str, config: Config, model: MorphableModel) -> dict:
    """Variables, before any training, of the network whose checkpoints are in this folder of a workdir."""
    net, inputs = _network_and_inputs(folder, config, model)
    return init_variables(net, config.seed, *inputs)


def shapes_of_variables(folder: str, config: Config, model: MorphableModel) -> dict:
    """Shapes of what `initial_variables` gives."""
    net, inputs = _network_and_inputs(folder, config, model)
    return variable_shapes(net, *inputs)


def shapes_of_state(folder: str, config: Config, model: MorphableModel) -> TrainState:
    """Shapes of what the checkpoints in this folder of a workdir hold."""
    transformation = TRANSFORMATIONS[config.optimizer]
    variables = shapes_of_variables(folder, config, model)
    return jax.eval_shape(partial(initial_state, transformation=transformation), variables)


def _network_and_inputs(
    folder: str, config: Config, model: MorphableModel
) -> tuple[nn.Module, tuple[jax.ShapeDtypeStruct, ...]]:
    """A network and what it takes for one subject."""
    network, parse_net = make_networks(config, model.dimensions)
    size = config.image_size
    photos = jax.ShapeDtypeStruct((1, 3, size, size, 3), jnp.float32)
    labels = jax.ShapeDtypeStruct(photos.shape[:-1], jnp.int32)
    flat_photos = jax.ShapeDtypeStruct(photos.shape[1:], jnp.float32)
    return {NETWORK_FOLDER: (network, (photos, labels)), PARSE_FOLDER: (parse_net, (flat_photos,))}[folder]


def best_variables(folder: Path, config: Config, model: MorphableModel) -> dict:
    """Variables of `best_state`."""
    return variables_of(best_state(folder, config, model))


def best_state(folder: Path, config: Config, model: MorphableModel) -> TrainState:
    """The best checkpoint in `folder`, `NETWORK_FOLDER` or `PARSE_FOLDER` of a workdir.

    Raises `InputError` where there is none or it belongs to another network.
    """
    if not folder.is_dir():
        raise InputError(MISSING[folder.name].format(workdir=folder.parent))
    state = Checkpoints(folder).restore_best(shapes_of_state(folder.name, config, model))
    if state is None:
        raise InputError(f"{folder} holds no complete checkpoint yet: let its training come to the first")
    return state


def save_variables(folder: Path, variables: dict, config: Config) -> None:
    """Make `folder` the checkpoints of a network that was trained elsewhere: one, of step 0."""
    checkpoints = Checkpoints(folder, keep=1)
    state = initial_state(variables, TRANSFORMATIONS[config.optimizer])
    checkpoints.save(state, config, loss=math.inf)  # whatever is trained is better
    checkpoints.close()
