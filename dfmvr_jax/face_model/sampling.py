"""Random subjects of a face model, for synthetic data and pictures."""

import numpy as np

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.prior import sample_prior
from dfmvr_jax.render.array_types import Float

SIMILAR = 20  # so many examples are like a random one


def sample_coefficients(
    rng: np.random.Generator, model: MorphableModel
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random (identity, expression, albedo) coefficients of a model, float32.

    Identity is standard normal, cut at 2.5. Expressions are drawn by the model's own `expression_sampler`,
    where it has one, else from its prior; albedo is like the model's `albedo_examples`, where it has these,
    else standard normal and cut.
    """
    identities, expressions, albedos = model.dimensions
    if model.expression_sampler is None:
        expression = sample_prior(rng, expressions, model.expression_prior)
    else:
        expression = model.expression_sampler(rng).astype(np.float32)
    identity = sample_prior(rng, identities)
    if model.albedo_examples is None:
        return identity, expression, sample_prior(rng, albedos)
    return identity, expression, sample_like(rng, np.asarray(model.albedo_examples))


def sample_like(
    rng: np.random.Generator, examples: Float[np.ndarray, "examples coefficients"]
) -> Float[np.ndarray, "coefficients"]:
    """Draw coefficients that differ from each other as the examples do.

    Colours depend on each other: a dark skin has no pink cheeks. So two of the examples that are most
    like a random one in the first coefficient, the skin's tone, are mixed, their differences from the mean of
    the similar by the sine and the cosine of an angle, which keeps the variance.
    """
    nearness = np.abs(examples[:, 0] - examples[rng.integers(len(examples)), 0])
    similar = examples[np.argsort(nearness)[:SIMILAR]]
    mean = similar.mean(axis=0)
    first, second = similar[rng.choice(len(similar), 2, replace=False)] - mean
    angle = rng.uniform(0, np.pi / 2)
    return (mean + np.cos(angle) * first + np.sin(angle) * second).astype(np.float32)
