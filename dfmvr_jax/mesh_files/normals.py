"""Directions of a head's surface, as files hold them."""

import jax
import numpy as np

from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_normals
from dfmvr_jax.render.array_types import Float


def surface_normals(
    vertices: Float[np.ndarray, "vertices 3"], model: MorphableModel
) -> Float[np.ndarray, "vertices 3"]:
    """Unit normals of all vertices; where there is no surface, +z."""
    normals = np.array(_normals(np.asarray(vertices, np.float32), model))
    normals[~normals.any(axis=1)] = 0, 0, 1
    return normals


_normals = jax.jit(vertex_normals)
