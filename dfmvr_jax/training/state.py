"""The state that training moves, and how it is laid out over the devices."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from render.array_types import Array, Int

DEVICES = "data"  # name of the pmap axis


class TrainState(NamedTuple):
    step: Int[Array, "*devices"]  # updates done
    params: Any
    batch_stats: Any  # running means and variances of the batch norms
    opt_state: Any


def initial_state(variables: dict, optimizer: optax.GradientTransformation) -> TrainState:
    return TrainState(
        jnp.zeros((), jnp.int32),
        variables["params"],
        variables["batch_stats"],
        optimizer.init(variables["params"]),
    )


def variables_of(state: TrainState) -> dict:
    """What `network.apply` takes."""
    return {"params": state.params, "batch_stats": state.batch_stats}


def replicate(tree):
    """Put a copy of every array on each local device, as pmapped functions want it.

    (With another axis name the arrays' sharding differs from an update's results, and it compiles twice.)
    """
    count = jax.local_device_count()
    return jax.pmap(lambda leaf: leaf, axis_name=DEVICES)(
        jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *jnp.shape(leaf))), tree)
    )


def unreplicate(tree):
    """The first device's copy of what `replicate` made."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


def shard(batch: dict) -> dict:
    """Split the leading axis of every array over the local devices."""
    count = jax.local_device_count()
    return jax.tree.map(lambda leaf: leaf.reshape(count, -1, *leaf.shape[1:]), batch)
