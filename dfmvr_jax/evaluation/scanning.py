"""What a scanner would measure of a known mesh."""

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.geometry import move
from dfmvr_jax.render.array_types import Bool, Float, Int
from dfmvr_jax.render.camera import clip_positions
from dfmvr_jax.render.rasterize import rasterize

SCANNER_SIZE = 448  # side of the depth images, pixels: half a pixel per triangle of a dense face


def seen_vertices(
    vertices: Float[np.ndarray, "n 3"],
    triangles: Int[np.ndarray, "f 3"],
    rotation: Float[np.ndarray, "views 3"],
    translation: Float[np.ndarray, "views 3"],
) -> Bool[np.ndarray, "n"]:
    """Which vertices belong to a triangle that is seen in any of the poses; not teeth behind closed lips.

    All three of a seen triangle count, as a scanner's mesh has whole triangles; `render.visible` tells of
    single points.

    Vertices and translations are in model units, rotations as in docs/conventions.md.
    """
    ids = np.asarray(_seen_triangles(*map(jnp.asarray, (vertices, triangles, rotation, translation))))
    seen = np.zeros(len(vertices), bool)
    seen[triangles[np.unique(ids[ids >= 0])]] = True
    return seen


@jax.jit
def _seen_triangles(vertices, triangles, rotation, translation):
    camera = face_camera(SCANNER_SIZE)

    def scan(rotation, translation):
        clip = clip_positions(camera, move(vertices, rotation, translation))
        return rasterize(clip, triangles, camera.image_size).triangle_ids

    return jax.vmap(scan)(rotation, translation)
