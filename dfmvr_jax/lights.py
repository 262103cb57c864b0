"""Random light for pictures of heads: spherical harmonics fixed to the camera (docs/conventions.md)."""

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.conventions import AMBIENT
from dfmvr_jax.render.array_types import Float
from dfmvr_jax.render.shade import BAND_0, BAND_1, BAND_2, spherical_harmonics

BRIGHTNESS = (0.9, 1.4)  # of a white surface that faces all the light
LARGEST_EXPOSURE = 0.75  # of a surface of the face's mean albedo that faces all the light
DIRECTIONAL_SHARE = (0.3, 0.75)  # of the brightness; the rest comes evenly from all around


def sample_light(rng: np.random.Generator, mean_albedo: float) -> Float[np.ndarray, "3 9"]:
    """Even light, a main and a weaker light from the camera's side, all of them a little warm or cold.

    They are as weak as it takes not to burn out a face of this mean albedo.
    """
    brightness = min(rng.uniform(*BRIGHTNESS), LARGEST_EXPOSURE / max(mean_albedo, 1e-3))
    share = rng.uniform(*DIRECTIONAL_SHARE)
    second = rng.uniform(0, 0.5)
    light = brightness * (1 - share) * even_light()
    for strength in (share * (1 - second), share * second):
        azimuth, elevation = np.radians(rng.uniform([-80, -15], [80, 60]))
        direction = np.array(
            [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
        )
        light = light + brightness * strength * directional_light(direction)
    warmth, green = rng.normal(0, [0.08, 0.02])
    light = np.outer(np.exp([warmth, green, -warmth]), light)
    light[:, 0] -= AMBIENT  # which is added when a face is lit
    return light.astype(np.float32)


def even_light() -> Float[np.ndarray, "9"]:
    """Spherical harmonics of light that shows exactly the albedo on every surface."""
    return np.eye(9)[0] / BAND_0


def directional_light(direction: Float[np.ndarray, "3"]) -> Float[np.ndarray, "9"]:
    """Spherical harmonics of a far light that gives max(0, normal · direction), as near as nine bands can.

    The clamped cosine is 1/4 + 1/2 P1 + 5/16 P2 + ... in Legendre polynomials, and P_l(normal · direction) is
    a sum of products of the bands of order l (addition theorem).
    """
    scale = [1 / 4 / BAND_0**2] + 3 * [1 / 2 / BAND_1**2] + 5 * [3 * 5 / 16 / BAND_2**2]
    return np.array(scale) * np.asarray(spherical_harmonics(jnp.asarray(direction)))
