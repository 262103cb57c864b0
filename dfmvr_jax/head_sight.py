"""How a camera sees the vertices of a head: how squarely, past what, and within which outline."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.spatial import ConvexHull

from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_normals
from dfmvr_jax.render.array_types import Array, Float
from dfmvr_jax.render.camera import Camera, clip_positions
from dfmvr_jax.render.rasterize import Fragments, rasterize


class HeadSight(NamedTuple):
    """A head before a camera that stands in the origin and looks along -z."""

    posed: Float[Array, "vertices 3"]
    normals: Float[Array, "vertices 3"]  # turned with the head
    facing: Float[Array, "vertices"]  # cosine of the angle from the normal to the camera
    fragments: Fragments  # the head as the camera draws it


def look_at_head(
    model: MorphableModel,
    camera: Camera,
    shape: Float[Array, "vertices 3"],
    rotation: Float[Array, "3 3"],
    translation: Float[Array, "3"],
) -> HeadSight:
    """Look at a head with a camera in the origin.

    Args:
      model: of the head.
      camera: of any unit of length, which shape and translation have, too.
      shape: of the head, model space.
      rotation: posed = shape @ rotation.T + translation.
      translation: to before the camera.
    """
    posed = shape @ rotation.T + translation
    normals = vertex_normals(shape, model) @ rotation.T
    facing = -jnp.sum(normals * posed, axis=-1) / jnp.linalg.norm(posed, axis=-1)
    fragments = rasterize(clip_positions(camera, posed), model.triangles, camera.image_size)
    return HeadSight(posed, normals, facing, fragments)


def outline_share(
    outline: Float[np.ndarray, "points 2"], places: Float[np.ndarray, "*n 2"]
) -> Float[np.ndarray, "*n"]:
    """How far places lie from the middle of points to the border of their convex hull: 1 on it."""
    middle = outline.mean(axis=0)
    sides = ConvexHull(outline - middle).equations  # normal, and minus its distance from the middle
    return ((places - middle) @ (sides[:, :2] / -sides[:, 2:]).T).max(axis=-1)
