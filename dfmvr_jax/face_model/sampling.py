"""Random subjects of a face model, for synthetic data and pictures."""

import numpy as np

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.prior import sample_prior


def sample_coefficients(
    rng: np.random.Generator, model: MorphableModel
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random (identity, expression, albedo) coefficients of a model, float32.

    Identity and albedo are standard normal, cut at 2.5. Expressions are drawn by the model's own
    `expression_sampler`, where it has one, else from its prior.
    """
    identities, expressions, albedos = model.dimensions
    if model.expression_sampler is None:
        expression = sample_prior(rng, expressions, model.expression_prior)
    else:
        expression = model.expression_sampler(rng).astype(np.float32)
    return sample_prior(rng, identities), expression, sample_prior(rng, albedos)
