"""Rotations, poses and similarity alignment. Conventions: docs/conventions.md."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dfmvr_jax.render.array_types import Array, Float
from dfmvr_jax.render.precision import full_precision


def rotation_matrix(euler: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """R = Rz Ry Rx from Euler angles (x, y, z) in radians; rows are rotated by `points @ R.T`."""
    (cx, cy, cz), (sx, sy, sz) = jnp.cos(euler), jnp.sin(euler)
    return jnp.array(
        [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ]
    )


@full_precision
def move(
    points: Float[Array, "n 3"], euler: Float[Array, "3"], translation: Float[Array, "3"]
) -> Float[Array, "n 3"]:
    """Points rotated about the origin, then translated."""
    return points @ rotation_matrix(euler).T + translation


class Similarity(NamedTuple):
    """x -> scale * R x + translation."""

    scale: Float[Array, ""]
    rotation: Float[Array, "3 3"]
    translation: Float[Array, "3"]

    @full_precision
    def __call__(self, points: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
        return self.scale * points @ self.rotation.T + self.translation


@full_precision
def align_similarity(source: Float[Array, "n 3"], target: Float[Array, "n 3"]) -> Similarity:
    """The similarity, without reflection, that brings `source` nearest to `target` (Umeyama; equation 5).

    Differentiable in both. Coincident source points give scale 0 and finite gradients.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred, wanted = source - source_mean, target - target_mean
    covariance = wanted.T @ centred
    rotation = nearest_rotation(covariance)
    spread = jnp.sum(centred**2)
    scale = jnp.sum(rotation * covariance) / jnp.where(spread == 0, 1.0, spread)
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


@jax.custom_jvp
@full_precision
def nearest_rotation(matrix: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    """The rotation R (determinant +1) that maximises trace(R.T matrix)."""
    u, _, vt = jnp.linalg.svd(matrix)
    sign = jnp.where(jnp.linalg.det(u @ vt) < 0, -1.0, 1.0)
    return (u * jnp.array([1.0, 1.0, sign], u.dtype)) @ vt


@nearest_rotation.defjvp
@full_precision
def _nearest_rotation_jvp(primals, tangents):
    """Implicit derivative: autodiff of the SVD is NaN where singular values are equal, the rotation is not.

    P = R.T M stays symmetric while M moves. With dR = R [w]x that says
    (trace(P) I - P) w = axial(R.T dM - dM.T R), a 3x3 system that is singular only where the rotation
    itself is undetermined (collinear points): there the pseudo-inverse leaves the free direction at rest.
    """
    (matrix,), (matrix_dot,) = primals, tangents
    rotation = nearest_rotation(matrix)
    p = rotation.T @ matrix
    system = jnp.trace(p) * jnp.eye(3, dtype=p.dtype) - p
    skew = rotation.T @ matrix_dot - matrix_dot.T @ rotation
    axial = jnp.array([skew[2, 1], skew[0, 2], skew[1, 0]])
    w = jnp.linalg.pinv(system, rtol=1e-6, hermitian=True) @ axial
    cross = jnp.array([[0.0, -w[2], w[1]], [w[2], 0.0, -w[0]], [-w[1], w[0], 0.0]])
    return rotation, rotation @ cross
