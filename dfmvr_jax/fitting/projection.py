"""Points of a head in a photo, and how they move with the photo's own unknowns."""

import jax.numpy as jnp

from dfmvr_jax.fitting.unknowns import POSE
from dfmvr_jax.render.array_types import Array, Float
from dfmvr_jax.render.precision import full_precision

NEAREST = 0.3  # depth that points have at least, model units


@full_precision
def project_points(
    points: Float[Array, "n 3"],
    basis: Float[Array, "n 3 shapes"],
    rotation: Float[Array, "3 3"],
    translation: Float[Array, "3"],
    focal: Float[Array, ""],
    centre: Float[Array, "2"],
) -> tuple[Float[Array, "n 2"], Float[Array, "n 2 own"], Float[Array, "n"]]:
    """Pixels of points, their derivatives by shapes, pose and the focal length's logarithm, and depths.

    Args:
      points: in model space.
      basis: how they move with the coefficients of identity and expression.
      rotation: of the head; its derivative is that by a turn about the camera's axes.
      translation: of the head, after the rotation; the camera stands in the origin.
      focal: pixels.
      centre: principal point, pixels.
    """
    turned = points @ rotation.T
    seen = turned + translation
    depth = jnp.maximum(-seen[:, 2], NEAREST)
    flat = jnp.stack([seen[:, 0], -seen[:, 1]], axis=1) / depth[:, None]
    pixels = centre + focal * flat
    zero, scale = jnp.zeros_like(depth), focal / depth
    # derivative of the pixel by the seen point; as z grows, the depth falls
    by_point = jnp.stack(
        [
            jnp.stack([scale, zero, scale * flat[:, 0]], axis=1),
            jnp.stack([zero, -scale, scale * flat[:, 1]], axis=1),
        ],
        axis=1,
    )
    by_shape = jnp.einsum("nis,nsk->nik", by_point @ rotation, basis)
    by_turn = by_turning(turned)
    derivative = jnp.concatenate(
        [by_shape, by_point @ by_turn, by_point, (pixels - centre)[..., None]], axis=-1
    )
    assert derivative.shape[-1] == basis.shape[-1] + POSE + 1
    return pixels, derivative, depth


def by_turning(vectors: Float[Array, "n 3"]) -> Float[Array, "n 3 3"]:
    """Derivatives of vectors by a turn w about the axes: of w x vector, columns by w."""
    x, y, z = vectors.T
    zero = jnp.zeros_like(x)
    return jnp.stack(
        [
            jnp.stack([zero, z, -y], axis=1),
            jnp.stack([-z, zero, x], axis=1),
            jnp.stack([y, -x, zero], axis=1),
        ],
        axis=1,
    )
