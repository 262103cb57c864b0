"""The optimiser, one of optax by its name, and its learning rate (docs/method.md, section 5)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dfmvr_jax.render.array_types import Array, Float, Int

Packed = dict[str, list[Array]]  # what `pack` gives
Scales = tuple[Float[Array, ""], Float[Array, ""]]  # factors of the gradient and of the direction


def _kernels(packed: Packed) -> dict[str, list[bool]]:
    """Which arrays are to decay: not biases and scales of batch norms, which are vectors."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, packed)


# What a run's `optimizer` names: how the clipped gradient becomes the direction that is subtracted, times the
# learning rate, from the parameters. It sees packed arrays (`pack`), all vectors of a part of the network as
# one: elementwise ones will do, and what goes by `ndim`, but none that takes a norm of each array.
TRANSFORMATIONS = {
    "adam": optax.scale_by_adam(),
    "adamw": optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(0.01, mask=_kernels)),
    "lion": optax.scale_by_lion(),
    "sgd": optax.trace(decay=0.9),  # with momentum
}


class Optimizer(NamedTuple):
    """A transformation of optax, after the gradient's global norm is clipped and before the learning rate.

    These two stand outside: the norm is a metric anyway, and the schedule goes by the step's number, which an
    update that is skipped raises while the transformation's state stays as it was.
    """

    transformation: optax.GradientTransformation
    schedule: optax.Schedule  # learning rate of the step with a number
    gradient_clip: float  # largest global norm of the gradient

    def scales(self, norm: Float[Array, ""], step: Int[Array, ""]) -> Scales:
        """What clips a gradient with this norm, and minus the learning rate."""
        return jnp.minimum(1.0, self.gradient_clip / norm), jnp.asarray(-self.schedule(step))

    def step(
        self, scales: Scales, gradient: Packed, moments: optax.OptState, params: dict[str, Any]
    ) -> tuple[dict[str, Any], optax.OptState]:
        """New parameters and moments; `scales` are those of this gradient's norm and step."""
        clip, rate = scales
        gradient = jax.tree.map(lambda leaf: clip * leaf, gradient)
        directions, moments = self.transformation.update(gradient, moments, pack(params))
        directions = unpack(directions, like=params)
        return jax.tree.map(lambda leaf, direction: leaf + rate * direction, params, directions), moments


def learning_rate_schedule(
    peak: float, total_steps: int, warmup_steps: int = 0, constant_steps: int = 0, final: float = 0.0
) -> optax.Schedule:
    """Rise to `peak`, stay there for `constant_steps`, go down a cosine to `final` at `total_steps`."""
    decay_start = warmup_steps + constant_steps
    decay = optax.cosine_decay_schedule(peak, max(total_steps - decay_start, 1), alpha=final / peak)
    return optax.join_schedules(
        [optax.linear_schedule(0.0, peak, warmup_steps), optax.constant_schedule(peak), decay],
        [warmup_steps, decay_start],
    )


def pack(tree: dict[str, Any]) -> Packed:
    """The arrays, of one dtype, under each name: all vectors (biases, scales) joined to one, then the others.

    Most of a network's arrays are short vectors. What is done to each array of a gradient, an optimizer's
    work above all, takes far less time to compile on few arrays (and on a GPU, to start).
    """
    return {name: _pack(*_vectors_and_others(part)) for name, part in tree.items()}


def unpack(packed: Packed, like: dict[str, Any]) -> dict[str, Any]:
    """The tree that `pack` made `packed` of, where `like` has its structure and shapes."""
    return {name: _unpack(arrays, like[name]) for name, arrays in packed.items()}


def _pack(vectors: list[Array], others: list[Array]) -> list[Array]:
    return [jnp.concatenate(vectors), *others] if vectors else others


def _unpack(arrays: list[Array], like: Any) -> Any:
    vectors, _ = _vectors_and_others(like)
    others = iter(arrays)
    ends = np.cumsum([leaf.size for leaf in vectors])[:-1]
    pieces = iter(jnp.split(next(others), ends) if vectors else ())
    return jax.tree.map(lambda leaf: next(pieces if leaf.ndim == 1 else others), like)


def _vectors_and_others(tree: Any) -> tuple[list[Array], list[Array]]:
    leaves = jax.tree.leaves(tree)
    return [leaf for leaf in leaves if leaf.ndim == 1], [leaf for leaf in leaves if leaf.ndim != 1]
