"""Vertex attributes at the pixels."""

import jax
import jax.numpy as jnp

from dfmvr_jax.render.array_types import Array, Float, Int, check_shape, check_triangles
from dfmvr_jax.render.rasterize import Fragments, corner_values


@jax.jit
def interpolate(
    attributes: Float[Array, "n c"], triangles: Int[Array, "f 3"], fragments: Fragments
) -> Float[Array, "h w c"]:
    """Perspective-correct attributes (colours, normals, positions, ...) at the pixels, 0 in the background.

    Differentiable in the attributes and, through `fragments.barycentrics`, in the vertex positions.
    Attributes of triangles that are not seen are not touched, be they NaN. For a batch use `jax.vmap`.
    """
    check_shape("attributes", attributes, "n", "c")
    check_triangles(triangles)
    weights = jnp.moveaxis(fragments.barycentrics, -1, 0)
    channels = (
        jnp.sum(weights * corner_values(channel, triangles, fragments.triangle_ids), axis=0)
        for channel in attributes.T
    )
    return jnp.stack(list(channels), axis=-1)
