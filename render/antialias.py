"""Antialiasing of outlines, which makes an image differentiable in their motion.

A rasterized image jumps when an outline passes the centre of a pixel, so its derivative does not know that
outlines move. `antialias` finds where the outlines of the mesh cross the line between the centres of two
neighbouring pixels, and blends the two by the position of the crossing. Then the image changes continuously
with the outline, and its derivative with respect to the vertices holds the outline's motion.

The idea is that of nvdiffrast (Laine et al. 2020, Modular Primitives for High-Performance Differentiable
Rendering, 3.5), which looks for the outline among the edges of the triangle that is seen at one of the two
pixels. On a dense mesh that misses most of it: the triangles at the outline are seen edge-on and cover no
pixel's centre. Here every edge of the outline looks for the pixels that it parts, so that triangles of any
size will do. `antialias_by_pixel` is nvdiffrast's way.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dfmvr_jax.render.array_types import Array, Bool, Float, Int, check_shape
from dfmvr_jax.render.batching import batched_per_platform, kept
from dfmvr_jax.render.mesh_edges import MeshEdges
from dfmvr_jax.render.rasterize import MAX_CANDIDATES, MIN_W, Fragments, drawable, owners

CHUNK = 2**14  # candidate crossings per step of the loop


class Antialiased(NamedTuple):
    image: Float[Array, "*batch h w c"]
    overflow: Bool[Array, "*batch"]  # more than `max_crossings`: some outlines, flat ones first, stay jagged


@functools.partial(jax.jit, static_argnames="max_crossings")
def antialias(
    image: Float[Array, "h w c"],
    fragments: Fragments,
    clip_positions: Float[Array, "n 4"],
    edges: MeshEdges,
    max_crossings: int | None = None,
) -> Antialiased:
    """Blend pixels across the outlines of the mesh; for a batch or several views use `jax.vmap`.

    Outlines are the edges whose two triangles lie on the same side of them in the image, or that have only
    one triangle; also those inside of the image, where the mesh hides itself. An edge that is steeper than
    45 degrees parts pixels that lie side by side, another one pixels on top of each other. A crossing counts
    if the nearer of the two pixels is on the side of the edge's triangles and the farther one lies behind the
    edge; of several edges between two pixels the outermost counts. With the crossing at the share p of the
    way from one centre to the other, the first pixel takes 0.5 - p of the second's colour if p < 0.5, else
    the second takes p - 0.5 of the first's; less where a pixel would take more than all of others' colours.
    Vertices that lie at the same place count as different: weld the mesh, else its seams are outlines.

    Differentiable in the image and in the positions (reverse and forward). Which crossings there are is
    decided in float32 and carries no gradient; nor does the near or the far plane where it cuts the mesh.

    Args:
      image: any channels at the pixels, background included, e.g. of `interpolate`.
      fragments: of `rasterize`.
      clip_positions: the vertices that were rasterized.
      edges: `mesh_edges(triangles)`.
      max_crossings: how many are blended at most; None: 16 per row and column of the image.

    Raises:
      ValueError: the image is not of the fragments' size.
      TypeError: the edges are not of `mesh_edges`.
    """
    height, width = fragments.triangle_ids.shape
    check_shape("image", image, height, width, "c")
    check_shape("clip_positions", clip_positions, "n", 4)
    if not isinstance(edges, MeshEdges):
        raise TypeError(f"edges is a {type(edges).__name__}; expected what mesh_edges(triangles) gives")
    if len(edges.ends) == 0:
        return Antialiased(image, jnp.array(False))
    limit = 16 * (height + width) if max_crossings is None else max_crossings
    find = batched_per_platform(functools.partial(_find_crossings, limit=limit))
    edge, pair, overflow = kept(
        find(
            lax.stop_gradient(clip_positions.astype(jnp.float32)),
            edges,
            fragments.triangle_ids,
            lax.stop_gradient(fragments.depth.astype(jnp.float32)),
        )
    )
    stacked = pair >= height * width  # pairs of pixels on top of each other come after those side by side
    first = pair - jnp.where(stacked, height * width, 0)
    second = first + jnp.where(stacked, width, 1)
    row, column = first // width, first % width
    ends = edges.ends.at[edge].get(mode="fill", fill_value=len(clip_positions)).T
    clip_x, clip_y, clip_w = (clip_positions[:, k].at[ends].get(mode="fill", fill_value=0) for k in (0, 1, 3))
    x, y = pixel_positions(clip_x, clip_y, clip_w, (height, width))
    along, across = jnp.where(stacked, x, y), jnp.where(stacked, y, x)
    crossing = crossing_at(along, across, jnp.where(stacked, column, row))
    position = crossing - jnp.where(stacked, row, column)

    valid = pair < 2 * height * width
    return Antialiased(blend(image, first, second, position, valid, limited=True), overflow)


def blend(
    image: Float[Array, "h w c"],
    first: Int[Array, " pairs"],
    second: Int[Array, " pairs"],
    position: Float[Array, " pairs"],
    valid: Bool[Array, " pairs"],
    limited: bool,
) -> Float[Array, "h w c"]:
    """Blend pairs of pixels parted at `position` of the way from the first to the second one's centre.

    Several blends of one pixel add up, to more than all of it around a spot that is smaller than a pixel; if
    `limited`, they are scaled down to that.
    """
    pixels = image.reshape(-1, image.shape[-1])
    target = jnp.where(valid, jnp.where(position < 0.5, first, second), len(pixels))  # out of range: dropped
    share = position - 0.5
    if limited:
        total = jnp.zeros(len(pixels), share.dtype).at[target].add(jnp.abs(share), mode="drop")
        share = share / jnp.maximum(total.at[target].get(mode="fill", fill_value=0), 1)
    colors = [pixels.at[index].get(mode="fill", fill_value=0) for index in (first, second)]
    change = (colors[0] - colors[1]) * share[:, None]
    return pixels.at[target].add(change.astype(image.dtype), mode="drop").reshape(image.shape)


def pixel_positions(
    x: Float[Array, "*n"], y: Float[Array, "*n"], w: Float[Array, "*n"], size: tuple[int, int]
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """Column and row of clip positions, whole at the centres of pixels; meaningless where w <= `MIN_W`."""
    height, width = size
    w = jnp.where(w > MIN_W, w, 1)
    return (x / w) * (width / 2) + (width - 1) / 2, (height - 1) / 2 - (y / w) * (height / 2)


def crossing_at(
    along: Float[Array, "2 *n"], across: Float[Array, "2 *n"], line: Int[Array, "*n"]
) -> Float[Array, "*n"]:
    """Where edges, given by their ends, cross pixel lines: `across` at `along` = `line`."""
    length = along[1] - along[0]
    share = (line - along[0]) / jnp.where(length == 0, 1, length)
    return across[0] + share * (across[1] - across[0])


def _find_crossings(
    clip_positions: Float[Array, "n 4"],
    edges: MeshEdges,
    ids: Int[Array, "h w"],
    depth: Float[Array, "h w"],
    limit: int,
) -> tuple[Int[Array, " limit"], Int[Array, " limit"], Bool[Array, ""]]:
    """Which edge is the outline between which pair of pixels, and whether there are more than `limit`.

    A pair is the index of its first pixel, plus the number of pixels where the second lies below it and not
    to its right. Where there is nothing, pair and edge are out of range.
    """
    height, width = ids.shape
    pairs = 2 * height * width
    x, y, z, w = clip_positions.T
    x, y = pixel_positions(x, y, w, (height, width))
    z, x = z / w, jnp.where(drawable(clip_positions), x, jnp.nan)  # NaN spreads to all that has such an end
    (a, b), opposite = edges.ends.T, edges.opposite.T
    xa, ya, xb, yb = x[a], y[a], x[b], y[b]
    dx, dy = xb - xa, yb - ya

    def side(vertex):
        """Doubled area of the triangle on that side, signed; 0 where there is none."""
        area = dx * (y[vertex] - ya) - dy * (x[vertex] - xa)
        return jnp.where((vertex >= 0) & ~jnp.isnan(area), area, 0)

    sides = side(opposite[0]), side(opposite[1])
    inside = sides[0] + sides[1]
    outline = (sides[0] * sides[1] >= 0) & (inside != 0)
    stacked = jnp.abs(dy) < jnp.abs(dx)  # pairs of pixels on top of each other
    along = _either(stacked, (xa, xb), (ya, yb))
    inside_first = jnp.where(stacked, inside * dx < 0, inside * dy > 0)  # on the side of the first pixel
    lines = jnp.where(stacked, width, height)
    begin, end = (
        jnp.clip(jnp.ceil(f(*along)), 0, lines).astype(jnp.int32) for f in (jnp.minimum, jnp.maximum)
    )
    counts = jnp.where(outline, end - begin, 0)
    exploded = jnp.sum(counts.astype(jnp.float32)) > MAX_CANDIDATES
    counts = jnp.where(exploded, 0, counts)
    ends = jnp.cumsum(counts)
    flat_ids, flat_depth = ids.ravel(), depth.ravel()

    def find_chunk(state):
        chunk, outermost, found = state
        edge, place, used = owners(counts, ends, chunk, CHUNK)
        line = begin[edge] + place
        is_stacked, vertices = stacked[edge], edges.ends[edge].T
        along, across = _either(is_stacked, (x[vertices], y[vertices]), (y[vertices], x[vertices]))
        position, edge_depth = (crossing_at(along, values, line) for values in (across, z[vertices]))
        low = jnp.floor(position)
        valid = used & (low >= 0) & (low + 1 < jnp.where(is_stacked, height, width))
        low = jnp.where(valid, low, 0).astype(jnp.int32)
        first = jnp.where(is_stacked, low * width + line, line * width + low)
        second = first + jnp.where(is_stacked, width, 1)
        first_inside = inside_first[edge]
        inner, outer = _either(first_inside, (first, second), (second, first))
        valid &= (flat_depth[inner] < flat_depth[outer]) & (edge_depth < flat_depth[outer])
        valid &= flat_ids[inner] != flat_ids[outer]
        reach = jnp.where(first_inside, position - low, 1 - (position - low))
        pair = jnp.where(valid, first + jnp.where(is_stacked, height * width, 0), pairs)
        farthest = outermost.at[pair].max(reach, mode="drop")
        found = jnp.where(farthest > outermost, -1, found)
        pair = jnp.where(reach == farthest.at[pair].get(mode="clip"), pair, pairs)
        return chunk + 1, farthest, found.at[pair].max(edge, mode="drop")

    zero = jnp.minimum(ends[-1], 0)
    state = jnp.int32(0), jnp.full(pairs, zero - 1.0), jnp.full(pairs, zero - 1)
    _, _, found = lax.while_loop(lambda state: state[0] * CHUNK < ends[-1], find_chunk, state)
    (pair,) = jnp.nonzero(found >= 0, size=limit, fill_value=pairs)
    return found.at[pair].get(mode="fill", fill_value=len(a)), pair, exploded | (jnp.sum(found >= 0) > limit)


def _either(condition, if_true, if_false):
    """`jnp.where` for each of several arrays."""
    return [jnp.where(condition, a, b) for a, b in zip(if_true, if_false)]
