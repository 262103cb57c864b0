"""The slow way to a gradient, for tests."""

import jax
import numpy as np


def directional_derivatives(function, point, directions: int = 3, step: float = 1e-6, seed: int = 0):
    """Pairs (by central differences, by autodiff) of a scalar function along random directions.

    Call under `jax.enable_x64(True)` with a float64 `point` (any pytree).
    """
    rng = np.random.default_rng(seed)
    gradient = jax.grad(function)(point)
    for _ in range(directions):
        along = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), point)

        slow = (
            function(jax.tree.map(lambda p, d: p + step * d, point, along))
            - function(jax.tree.map(lambda p, d: p - step * d, point, along))
        ) / (2 * step)
        fast = sum(np.sum(g * d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(along)))
        yield float(slow), float(fast)
