"""The antialiasing rule of nvdiffrast, in plain JAX: to compare with, `render.antialias` is better."""

import jax
import jax.numpy as jnp
from jax import lax

from dfmvr_jax.render.antialias import blend, crossing_at, pixel_positions
from dfmvr_jax.render.array_types import Array, Float, Int
from dfmvr_jax.render.rasterize import Fragments

TOLERANCE = 1 / 16  # pixels that a crossing may lie outside of its pair


@jax.jit
def antialias_by_pixel(
    image: Float[Array, "h w c"],
    fragments: Fragments,
    clip_positions: Float[Array, "n 4"],
    triangles: Int[Array, "f 3"],
    opposite: Int[Array, "f 3"],
) -> Float[Array, "h w c"]:
    """Blend pixels across those outlines that are edges of the triangle seen at the nearer of two neighbours.

    The rule of nvdiffrast (Laine et al. 2020, 3.5): between two neighbouring pixels that show different
    triangles, take the triangle that is nearer, and the edge through which the line from that pixel's centre
    to the other's leaves it. If it is an outline, and runs across rather than along that line, blend.
    Right where triangles are larger than pixels; of a dense mesh's outline it finds a tenth.

    Args:
      image: any channels at the pixels, background included.
      fragments: of `rasterize`.
      clip_positions: the vertices that were rasterized.
      triangles: vertex indices.
      opposite: `opposite_vertices(triangles)`.
    """
    height, width = fragments.triangle_ids.shape
    pixel = jnp.arange(height * width, dtype=jnp.int32).reshape(height, width)
    first = jnp.concatenate([pixel[:, :-1].ravel(), pixel[:-1].ravel()])
    stacked = jnp.arange(len(first)) >= height * (width - 1)
    second = first + jnp.where(stacked, width, 1)
    ids, depth = fragments.triangle_ids.ravel(), lax.stop_gradient(fragments.depth.ravel())
    from_first = depth[first] < depth[second]
    triangle = jnp.where(from_first, ids[first], ids[second])
    valid = (ids[first] != ids[second]) & (triangle >= 0)

    x, y, _, w = clip_positions.T
    x, y = pixel_positions(x, y, w, (height, width))
    corners = triangles[jnp.maximum(triangle, 0)].T
    wings = opposite[jnp.maximum(triangle, 0)].T  # -1: none, gathers anything
    along, across = jnp.where(stacked, x[corners], y[corners]), jnp.where(stacked, y[corners], x[corners])
    wing_along, wing_across = jnp.where(stacked, x[wings], y[wings]), jnp.where(stacked, y[wings], x[wings])
    row, column = first // width, first % width
    line, start = jnp.where(stacked, column, row), jnp.where(stacked, row, column)

    crossings, reaches, outlines = [], [], []
    for corner in range(3):
        ends = jnp.array([(corner + 1) % 3, (corner + 2) % 3])
        (a, b), (p, q) = along[ends], across[ends]
        own = (b - a) * (across[corner] - p) - (q - p) * (along[corner] - a)
        wing = (b - a) * (wing_across[corner] - p) - (q - p) * (wing_along[corner] - a)
        is_outline = (wings[corner] < 0) | ((own < 0) == (wing < 0))
        outlines.append(is_outline & (jnp.abs(b - a) >= jnp.abs(q - p)))
        crossings.append(crossing_at(along[ends], across[ends], line) - start)
        crosses = (a < line) != (b < line)
        reach = jnp.where(from_first, crossings[-1], 1 - crossings[-1])
        reaches.append(jnp.where(crosses, reach, -jnp.inf))
    exit_edge = jnp.argmax(jnp.stack(reaches), axis=0)

    def at_exit(values):
        return jnp.take_along_axis(jnp.stack(values), exit_edge[None], axis=0)[0]

    reach = lax.stop_gradient(at_exit(reaches))
    valid &= at_exit(outlines) & (reach > -TOLERANCE) & (reach < 1 + TOLERANCE)
    position = jnp.clip(jnp.where(valid, at_exit(crossings), 0.5), 0, 1)
    return blend(image, first, second, position, valid, limited=False)
