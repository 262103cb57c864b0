"""What a texture of a head is."""

from typing import NamedTuple

import numpy as np

from dfmvr_jax.render.array_types import Float, UInt8


class HeadTexture(NamedTuple):
    """Pictures of a head's surface in the texture coordinates of its model, sRGB.

    Row 0 is the top, where v is 1: texture coordinates (u, v) lie at column u * size, row (1 - v) * size.
    """

    photographed: UInt8[np.ndarray, "size size 3"]  # in the light of the most frontal photo
    albedo: UInt8[np.ndarray, "size size 3"]  # the same without light
    confidence: UInt8[np.ndarray, "size size"]  # 0: the model's or mirrored, 255: seen squarely by photos
    unseen: float  # share of the skin that no photo shows


class VertexColors(NamedTuple):
    """The same of a head's vertices."""

    colors: Float[np.ndarray, "vertices 3"]  # without light, in [0, 1]
    confidence: Float[np.ndarray, "vertices"]  # 0 to 1
