"""What the network predicts for one subject, and nothing else."""

from typing import NamedTuple

from dfmvr_jax.render.array_types import Array, Float


class Coefficients(NamedTuple):
    """3DMM, light and pose coefficients of one subject (or of a batch, with leading axes).

    Conventions (axes, units, rotation order) are those of `docs/conventions.md`.
    """

    identity: Float[Array, "*batch identity"]  # alpha: 1 = one standard deviation
    expression: Float[Array, "*batch expression"]  # beta
    albedo: Float[Array, "*batch albedo"]  # gamma: 1 = one standard deviation
    light: Float[Array, "*batch 3 9"]  # spherical harmonics per colour channel, fixed to the camera
    rotation: Float[Array, "*batch views 3"]  # Euler angles (x, y, z) in radians, R = Rz Ry Rx
    translation: Float[Array, "*batch views 3"]  # after the rotation, in model units
