"""Learning works: after a short training, held-out people are clearly better than the mean face.

The test of every run has the smallest network (plain fusion, ResNet-50), the true part labels and two strong
modes of identity; Tri-UNet, RedNet, the parse net and all modes are in the long one.
"""

import dataclasses
import json
import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfmvr_jax.config import Config, changed
from dfmvr_jax.datasets.synthetic.scenes import sample_subject
from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_model import MorphableModel, face_shape, load_face_model
from dfmvr_jax.face_rendering import landmark_pixels, render_coefficients
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.networks.parsing import network_inputs
from dfmvr_jax.presets import SMALL
from dfmvr_jax.training.network_folders import NETWORK_FOLDER, PARSE_FOLDER, initial_variables
from dfmvr_jax.training.optimizer import TRANSFORMATIONS, Optimizer, learning_rate_schedule
from dfmvr_jax.training.state import DEVICES, initial_state, replicate, shard, unreplicate, variables_of
from dfmvr_jax.training.update import freeze, make_reconstruction_update

pytestmark = pytest.mark.usefixtures("full_optimization")

TRAINING, HELD_OUT, STEPS, WARMUP = 320, 32, 120, 10
# the smallest network; the parse net's labels are the true ones, so there is none to train
CONFIG = changed(
    Config(),
    {name: value for name, value in SMALL.items() if name.startswith("loss.")}
    | {"image_size": 32, "network.width": 8, "network.fusion": "cnn", "network.backbone": "resnet50"}
    | {"parse.width": 8, "parse.once": True, "loss.mask": 0.0}
    | {"batch_size": 16, "rendered_share": 1 / 8, "learning_rate": 3e-3},
)


class People(NamedTuple):
    batch: dict[str, np.ndarray]  # what training takes, of all people
    vertices: np.ndarray  # [people, vertices, 3]

    def choose(self, people: np.ndarray) -> dict[str, np.ndarray]:
        return {name: array[people] for name, array in self.batch.items()}


@pytest.fixture
def model() -> MorphableModel:
    """The built-in head with its two strongest identity modes, three times as strong: 10 mm from the mean."""
    model = load_face_model("builtin-coarse")
    return dataclasses.replace(
        model,
        identity_basis=3 * model.identity_basis[..., :2],
        expression_basis=model.expression_basis[..., :0],
        albedo_basis=model.albedo_basis[..., :1],
        expression_names=(),
        expression_sampler=None,
        albedo_examples=None,
    )


@pytest.fixture
def people(model) -> People:
    cameras = face_cameras(3, CONFIG.image_size)

    @jax.jit
    def draw(coefficients):
        face, rendering = render_coefficients(model, cameras, coefficients)
        photos = jnp.clip(rendering.images, 0, 1) + 0.5 * (1 - rendering.coverage[..., None])
        points = landmark_pixels(model, cameras, face.posed), face.vertices[model.landmarks_3d]
        return photos, rendering.masks.astype(jnp.int32), *points, face.vertices

    rng = np.random.default_rng(0)
    drawn = [draw(sample_subject(rng, model)) for _ in range(TRAINING + HELD_OUT)]
    photos, labels, landmarks, landmarks_3d, vertices = (np.stack(arrays) for arrays in zip(*drawn))
    given = np.ones(photos.shape[:2], bool)
    points = {"landmarks": landmarks, "landmarks_3d": landmarks_3d}
    return People({"photos": photos, "labels": labels, "given": given, **points}, vertices)


def error_mm(vertices: np.ndarray, truth: np.ndarray) -> float:
    """Mean over people of the rms distance, after moving their centres onto each other."""
    difference = vertices - truth
    difference = difference - difference.mean(axis=1, keepdims=True)
    return 100 * float(np.sqrt((difference**2).sum(axis=-1).mean(axis=1)).mean())


def test_a_short_training_beats_the_mean_face(model, people):
    network, parse_net = make_networks(CONFIG, model.dimensions)
    synced_network, _ = make_networks(CONFIG, model.dimensions, DEVICES)
    schedule = learning_rate_schedule(CONFIG.learning_rate, STEPS, WARMUP)
    optimizer = Optimizer(TRANSFORMATIONS[CONFIG.optimizer], schedule, CONFIG.gradient_clip)
    update, _ = make_reconstruction_update(CONFIG, synced_network, parse_net, optimizer, STEPS)
    variables = initial_variables(NETWORK_FOLDER, CONFIG, model)
    state = replicate(initial_state(variables, optimizer.transformation))
    frozen = replicate(freeze(CONFIG, model, initial_variables(PARSE_FOLDER, CONFIG, model)))
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        chosen = rng.choice(TRAINING, CONFIG.batch_size, replace=False)
        state, _ = update(state, frozen, shard(people.choose(chosen)))

    @jax.jit
    def predict(variables, batch):
        inputs = network_inputs(batch["photos"], batch["labels"], batch["given"])
        found = network.apply(variables, *inputs, False)
        return jax.vmap(lambda *shape: face_shape(model, *shape))(found.identity, found.expression)

    held_out = np.arange(TRAINING, TRAINING + HELD_OUT)
    batch = jax.tree.map(jnp.asarray, people.choose(held_out))
    predicted = np.asarray(predict(variables_of(unreplicate(state)), batch))
    truth = people.vertices[held_out]
    mean_face = error_mm(np.broadcast_to(model.mean_shape, truth.shape), truth)
    assert 5 < mean_face < 12
    share = error_mm(predicted, truth) / mean_face
    print(f"{share:.3f} of the mean face's error")
    assert share < 0.8  # 0.58 on 2026-11-28


@pytest.mark.full
def test_the_small_preset_beats_the_mean_face(tmp_path):
    """train.py and evaluate.py as `make demo` runs them: a quarter of an hour."""
    for program, *flags in (
        ("train.py", "--preset", "small", "--data.directory", tmp_path / "data"),
        ("evaluate.py",),
    ):
        command = [sys.executable, program, "--workdir", tmp_path / "run", *flags]
        subprocess.run(list(map(str, command)), check=True)
    metrics = json.loads((tmp_path / "run" / "evaluation" / "metrics.json").read_text())
    share = metrics["predicted"]["rmse_mm"]["mean"] / metrics["mean_face"]["rmse_mm"]["mean"]
    assert share < 0.94, f"{share:.3f} of the mean face's error"
