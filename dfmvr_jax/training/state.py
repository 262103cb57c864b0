"""The state that training moves, and how it is laid out over the devices."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dfmvr_jax.render.array_types import Array, Float, Int
from dfmvr_jax.training.optimizer import pack

DEVICES = "data"  # name of the pmap axis


class TrainState(NamedTuple):
    step: Int[Array, "*devices"]  # updates done
    params: Any
    batch_stats: Any  # running means and variances of the batch norms
    moments: optax.OptState  # the optimiser's own, of the packed parameters


def initial_state(variables: dict, transformation: optax.GradientTransformation) -> TrainState:
    """Of a network with these variables, before the first update; the transformation is its `Optimizer`'s."""
    return TrainState(
        jnp.zeros((), jnp.int32),
        variables["params"],
        variables["batch_stats"],
        jax.jit(lambda params: transformation.init(pack(params)))(variables["params"]),
    )


def variables_of(state: TrainState) -> dict:
    """What `network.apply` takes."""
    return {"params": state.params, "batch_stats": state.batch_stats}


def replicate(tree):
    """Put a copy of every array on each local device, `[devices, ...]`, as pmapped functions want it.

    The sharding is that of such a function's results: with another, an update would compile twice.
    """
    count = jax.local_device_count()
    sharding = jax.pmap(lambda x: x, axis_name=DEVICES)(jnp.zeros(count)).sharding

    def put(leaf):
        return jax.device_put(np.broadcast_to(leaf, (count, *np.shape(leaf))), sharding)

    return jax.tree.map(put, tree)


def unreplicate(tree):
    """The copy that this process's first device has of what `replicate` or a pmapped function made.

    It lies on that device alone, so that a program may take it together with other arrays of that device:
    `leaf[0]` would stay laid out over all of them.
    """
    return jax.tree.map(lambda leaf: leaf.addressable_data(0)[0], tree)


def replicated_number(metric: Float[Array, "devices"]) -> float:
    """The number that every device has, without a program that picks it."""
    return float(np.asarray(metric.addressable_data(0))[0])


def shard(batch: dict) -> dict:
    """Split the leading axis of every array over the local devices."""
    count = jax.local_device_count()
    return jax.tree.map(lambda leaf: leaf.reshape(count, -1, *leaf.shape[1:]), batch)
