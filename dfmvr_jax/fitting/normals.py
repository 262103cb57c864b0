"""How the normals of a head move with its shape."""

import numpy as np
import scipy.sparse

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.array_types import Float, Int


def normal_basis(
    model: MorphableModel, vertices: Int[np.ndarray, "chosen"], basis: Float[np.ndarray, "vertices 3 shapes"]
) -> Float[np.ndarray, "chosen 3 shapes"]:
    """Derivatives of `vertex_normals` by the coefficients of shapes, at the mean head.

    They hardly change with the shape, so that they are looked up once for a model.

    Args:
      model: of the head.
      vertices: whose normals are asked for.
      basis: how all vertices move with the coefficients, model units.
    """
    shape, triangles = np.asarray(model.mean_shape, np.float64), np.asarray(model.triangles)
    rings = np.asarray(model.vertex_triangles)[vertices]
    row, slot = np.nonzero(rings < len(triangles))
    corners = triangles[rings[row, slot]]  # of each triangle at each vertex
    first, second = (shape[corners[:, side]] - shape[corners[:, 0]] for side in (1, 2))
    by_first, by_second = -_cross_matrix(second), _cross_matrix(first)  # of first x second
    normal = np.cross(first, second)
    to_unit = _by_length(normal)
    blocks = np.stack([-(by_first + by_second), by_first, by_second], axis=1)
    blocks = np.einsum("tij,tcjk->tcik", to_unit, blocks)

    summed = np.zeros((len(vertices), 3))
    np.add.at(summed, row, normal / np.maximum(np.linalg.norm(normal, axis=1), 1e-20)[:, None])
    blocks = np.einsum("tij,tcjk->tcik", _by_length(summed)[row], blocks)
    rows = 3 * row[:, None, None, None] + np.arange(3)[:, None]
    columns = 3 * corners[:, :, None, None] + np.arange(3)
    rows, columns, blocks = (array.ravel() for array in np.broadcast_arrays(rows, columns, blocks))
    change = scipy.sparse.csr_array((blocks, (rows, columns)), (3 * len(vertices), shape.size))
    moved = change.astype(np.float32) @ basis.reshape(shape.size, -1)
    return moved.reshape(len(vertices), 3, -1)


def _cross_matrix(vectors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """The matrices that cross products from the left are."""
    return np.cross(vectors[:, None], np.eye(3)).swapaxes(1, 2)


def _by_length(vectors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """Derivatives of vectors made one long, by the vectors; 0 for vectors of no length."""
    length = np.linalg.norm(vectors, axis=1)[:, None, None]
    unit = vectors[..., None] / np.maximum(length, 1e-20)
    return np.where(length > 0, (np.eye(3) - unit @ unit.swapaxes(1, 2)) / np.maximum(length, 1e-20), 0)
