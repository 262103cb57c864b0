"""Triangle rasterizer: which triangle is seen at each pixel, and where on it, in plain JAX.

The triangle ids are computed without gradient by fragment expansion: every triangle is expanded into the
pixels of its bounding box, and all these candidates go through a z-buffer made of scatter-min. A dense face
mesh (triangles of half a pixel) needs about one candidate per triangle. Barycentrics and depth are then
recomputed from the ids by the homogeneous formula in plain differentiable jnp, so there is no custom
gradient. Axes, pixel centres and clip space are those of docs/conventions.md.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dfmvr_jax.render.array_types import (
    Array,
    Bool,
    Float,
    Int,
    check_image_size,
    check_shape,
    check_triangles,
)
from dfmvr_jax.render.batching import batched_per_platform, kept

BACKGROUND_DEPTH = 1.0  # z/w of the far plane
MIN_W = 1e-6  # a triangle with a corner at or below this depth is culled
MAX_COORDINATE = 1e15  # a triangle with a corner beyond this, in clip space, is culled: its products overflow
MIN_AREA = 1e-6  # square pixels; a triangle of less area is seen edge-on and culled
CHUNK = 2**16  # candidate pixels per step of the loop; a dense face at 224 pixels needs one step
MAX_CANDIDATES = 2**28  # candidate pixels per image before it is given up as exploded


class Fragments(NamedTuple):
    """What is seen at the centre of each pixel; `jax.vmap` adds leading axes."""

    triangle_ids: Int[Array, "*batch h w"]  # index of the nearest triangle, -1 = none
    barycentrics: Float[Array, "*batch h w 3"]  # perspective-correct weights of its corners; background 0
    depth: Float[Array, "*batch h w"]  # z/w: -1 at the near plane, 1 at the far plane and in the background

    @property
    def mask(self) -> Bool[Array, "*batch h w"]:
        return self.triangle_ids >= 0


@functools.partial(jax.jit, static_argnames="image_size")
def rasterize(
    clip_positions: Float[Array, "n 4"], triangles: Int[Array, "f 3"], image_size: tuple[int, int]
) -> Fragments:
    """Rasterize one mesh; for a batch or several views use `jax.vmap`.

    Pixel (row i, column j) shows the nearest triangle that covers its centre, which lies in clip space at
    x/w = 2 (j + 0.5) / width - 1 and y/w = 1 - 2 (i + 0.5) / height.
    A worked example: docs/conventions.md.

    The winding does not matter. At equal depth the lowest index wins. Fragments beyond the near or far
    plane (|z/w| > 1) are not drawn, nor is a triangle with a corner that is not `drawable`, nor one
    seen edge-on (area below `MIN_AREA`). Ids carry no gradient; barycentrics and depth carry the gradient
    inside each pixel's triangle, which does not know that outlines move.

    A mesh so exploded that its triangles' bounding boxes, clipped to the image, hold more than
    `MAX_CANDIDATES` pixels in all is not drawn: every pixel gets triangle 0 with NaN barycentrics and depth,
    so that any image of it, and any loss of that, is NaN.

    Args:
      clip_positions: homogeneous clip coordinates of the vertices (`render.camera.clip_positions`).
      triangles: vertex indices.
      image_size: (height, width) in pixels.

    Raises:
      ValueError: an array has another shape than [n, 4] or [f, 3], the triangles are no integers, or the
        image size is no pair.
    """
    check_shape("clip_positions", clip_positions, "n", 4)
    check_triangles(triangles)
    check_image_size(image_size)
    if len(triangles) and not len(clip_positions):
        raise ValueError(f"{len(triangles)} triangles, but no vertices")
    nearest = batched_per_platform(functools.partial(_nearest_triangles, image_size=image_size))
    ids, exploded = kept(nearest(lax.stop_gradient(clip_positions.astype(jnp.float32)), triangles))
    x, y, w = (corner_values(clip_positions[:, k], triangles, ids) for k in (0, 1, 3))
    pixel_x, pixel_y = _pixel_centres(image_size, clip_positions.dtype)
    x, y = x - pixel_x * w, y - pixel_y * w  # the barycentrics are the weights that sum these up to 0
    weights = jnp.stack([_cross(x, y, 1, 2), _cross(x, y, 2, 0), _cross(x, y, 0, 1)])
    barycentrics = _divide_unless_zero(weights, jnp.sum(weights, axis=0))
    depth = depth_at(barycentrics, clip_positions, triangles, ids)
    nan_if_exploded = jnp.where(exploded, jnp.nan, 0.0).astype(depth.dtype)
    return Fragments(ids, jnp.moveaxis(barycentrics, 0, -1) + nan_if_exploded, depth + nan_if_exploded)


def depth_at(
    barycentrics: Float[Array, "3 h w"],
    clip_positions: Float[Array, "n 4"],
    triangles: Int[Array, "f 3"],
    triangle_ids: Int[Array, "h w"],
) -> Float[Array, "h w"]:
    """z/w at the pixels, `BACKGROUND_DEPTH` where there is no triangle."""
    z, w = (
        jnp.sum(barycentrics * corner_values(clip_positions[:, k], triangles, triangle_ids), axis=0)
        for k in (2, 3)
    )
    return jnp.where(triangle_ids < 0, BACKGROUND_DEPTH, _divide_unless_zero(z, w))


def drawable(clip_positions: Float[Array, "n 4"]) -> Bool[Array, " n"]:
    """Whether vertices lie in front of the camera, at finite and not absurd positions."""
    small = jnp.all(jnp.abs(clip_positions) <= MAX_COORDINATE, axis=1)  # False for NaN
    return small & (clip_positions[:, 3] > MIN_W)


def corner_values(
    values: Float[Array, " n"], triangles: Int[Array, "f 3"], triangle_ids: Int[Array, "h w"]
) -> Float[Array, "3 h w"]:
    """Values of the vertices at the three corners of each pixel's triangle, 0 where there is none.

    One gather per corner and channel is several times faster on a CPU than gathering rows.
    """
    if len(triangles) == 0:
        return jnp.zeros((3, *triangle_ids.shape), values.dtype)

    def gather(column, indices, fill_value):
        return column.at[indices].get(mode="fill", fill_value=fill_value, wrap_negative_indices=False)

    return gather(values, jnp.stack([gather(corner, triangle_ids, -1) for corner in triangles.T]), 0)


def _pixel_centres(image_size, dtype):
    """x/w of every column and, as a column vector, y/w of every row."""
    height, width = image_size
    x = (2 * jnp.arange(width, dtype=dtype) + (1 - width)) / width
    y = ((height - 1) - 2 * jnp.arange(height, dtype=dtype)) / height
    return x, y[:, None]


def _divide_unless_zero(x, y):
    """x / y with a finite gradient; x where y is 0: in the background and on triangles seen edge-on."""
    return x / jnp.where(y == 0, 1, y)


def _cross(x, y, i, j):
    return x[i] * y[j] - x[j] * y[i]


def _nearest_triangles(
    clip_positions: Float[Array, "n 4"], triangles: Int[Array, "f 3"], image_size: tuple[int, int]
) -> tuple[Int[Array, "h w"], Bool[Array, ""]]:
    """Ids of the nearest triangles, and whether the mesh is exploded (then the ids are 0)."""
    height, width = image_size
    if len(triangles) == 0:
        return jnp.full(image_size, -1, jnp.int32), jnp.array(False)
    # Pixels from the image's centre, x to the right and y down: the origin where floats are finest.
    x, y, z, w = clip_positions.T
    there = drawable(clip_positions)
    w = jnp.where(there, w, 1)
    x, y, z = x / w * (width / 2), -y / w * (height / 2), jnp.where(there, z / w, jnp.nan)
    # Each triangle's corners in the order of their indices, so that two triangles compute the weights of an
    # edge that they share from the same numbers in the same order, and rounding opens no gap between them.
    corners = _in_order(*triangles.T)
    x, y, z = ([column[corner] for corner in corners] for column in (x, y, z))

    # Bounding boxes of pixel centres; empty for most triangles of a dense mesh.
    doubled_area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    visible = jnp.isfinite(doubled_area + z[0] + z[1] + z[2]) & (jnp.abs(doubled_area) > 2 * MIN_AREA)
    left, columns = _pixel_span(x, width)
    top, rows = _pixel_span(y, height)
    counts = jnp.where(visible, columns * rows, 0)
    exploded = jnp.sum(counts.astype(jnp.float32)) > MAX_CANDIDATES
    counts = jnp.where(exploded, 0, counts)

    def draw(depths, ids, triangle, column, row, used, corners, doubled_area):
        """Let candidates compete for their pixels."""
        x, y, (z0, z1, z2) = corners
        dx = [corner - (column - (width - 1) / 2) for corner in x]
        dy = [corner - (row - (height - 1) / 2) for corner in y]
        weights = [_cross(dx, dy, 1, 2), -_cross(dx, dy, 0, 2), _cross(dx, dy, 0, 1)]
        low, high = jnp.minimum(*weights[:2]), jnp.maximum(*weights[:2])
        covered = (jnp.minimum(low, weights[2]) >= 0) | (jnp.maximum(high, weights[2]) <= 0)
        depth = z0 + (weights[1] * (z1 - z0) + weights[2] * (z2 - z0)) / doubled_area
        covered &= used & (jnp.abs(depth) <= 1)
        pixel = jnp.where(covered, row * width + column, height * width)  # out of range: dropped
        key = _ordered_int(depth)
        new_depths = depths.at[pixel].min(key, mode="drop")
        ids = jnp.where(new_depths < depths, len(triangles), ids)
        pixel = jnp.where(key == new_depths.at[pixel].get(mode="clip"), pixel, height * width)
        return new_depths, ids.at[pixel].min(triangle, mode="drop")

    # The first candidate of every triangle needs no expansion; of a dense mesh it is mostly the only one.
    others = jnp.maximum(counts - 1, 0)
    ends = jnp.cumsum(others)

    def draw_chunk(state):
        chunk, depths, ids = state
        triangle, offset, used = owners(others, ends, chunk, CHUNK)
        row = lax.div(offset + 1, columns[triangle])
        column = left[triangle] + offset + 1 - row * columns[triangle]
        corners, area = jax.tree.map(lambda values: values[triangle], ((x, y, z), doubled_area))
        return chunk + 1, *draw(depths, ids, triangle, column, top[triangle] + row, used, corners, area)

    # 0, but computed from the mesh: inside shard_map a constant may not become device-dependent in a loop
    zero = jnp.minimum(ends[-1], 0)
    no_depth = jnp.full(height * width, zero + jnp.iinfo(jnp.int32).max)
    no_id = jnp.full(height * width, zero + len(triangles))
    every_triangle = jnp.arange(len(triangles), dtype=jnp.int32)
    drawn = draw(no_depth, no_id, every_triangle, left, top, counts > 0, (x, y, z), doubled_area)
    state = jnp.int32(0), *drawn
    _, depths, ids = lax.while_loop(lambda state: state[0] * CHUNK < ends[-1], draw_chunk, state)
    ids = jnp.where(depths == no_depth, jnp.where(exploded, 0, -1), ids)
    return ids.reshape(height, width), exploded


def owners(
    counts: Int[Array, " n"], ends: Int[Array, " n"], chunk: Int[Array, ""], size: int
) -> tuple[Int[Array, " size"], Int[Array, " size"], Bool[Array, " size"]]:
    """Owners of items when n owners have `counts` items each, one owner's after the other's.

    Of the items number `chunk * size` and following: owner, the item's place among those of its owner, and
    whether there is such an item at all. `ends` is the cumulative sum of `counts`.
    """
    first = chunk * size
    item = first + jnp.arange(size, dtype=jnp.int32)
    starts = ends - counts
    # each owner's index where its items start, then the running maximum
    slot = jnp.where((counts > 0) & (ends > first), jnp.maximum(starts - first, 0), size)
    every_owner = jnp.arange(len(counts), dtype=jnp.int32)
    owner = lax.cummax(jnp.zeros(size, jnp.int32).at[slot].max(every_owner, mode="drop"))
    return owner, item - starts[owner], item < ends[-1]


def _in_order(a, b, c):
    low, high = jnp.minimum(jnp.minimum(a, b), c), jnp.maximum(jnp.maximum(a, b), c)
    return low, a + b + c - low - high, high


def _pixel_span(corners, size):
    """First pixel and number of pixels, within the image, whose centres lie between the corners."""
    low, high = (reduce(reduce(*corners[:2]), corners[2]) for reduce in (jnp.minimum, jnp.maximum))
    first = jnp.ceil(jnp.clip(low + (size - 1) / 2, 0, size)).astype(jnp.int32)
    last = jnp.floor(jnp.clip(high + (size - 1) / 2, -1, size - 1)).astype(jnp.int32)
    return first, jnp.maximum(last - first + 1, 0)


def _ordered_int(x: Float[Array, " n"]) -> Int[Array, " n"]:
    """Integers in the order of the floats."""
    bits = lax.bitcast_convert_type(x, jnp.int32)
    return jnp.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
