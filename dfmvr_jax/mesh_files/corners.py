"""Corners of a mesh with texture coordinates."""

from typing import NamedTuple

import numpy as np

from dfmvr_jax.render.array_types import Int


class Corners(NamedTuple):
    """Points of a mesh that have one texture coordinate each: vertices at seams come several times."""

    vertices: Int[np.ndarray, "corners"]
    uv: Int[np.ndarray, "corners"]  # rows of the model's `uv`; as `vertices` where it has none
    triangles: Int[np.ndarray, "triangles 3"]  # of corners


def corners_of(
    triangles: Int[np.ndarray, "triangles 3"], uv_triangles: Int[np.ndarray, "triangles 3"]
) -> Corners:
    """Number the corners of triangles so that each has one vertex and one texture coordinate."""
    pairs = np.stack([triangles.ravel(), uv_triangles.ravel()], axis=1)
    corners, numbers = np.unique(pairs, axis=0, return_inverse=True)
    return Corners(corners[:, 0], corners[:, 1], numbers.reshape(-1, 3))
