"""What a texture is made of: a head and its photos."""

from typing import NamedTuple

import numpy as np

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.array_types import Float, UInt8


class Surface(NamedTuple):
    """A head with the colours of its head model. Axes: docs/conventions.md."""

    model: MorphableModel  # with texture coordinates
    vertices_mm: Float[np.ndarray, "vertices 3"]  # neutral
    colors: Float[np.ndarray, "vertices 3"]  # of the model's skin without light
    face: Float[np.ndarray, "vertices"]  # 1 where photos may colour it, 0 where they show hair or clothes


class TexturePhoto(NamedTuple):
    """A photo and the head before its camera, which stands in the origin and looks along -z."""

    pixels: UInt8[np.ndarray, "h w 3"]
    focal: float  # pixels
    principal_point: tuple[float, float]
    posed_mm: Float[np.ndarray, "vertices 3"]
    light: Float[np.ndarray, "3 9"]
    outline: Float[np.ndarray, "points 2"]  # pixels, the face lies within their convex hull
