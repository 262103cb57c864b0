"""How functions of one image run for many."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.ad_checkpoint import checkpoint_name

VISIBILITY = "visibility"  # name of what `kept` keeps


def map_images(function: Callable) -> Callable:
    """`jax.vmap(function)` for a function that renders, in little memory.

    On a CPU one image follows the other, in the backward pass too, and what is kept for that is only which
    triangles are seen. `jax.vmap` keeps all there is between vertices and colours, 12 MB for an image of 224
    pixels; from three images on that is memory which comes fresh from the system each time, and more time
    goes into that than into the backward pass. On other devices this is `jax.vmap`.
    """
    if jax.default_backend() != "cpu":
        return jax.vmap(function)
    policy = jax.checkpoint_policies.save_only_these_names(VISIBILITY)
    one = jax.checkpoint(function, policy=policy, prevent_cse=False)
    return lambda *images: lax.map(lambda image: one(*image), images)


def kept(visibility: Any) -> Any:
    """Name arrays that `map_images` keeps, as they take long to compute and have no gradient."""
    return jax.tree.map(lambda leaf: checkpoint_name(leaf, VISIBILITY), visibility)


def batched_per_platform(function: Callable) -> Callable:
    """`function`, which takes and returns arrays and is not differentiated, with the best batching rule.

    Under `jax.vmap`, however deep, a CPU takes one image after the other, which is several times faster there
    than loops and scatters over all at once; other devices take them all at once.
    """
    batched = jax.custom_batching.custom_vmap(function)

    @batched.def_vmap
    def rule(axis_size, in_batched, *arguments):
        moves = jax.tree.leaves(in_batched)

        def one_by_one(*arguments):
            leaves, structure = jax.tree.flatten(arguments)

            def one(moving):
                moving = iter(moving)
                chosen = [next(moving) if moves_too else leaf for moves_too, leaf in zip(moves, leaves)]
                return batched(*jax.tree.unflatten(structure, chosen))

            return lax.map(one, [leaf for moves_too, leaf in zip(moves, leaves) if moves_too])

        def all_at_once(*arguments):
            axes = jax.tree.map(lambda moves: 0 if moves else None, tuple(in_batched))
            return jax.vmap(function, axes)(*arguments)

        out = lax.platform_dependent(*arguments, cpu=one_by_one, default=all_at_once)
        return out, jax.tree.map(lambda _: True, out)

    return batched
