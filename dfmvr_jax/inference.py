"""From photos to coefficients with a trained run: what evaluation, `reconstruct.py` and training share."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfmvr_jax.celebamask import fold_logits
from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.config import Config, read_config
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import PARTS, MorphableModel
from dfmvr_jax.networks.bisenet import BiSeNet, normalize_photos
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.networks.initialization import init_variables, variable_shapes
from dfmvr_jax.training.checkpoints import Checkpoints
from dfmvr_jax.training.state import TrainState, initial_state, variables_of
from dfmvr_jax.training.workdir import check_face_model
from render.array_types import Array, Bool, Float, Int
from render.camera import Camera, face_camera

PARSE_FOLDER = "parse_net"  # in the workdir: the parse net's checkpoints
NETWORK_FOLDER = "df_mvr"  # in the workdir: the reconstruction network's checkpoints
MISSING = {  # what to say where one of them is missing
    NETWORK_FOLDER: "{workdir} has no reconstruction network: let train.py come to it; where only a parse "
    "net was trained or imported, train.py --parse.checkpoint {workdir} trains one with it",
    PARSE_FOLDER: "{workdir} has no parse net: let train.py come to it, or import again, with a file of one",
}


class Run(NamedTuple):
    """A trained run, ready to predict."""

    config: Config
    model: MorphableModel
    camera: Camera
    step: int  # of the reconstruction network's checkpoint: that of the lowest validation loss
    predict: Callable[
        [Float[Array, "views h w 3"], Bool[Array, "views"]], Coefficients
    ]  # photos, which given


def parse_logits(
    parse_net: BiSeNet, variables: Any, photos: Float[Array, "b views h w 3"]
) -> Float[Array, "b views h w parts"]:
    """The frozen parse net's main head for every view. Gradients reach the photos, never the net.

    The 19 CelebAMask-HQ classes of an imported net are folded into the ten parts (`dfmvr_jax.celebamask`).
    """
    variables = jax.lax.stop_gradient(variables)
    batch, views = photos.shape[:2]
    flat = normalize_photos(photos.reshape(batch * views, *photos.shape[2:]))
    logits = parse_net.apply(variables, flat, False).main
    if parse_net.num_classes != len(PARTS):
        logits = fold_logits(logits)
    return logits.reshape(batch, views, *logits.shape[1:])


def parse_labels(
    parse_net: BiSeNet, variables: Any, photos: Float[Array, "b views h w 3"]
) -> Int[Array, "b views h w"]:
    """Each pixel's likeliest part."""
    return jnp.argmax(parse_logits(parse_net, variables, photos), axis=-1).astype(jnp.int32)


def network_inputs(
    photos: Float[Array, "b views h w 3"], labels: Int[Array, "b views h w"], given: Bool[Array, "b views"]
) -> tuple[Float[Array, "b views h w 3"], Int[Array, "b views h w"]]:
    """Photos and part labels as the reconstruction network sees them.

    A view that is not given is black and all background (paper, section 5.3).
    """
    return photos * given[:, :, None, None, None], labels * given[:, :, None, None]


def load_run(workdir: Path, face_model: str | None = None) -> Run:
    """The best checkpoints of the run in `workdir`; raises `InputError` where they are missing or foreign.

    `face_model` is where the run's face model is now, if not where its config says.
    """
    config, model = open_run(workdir, face_model)
    network, parse_net = make_networks(config, model.dimensions)
    best = best_state(workdir / NETWORK_FOLDER, config, model)
    parse_variables = best_variables(workdir / PARSE_FOLDER, config, model)

    @jax.jit
    def predict(variables, parse_variables, photos, given):
        labels = parse_labels(parse_net, parse_variables, photos[None])
        seen = network_inputs(photos[None], labels, given[None])
        return jax.tree.map(lambda leaf: leaf[0], network.apply(variables, *seen, False))

    # the weights are arguments: as constants of the compiled program they would be there twice
    predict_with_weights = functools.partial(predict, variables_of(best), parse_variables)
    camera = face_camera(config.image_size, config.camera_distance)
    return Run(config, model, camera, int(best.step), predict_with_weights)


def load_parse_net(
    workdir: Path,
) -> tuple[Config, Callable[[Float[Array, "b views h w 3"]], Int[Array, "b views h w"]]]:
    """Config of the run in `workdir` and its parse net as a function, photos to part labels.

    Raises `InputError` as `load_run` does.
    """
    config, model = open_run(workdir)
    _, parse_net = make_networks(config, model.dimensions)
    variables = best_variables(workdir / PARSE_FOLDER, config, model)
    return config, functools.partial(jax.jit(functools.partial(parse_labels, parse_net)), variables)


def open_run(workdir: Path, face_model: str | None = None) -> tuple[Config, MorphableModel]:
    """Config and face model of the run in `workdir`, as `load_run` finds them."""
    config = read_config(workdir / "config.json")
    model = load_face_model(face_model or config.face_model)
    check_face_model(workdir, model)
    return config, model


def initial_variables(folder: str, config: Config, model: MorphableModel) -> dict:
    """Variables, before any training, of the network whose checkpoints are in this folder of a workdir."""
    net, inputs = _network_and_inputs(folder, config, model)
    return init_variables(net, config.seed, *inputs)


def shapes_of_variables(folder: str, config: Config, model: MorphableModel) -> dict:
    """Shapes of what `initial_variables` gives."""
    net, inputs = _network_and_inputs(folder, config, model)
    return variable_shapes(net, *inputs)


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
    variables = shapes_of_variables(folder.name, config, model)
    like = jax.eval_shape(initial_state, variables)
    state = Checkpoints(folder).restore_best(like)
    if state is None:
        raise InputError(f"{folder} holds no complete checkpoint yet: let train.py come to its first one")
    return state


def save_variables(folder: Path, variables: dict, config: Config) -> None:
    """Make `folder` the checkpoints of a network that was trained elsewhere: one, of step 0."""
    checkpoints = Checkpoints(folder, keep=1)
    checkpoints.save(initial_state(variables), config, loss=math.inf)  # whatever is trained is better
    checkpoints.close()
