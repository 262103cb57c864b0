"""What values the coefficients of expressions are likely to have."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.render.array_types import Array, Float

# draws the expression coefficients of a plausible face
ExpressionSampler = Callable[[np.random.Generator], Float[np.ndarray, "expression"]]
LARGEST_DEVIATION = 2.5  # standard deviations; beyond them faces are no longer plausible
# weight of what lies beyond a bound against what lies far from 0: a tenth of a deviation beyond it costs as
# much as a whole one within
BOUND_WEIGHT = 100.0


class Prior(NamedTuple):
    """Independent normal coefficients of mean 0, between bounds: blendshapes stay within 0 and 1.

    Half of the random draws of a one-sided coefficient are 0.
    """

    scale: Float[Array, "*batch coefficients"]  # standard deviation, above 0
    lowest: Float[Array, "*batch coefficients"]  # 0: one-sided; -inf: no bound
    highest: Float[Array, "*batch coefficients"]  # inf: no bound


def prior_loss(coefficients: Float[Array, "n"], prior: Prior | None = None) -> Float[Array, ""]:
    """Sum of the squares of coefficients in standard deviations, and of what lies outside of the bounds.

    Without a prior all are standard normal: identity, albedo, and expressions that no model says more of.
    """
    if prior is None:
        return jnp.sum(coefficients**2)
    outside = coefficients - jnp.clip(coefficients, prior.lowest, prior.highest)
    return jnp.sum((coefficients / prior.scale) ** 2) + BOUND_WEIGHT * jnp.sum((outside / prior.scale) ** 2)


def sample_prior(
    rng: np.random.Generator, count: int, prior: Prior | None = None
) -> Float[np.ndarray, "count"]:
    """Draw coefficients, each cut at 2.5 standard deviations and at its bounds; without a prior as above."""
    drawn = rng.normal(size=count).clip(-LARGEST_DEVIATION, LARGEST_DEVIATION)
    if prior is not None:
        drawn = (drawn * np.asarray(prior.scale)).clip(np.asarray(prior.lowest), np.asarray(prior.highest))
    return drawn.astype(np.float32)
