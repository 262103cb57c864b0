"""Which triangles of a mesh meet at which edge: needed once per mesh, whatever its vertices do."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.render.array_types import Array, Int, check_triangles


class MeshEdges(NamedTuple):
    """The edges of a mesh, each once."""

    ends: Int[Array, "e 2"]  # the vertices that it joins
    opposite: Int[Array, "e 2"]  # third corners of the triangles on its two sides, -1 = no triangle there


def mesh_edges(triangles: Int[Array, "f 3"]) -> MeshEdges:
    """The edges of a mesh. Its triangles must be known: call it outside of `jit`.

    A triangle that is there several times, with its corners in whatever order, counts once, and one that
    has a vertex twice does not count. Where three triangles or more meet at an edge (no surface has such
    edges) it is there once for every two of them, and once for one that is left: part of them may pass for
    outlines where they are none.
    """
    known = _known(triangles)
    ends, opposite, partner = _half_edges(known[_distinct(known)[0]])
    once = np.arange(len(partner)) > partner  # the second of two partners, or one without
    return MeshEdges(
        jnp.asarray(ends[once], jnp.int32),
        jnp.asarray(np.stack([opposite, _opposite_of(opposite, partner)], axis=-1)[once], jnp.int32),
    )


def opposite_vertices(triangles: Int[Array, "f 3"]) -> Int[Array, "f 3"]:
    """For each corner of each triangle, the third corner of the triangle across from it; -1 = none there.

    Triangles count as in `mesh_edges`.
    """
    known = _known(triangles)
    kept, first = _distinct(known)
    _, opposite, partner = _half_edges(known[kept])
    found = np.full(known.shape, -1)
    found[kept] = _opposite_of(opposite, partner).reshape(3, -1).T
    corner = (known[first][:, None] == known[:, :, None]).argmax(axis=-1)  # of the first alike
    return jnp.asarray(np.take_along_axis(found[first], corner, axis=1), jnp.int32)


def _known(triangles: Array) -> np.ndarray:
    """Triangles as numbers. Raises `ValueError` for another shape, and for tracers."""
    check_triangles(triangles)
    if isinstance(triangles, jax.core.Tracer):
        raise ValueError("edges do not depend on vertices: make them outside of jit and vmap")
    return np.asarray(triangles)


def _distinct(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The triangles that count, ascending, and for each triangle the first with the same corners."""
    corners = np.sort(triangles, axis=1)
    _, first, inverse = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    first = first[inverse.ravel()]
    has_three = (corners[:, :-1] < corners[:, 1:]).all(axis=1)
    return np.flatnonzero((first == np.arange(len(first))) & has_three), first


def _half_edges(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends (ascending), opposite corner and partner of the 3 f sides of triangles.

    The partner is the same edge in another triangle, or -1. The sides opposite to the first corners come
    first, then those opposite to the second, then the third.
    """
    a, b, c = triangles.T
    ends = np.sort(np.concatenate([np.stack(side, -1) for side in ((b, c), (c, a), (a, b))]), axis=1)
    opposite = np.concatenate([a, b, c])
    order = np.lexsort(ends.T)
    rank = np.arange(len(order))
    is_new = np.ones(len(order), bool)
    is_new[1:] = (ends[order[1:]] != ends[order[:-1]]).any(axis=1)
    place = rank - np.maximum.accumulate(np.where(is_new, rank, 0))  # among equal edges
    second = np.flatnonzero(place % 2)
    partner = np.full(len(order), -1)
    partner[order[second]], partner[order[second - 1]] = order[second - 1], order[second]
    return ends, opposite, partner


def _opposite_of(opposite: np.ndarray, partner: np.ndarray) -> np.ndarray:
    return np.where(partner < 0, -1, opposite[partner])
