"""A trained run as one function: photos to coefficients."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.config import Config, read_config
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.networks.parsing import network_inputs, parse_labels
from dfmvr_jax.render.array_types import Array, Bool, Float, Int
from dfmvr_jax.render.camera import Camera
from dfmvr_jax.training.network_folders import NETWORK_FOLDER, PARSE_FOLDER, best_state, best_variables
from dfmvr_jax.training.state import variables_of
from dfmvr_jax.training.workdir import check_face_model


class Prediction(NamedTuple):
    """What a run makes of one subject's photos."""

    coefficients: Coefficients
    labels: Int[Array, "views h w"]  # parts in the photos, as the parse net sees them


class Run(NamedTuple):
    """A trained run, ready to predict."""

    workdir: Path
    config: Config
    model: MorphableModel
    camera: Camera
    step: int  # of the reconstruction network's checkpoint: that of the lowest validation loss
    # aligned photos, colours in [0, 1], and which of them are given
    predict: Callable[
        [Float[Array | np.ndarray, "views h w 3"], Bool[Array | np.ndarray, "views"]], Prediction
    ]


def load_run(workdir: Path | str, face_model: str | None = None) -> Run:
    """The best checkpoints of the run in `workdir`; raises `InputError` where they are missing or foreign.

    `face_model` is where the run's face model is now, if not where its config says.
    """
    workdir = Path(workdir)
    config, model = open_run(workdir, face_model)
    network, parse_net = make_networks(config, model.dimensions)
    best = best_state(workdir / NETWORK_FOLDER, config, model)
    parse_variables = best_variables(workdir / PARSE_FOLDER, config, model)

    @jax.jit
    def predict(variables, parse_variables, photos, given):
        labels = parse_labels(parse_net, parse_variables, photos[None])
        seen = network_inputs(photos[None], labels, given[None])
        coefficients = network.apply(variables, *seen, False)
        return jax.tree.map(lambda leaf: leaf[0], Prediction(coefficients, labels))

    # the weights are arguments: as constants of the compiled program they would be there twice
    predict_with_weights = functools.partial(predict, variables_of(best), parse_variables)
    camera = face_camera(config.image_size, config.camera_distance)
    return Run(workdir, config, model, camera, int(best.step), predict_with_weights)


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
