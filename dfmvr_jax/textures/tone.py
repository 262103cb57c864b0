"""The tone of the photos, continued smoothly from the face over the whole head."""

import math

import numpy as np
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import splu

from dfmvr_jax.render.array_types import Float, Int

SMOOTHED_MM = 4.0  # of what is known
FADING_MM = 40.0  # way on which the tone goes over from that of the border to the usual one


def spread_tone(
    vertices_mm: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "triangles 3"],
    tone: Float[np.ndarray, "vertices 3"],
    known: Float[np.ndarray, "vertices"],
    usual: Float[np.ndarray, "vertices 3"],
) -> Float[np.ndarray, "vertices 3"]:
    """Continue a tone smoothly from where it is known over the whole surface.

    Minimises the square of its slope and of its differences from what is known and, weakly, from the usual
    (a screened Poisson equation on the mesh).

    Args:
      vertices_mm: of the head.
      triangles: of the head.
      tone: where it is known.
      known: how surely, 0 to 1.
      usual: what the tone falls back to far from there.
    """
    area, slope = areas(vertices_mm, triangles), graph_laplacian(triangles, len(vertices_mm))
    told, kept = area * known / SMOOTHED_MM**2, np.maximum(area, 1e-3) / FADING_MM**2
    system = (slope + diags_array(told + kept)).tocsc()
    solver = splu(system, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return solver.solve(told[:, None] * tone + kept[:, None] * usual)


def areas(
    vertices: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "triangles 3"]
) -> Float[np.ndarray, "vertices"]:
    """A third of the area of the triangles around each vertex."""
    a, b, c = (vertices[corner] for corner in triangles.T)
    size = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    return np.bincount(triangles.ravel(), np.repeat(size, 3), len(vertices))


def graph_laplacian(triangles: Int[np.ndarray, "triangles 3"], vertices: int) -> csr_array:
    """The quadratic form of the squared differences along edges."""
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    both = np.concatenate([pairs, pairs[:, ::-1]])
    joined = coo_array((np.ones(len(both)), both.T), (vertices, vertices)).tocsr()
    joined.data[:] = 1  # an edge of two triangles comes twice
    return (diags_array(joined.sum(axis=1)) - joined).tocsr()


def smoothed(
    vertices_mm: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "triangles 3"],
    values: Float[np.ndarray, "vertices c"],
    width_mm: float,
) -> Float[np.ndarray, "vertices c"]:
    """Values of vertices, smoothed over about so many millimetres of those triangles; others stay."""
    slopes = triangles[np.ptp(values[triangles], axis=1).max(axis=-1) > 0]
    if not len(slopes):
        return values
    corners = vertices_mm[slopes]
    edge = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1).mean()
    rows, numbers = np.unique(triangles, return_inverse=True)
    ones, starts = np.ones(numbers.size), np.arange(0, numbers.size + 1, 3)
    of_triangle = csr_array((ones, numbers.ravel(), starts), (len(triangles), len(rows)))
    around = of_triangle.T @ of_triangle
    around = diags_array(1 / around.sum(axis=1)) @ around
    smooth = values[rows]
    for _ in range(math.ceil((width_mm / edge) ** 2)):  # a round spreads them by less than an edge
        smooth = around @ smooth
    found = values.copy()
    found[rows] = smooth
    return found
