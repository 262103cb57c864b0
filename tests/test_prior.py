"""What expressions are likely: the loss, random draws, and the model's own sampler."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.expression_units import EXPRESSION_UNITS
from dfmvr_jax.face_model.prior import BOUND_WEIGHT, Prior, prior_loss, sample_prior
from dfmvr_jax.face_model.sampling import sample_coefficients
from dfmvr_jax.face_rendering import place_face
from dfmvr_jax.losses import Observation, face_losses, landmark_weights
from tests.finite_differences import directional_derivatives
from tests.toy_face import random_coefficients

# standard normal, a blendshape, one-sided without a largest value
PRIOR = Prior(jnp.array([1, 0.25, 0.5]), jnp.array([-jnp.inf, 0, 0]), jnp.array([jnp.inf, 1, jnp.inf]))


def test_prior_loss_by_hand():
    assert float(prior_loss(jnp.array([2.0, -3]))) == 13  # standard normal
    assert float(prior_loss(jnp.array([2.0, 0.5, 4]), PRIOR)) == 2**2 + 2**2 + 8**2
    outside = float(prior_loss(jnp.array([0.0, 1.5, -1]), PRIOR))
    assert outside == pytest.approx(6**2 + 2**2 + BOUND_WEIGHT * (2**2 + 2**2))


def test_a_standard_normal_prior_is_as_none():
    values = jnp.asarray(np.random.default_rng(0).normal(size=40), jnp.float32)
    standard = Prior(jnp.ones(40), jnp.full(40, -jnp.inf), jnp.full(40, jnp.inf))
    assert prior_loss(values, standard) == prior_loss(values)
    np.testing.assert_array_equal(jax.grad(prior_loss)(values, standard), jax.grad(prior_loss)(values))
    draws = [sample_prior(np.random.default_rng(0), 40, prior) for prior in (None, standard)]
    np.testing.assert_array_equal(*draws)


def test_prior_loss_gradient_against_finite_differences():
    with jax.enable_x64(True):
        values = jnp.array([0.7, 1.3, -0.4])  # the last two out of bounds
        for slow, fast in directional_derivatives(lambda x: prior_loss(x, PRIOR), values):
            assert fast == pytest.approx(slow, rel=1e-6)


def test_draws_stay_in_their_bounds():
    rng = np.random.default_rng(0)
    draws = np.stack([sample_prior(rng, 3, PRIOR) for _ in range(2000)])
    assert draws.dtype == np.float32
    np.testing.assert_array_equal(draws.min(axis=0), [-2.5, 0, 0])
    np.testing.assert_array_equal(draws.max(axis=0), np.float32([2.5, 0.625, 1.25]))
    np.testing.assert_allclose(draws.std(axis=0) / [1, 0.25, 0.5], [1, 0.58, 0.58], rtol=0.05)
    narrow = PRIOR._replace(highest=jnp.array([jnp.inf, 0.1, jnp.inf]))
    assert max(sample_prior(rng, 3, narrow)[1] for _ in range(50)) == np.float32(0.1)


def test_the_models_prior_is_that_of_losses_and_of_random_faces(toy_model):
    count = toy_model.dimensions[1]
    prior = Prior(jnp.full(count, 0.5), jnp.zeros(count), jnp.ones(count))
    model = dataclasses.replace(toy_model, expression_prior=prior)
    coefficients, cameras = random_coefficients(toy_model, seed=0), face_cameras(3, 32)
    points = jnp.zeros((3, 68, 2)), jnp.tile(landmark_weights("paper"), (3, 1))
    terms = []
    for each in (toy_model, model):
        face = place_face(each, coefficients)
        observed = Observation(*points, face.vertices[each.landmarks_3d])
        terms.append(face_losses(each, cameras, coefficients, face, observed))
    assert terms[1]["expression_prior"] == prior_loss(coefficients.expression, prior)
    assert terms[1]["expression_prior"] > terms[0]["expression_prior"]
    assert {name for name in terms[0] if terms[0][name] != terms[1][name]} == {"expression_prior"}
    _, expression, _ = sample_coefficients(np.random.default_rng(0), model)
    assert expression.min() >= 0 and expression.max() <= 1


def test_a_model_with_a_sampler_draws_by_it(toy_model):
    model = dataclasses.replace(toy_model, expression_sampler=lambda rng: rng.uniform(2, 3, 4))
    _, expression, _ = sample_coefficients(np.random.default_rng(0), model)
    assert expression.dtype == np.float32 and expression.min() >= 2
    builtin = load_face_model("builtin-coarse")
    assert builtin.expression_names == EXPRESSION_UNITS
    renamed = dataclasses.replace(builtin, name="mine")
    a, b = (sample_coefficients(np.random.default_rng(1), each) for each in (builtin, renamed))
    jax.tree.map(np.testing.assert_array_equal, a, b)
