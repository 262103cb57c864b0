"""Which points a camera sees."""

import jax.numpy as jnp

from dfmvr_jax.render.array_types import Array, Bool, Float, check_shape
from dfmvr_jax.render.camera import Camera, clip_positions, depth_in_front
from dfmvr_jax.render.rasterize import Fragments


def visible(
    camera: Camera, points: Float[Array, "n 3"], fragments: Fragments, tolerance: float
) -> Bool[Array, "n"]:
    """Tell which points the camera sees past a mesh that it has drawn.

    A point is hidden if it lies outside of the image or the near and far plane, or by more than `tolerance`
    behind what is seen at the pixel that it falls into. Points on the mesh itself need some tolerance: within
    a pixel a surface seen at an angle goes back by the pixel's width times the angle's tangent.

    Args:
      camera: that drew the mesh.
      points: in the frame of the mesh's vertices.
      fragments: the drawn mesh, from `rasterize` or `render_mesh`.
      tolerance: depth in front of the camera, in units of the points.

    Raises:
      ValueError: points or fragments have another shape than [n, 3] and the camera's image size.
    """
    check_shape("points", points, "n", 3)
    check_shape("fragments.depth", fragments.depth, *camera.image_size)
    x, y, z, depth = clip_positions(camera, points).T
    height, width = camera.image_size
    w = jnp.where(depth > 0, depth, 1)
    column, row = (x / w + 1) * (width / 2), (1 - y / w) * (height / 2)
    inside = (depth > 0) & (jnp.abs(z) <= w) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    nearest = fragments.depth[
        jnp.clip(row, 0, height - 1).astype(int), jnp.clip(column, 0, width - 1).astype(int)
    ]
    return inside & (depth <= depth_in_front(camera, nearest) + tolerance)
