"""A coarser mesh of the same head, for machines without a GPU."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_rings
from dfmvr_jax.face_model.painted_head import EYES

HIDDEN_SIZE = 0.3  # of teeth, gums and tongue, where it is decided which vertices to keep
OF_VERTICES = (
    *("mean_shape", "identity_basis", "expression_basis", "mean_albedo", "albedo_basis"),
    *("part_labels", "skin_mask", "photo_weight"),
)


def coarser(model: MorphableModel, num_vertices: int) -> MorphableModel:
    """Keep about so many of a model's vertices, all landmarks among them, and join them by new triangles.

    Triangles are chosen on the mean head by quadric error (Garland & Heckbert 1997); teeth, gums and tongue
    count for less. What is stored for each vertex stays as it is, but colours are means of the old vertices
    around it, and texture coordinates those of the nearest old corners.
    """
    import fast_simplification

    shape, triangles = np.array(model.mean_shape, np.float64), np.array(model.triangles, np.int32)
    reduction = 1 - num_vertices / len(shape)
    seen = _hidden_pieces_shrunk(shape, triangles, np.isin(model.part_labels, EYES))
    moved, faces = fast_simplification.simplify(seen, triangles, reduction)
    kept = _one_for_each(moved, seen, np.asarray(model.landmarks_3d))
    faces = faces[(np.diff(np.sort(kept[faces], axis=1), axis=1) > 0).all(axis=1)]
    vertices, new = np.unique(kept[faces], return_inverse=True)
    new = new.reshape(-1, 3).astype(np.int32)
    number = np.full(len(shape), -1)
    number[vertices] = np.arange(len(vertices))
    marks = {
        name: jnp.asarray(number[np.asarray(getattr(model, name))], jnp.int32)
        for name in ("landmarks", "landmarks_3d")
    }
    fields = {
        name: None if (array := getattr(model, name)) is None else array[jnp.asarray(vertices)]
        for name in OF_VERTICES
    }
    around = cKDTree(seen[vertices]).query(seen)[1]  # of each old vertex, the nearest new one
    fields |= {name: _means(getattr(model, name), around) for name in ("mean_albedo", "albedo_basis")}
    mirror = cKDTree(shape[vertices]).query(shape[vertices] * [-1, 1, 1])[1]
    changes: dict[str, Any] = fields | marks | _texture(model, shape, vertices, new)
    changes["triangles"] = jnp.asarray(new)
    changes["vertex_triangles"] = jnp.asarray(vertex_rings(new, len(vertices)))
    changes["mirror"] = None if model.mirror is None else jnp.asarray(mirror, jnp.int32)
    changes["name"] = f"{model.name}-coarse"
    return dataclasses.replace(model, **changes)


def _hidden_pieces_shrunk(shape: np.ndarray, triangles: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Positions [n, 3] with all pieces but the largest and the eyes made smaller, each on its spot."""
    links = sp.csr_matrix(
        (np.ones(triangles.size), (triangles.ravel(), np.roll(triangles, 1, axis=1).ravel())),
        (len(shape),) * 2,
    )
    piece = connected_components(links, directed=False)[1]
    count = np.bincount(piece)
    centre = np.stack([np.bincount(piece, axis) for axis in shape.T], axis=-1) / count[:, None]
    size = np.where((piece == count.argmax()) | eyes, 1.0, HIDDEN_SIZE)[:, None]
    return centre[piece] + size * (shape - centre[piece])


def _means(values: jnp.ndarray, group: np.ndarray) -> jnp.ndarray:
    """Means [groups, ...] of the values [n, ...] in each group [n]."""
    flat = np.asarray(values).reshape(len(values), -1)
    sums = sp.csr_matrix((np.ones(len(group)), (group, np.arange(len(group))))) @ flat
    return jnp.asarray(sums / np.bincount(group)[:, None], jnp.float32).reshape(-1, *values.shape[1:])


def _one_for_each(moved: np.ndarray, shape: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """For each new point [k, 3] an old vertex of its own, near to it; the `needed` are among them."""
    kept = np.full(len(moved), -1)
    near = cKDTree(moved).query(shape[needed], 8)[1]
    for vertex, choices in zip(needed, near):
        kept[next(choice for choice in choices if kept[choice] < 0)] = vertex
    taken = set(needed.tolist())
    choices = cKDTree(shape).query(moved, 16)[1]
    for point in np.flatnonzero(kept < 0):
        kept[point] = next((v for v in choices[point] if v not in taken), choices[point, 0])
        taken.add(int(kept[point]))
    return kept


def _texture(
    model: MorphableModel, shape: np.ndarray, vertices: np.ndarray, triangles: np.ndarray
) -> dict[str, jnp.ndarray]:
    """Fields `uv` and `uv_triangles` of the new triangles, whose corners are old vertices."""
    if model.uv is None or model.uv_triangles is None:
        return {}
    old, old_uv = np.asarray(model.triangles), np.asarray(model.uv_triangles)
    nearest = cKDTree(shape[old].mean(axis=1)).query(shape[vertices[triangles]].mean(axis=1))[1]
    middle = np.asarray(model.uv)[old_uv[nearest]].mean(axis=1)  # [f, 2], in the chart of the triangle
    order = np.argsort(old.ravel(), kind="stable")
    start = np.searchsorted(old.ravel()[order], np.arange(len(shape) + 1))
    corners = np.zeros_like(triangles)
    for row, column in np.ndindex(triangles.shape):
        vertex = vertices[triangles[row, column]]
        mine = np.unique(old_uv.ravel()[order[start[vertex] : start[vertex + 1]]])
        gaps = np.linalg.norm(np.asarray(model.uv)[mine] - middle[row], axis=1)
        corners[row, column] = mine[gaps.argmin()]
    used, compact = np.unique(corners, return_inverse=True)
    return {
        "uv": model.uv[jnp.asarray(used)],
        "uv_triangles": jnp.asarray(compact.reshape(-1, 3), jnp.int32),
    }
