"""A texture as the vertices of its head have it."""

import cv2
import numpy as np

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.textures.head_texture import HeadTexture, VertexColors
from dfmvr_jax.textures.lookup import look_up_points
from dfmvr_jax.textures.mirror import vertex_uv

SIDE = 512  # texels, about as far from each other as vertices


def texture_at_vertices(texture: HeadTexture, model: MorphableModel) -> VertexColors:
    """Look up what the texture is around each vertex."""
    size = min(SIDE, len(texture.albedo))
    layers = np.dstack([texture.albedo, texture.confidence]).astype(np.float32) / 255
    found = look_up_points(cv2.resize(layers, (size, size), interpolation=cv2.INTER_AREA), vertex_uv(model))
    return VertexColors(found[:, :3], found[:, 3])
