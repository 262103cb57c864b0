"""Spherical-harmonics light, fixed to the camera (docs/conventions.md)."""

import math
from typing import NamedTuple

import jax.numpy as jnp

from dfmvr_jax.render.array_types import Array, Float, check_shape
from dfmvr_jax.render.precision import full_precision

# Attenuation of each order by the surface times the constant of its harmonics
BAND_0 = math.pi / math.sqrt(4 * math.pi)
BAND_1 = (2 * math.pi / math.sqrt(3)) * math.sqrt(3) / math.sqrt(4 * math.pi)
BAND_2 = (2 * math.pi / math.sqrt(8)) * 3 * math.sqrt(5) / math.sqrt(12 * math.pi)
TOWARDS_CAMERA = (0.0, 0.0, 1.0)


class Shine(NamedTuple):
    """A highlight on a surface; the defaults are like skin."""

    strength: float | Float[Array, ""] = 0.11  # brightness, at most, as a share of the main light's
    exponent: float | Float[Array, ""] = 24.0  # of the cosine: the higher, the smaller and sharper it is


def spherical_harmonics(normals: Float[Array, "*n 3"]) -> Float[Array, "*n 9"]:
    """What each of the first nine spherical harmonics of light contributes at these unit normals.

    The bands 1, -y, z, -x, xy, -yz, (3z²-1)/(2√3), -xz, (x²-y²)/2 times the constants that 3DMM work has
    used since Deng et al. 2019 (Deep3DFaceRecon), so that published coefficients fit. Orders 1 and 2 come out
    √3 and 2√2 times as strong as on a Lambertian surface.
    """
    x, y, z = jnp.moveaxis(normals, -1, 0)
    order_1 = [-y, z, -x]
    order_2 = [x * y, -y * z, (3 * z**2 - 1) / (2 * math.sqrt(3)), -x * z, (x**2 - y**2) / 2]
    bands = [jnp.full_like(x, BAND_0), *(BAND_1 * b for b in order_1), *(BAND_2 * b for b in order_2)]
    return jnp.stack(bands, axis=-1)


@full_precision
def shade(
    albedo: Float[Array, "*n 3"],
    normals: Float[Array, "*n 3"],
    light: Float[Array, "3 9"],
    ambient: float = 0.0,
) -> Float[Array, "*n 3"]:
    """Colour of a lit surface: albedo times the sum of the bands weighted by `light`.

    `ambient` is added to band 0 of every colour channel of `light`; with 0.8, as in BFM-based face work,
    `light = 0` is even white light that shows 0.8 · √π/2 = 0.709 of the albedo. Colours are not clipped:
    strong light exceeds 1.

    Args:
      albedo: colour channels, 0..1.
      normals: unit normals in the camera's frame.
      light: coefficients of the nine bands for each colour channel.
      ambient: offset of band 0.
    """
    check_shape("light", light, 3, 9)
    return albedo * (spherical_harmonics(normals) @ light.at[:, 0].add(ambient).T)


@full_precision
def highlight(
    normals: Float[Array, "*n 3"], light: Float[Array, "3 9"], shine: Shine
) -> Float[Array, "*n 3"]:
    """Colour of the highlight of the main light, to add to `shade`'s; seen from far away.

    One lobe around the direction halfway between light and camera (Blinn, "Models of light reflection for
    computer synthesized pictures", 1977). Surfaces that face away from the light have none.

    Args:
      normals: unit normals in the camera's frame.
      light: coefficients of the nine bands for each colour channel.
      shine: how strong and how sharp.
    """
    direction, brightness = main_light(light)
    halfway = _unit(direction + jnp.array(TOWARDS_CAMERA))
    lit = jnp.maximum(normals @ direction, 0)
    # no power of 0, whose gradient is not finite for exponents below 1
    lobe = jnp.exp(shine.exponent * jnp.log(jnp.maximum(normals @ halfway, 1e-6)))
    return shine.strength * (lit * lobe)[..., None] * brightness


def main_light(light: Float[Array, "3 9"]) -> tuple[Float[Array, "3"], Float[Array, "3"]]:
    """Where most of the light comes from: a unit vector, 0 for even light, and its brightness by channel.

    It is the far light whose bands of order 1 are those of `light`, in the mean of the channels; brightness 1
    shows white where a white surface faces it.
    """
    check_shape("light", light, 3, 9)
    arrows = jnp.stack([-light[:, 3], -light[:, 1], light[:, 2]], axis=-1)
    direction = _unit(arrows.mean(axis=0))
    return direction, 2 * BAND_1 * jnp.maximum(arrows @ direction, 0)


def _unit(vector: Float[Array, "3"]) -> Float[Array, "3"]:
    """The vector of length 1; 0 stays 0, with finite gradients."""
    squared = jnp.sum(vector**2)
    return jnp.where(squared > 0, vector / jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)
