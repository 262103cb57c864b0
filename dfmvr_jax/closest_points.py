"""Exact closest points on a triangle mesh, by Open3D."""

from types import ModuleType
from typing import NamedTuple

import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.render.array_types import Float, Int


class ClosestPoints(NamedTuple):
    """Where a surface is nearest to each query point."""

    points: Float[np.ndarray, "k 3"]  # on the surface
    normals: Float[np.ndarray, "k 3"]  # unit normals of the triangles these points are on
    triangle_ids: Int[np.ndarray, "k"]
    barycentrics: Float[np.ndarray, "k 3"]  # shares of the triangle's three corners in the point


def closest_points(
    vertices: Float[np.ndarray, "n 3"],
    triangles: Int[np.ndarray, "f 3"],
    queries: Float[np.ndarray, "k 3"],
) -> ClosestPoints:
    """The points of the surface, inside triangles, on edges or corners, that are nearest to the queries.

    Open3D computes in float32, here around the queries' mean: the error is about 1e-7 of the mesh's size.
    Raises `InputError` where Open3D is missing.
    """
    open3d = import_open3d()
    tensor = open3d.core.Tensor
    centre = queries.mean(axis=0)
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(tensor((vertices - centre).astype(np.float32)), tensor(triangles.astype(np.uint32)))
    found = scene.compute_closest_points(tensor((queries - centre).astype(np.float32)))
    normals = found["primitive_normals"].numpy().astype(np.float64)
    u, v = found["primitive_uvs"].numpy().astype(np.float64).T
    return ClosestPoints(
        points=found["points"].numpy().astype(np.float64) + centre,
        normals=normals,
        triangle_ids=found["primitive_ids"].numpy().astype(np.int64),
        barycentrics=np.stack([1 - u - v, u, v], axis=-1),
    )


def import_open3d() -> ModuleType:
    """Open3D. Raises `InputError` where it, or a library of the system that it needs, is missing."""
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise InputError(
            f"evaluation needs Open3D, which cannot be imported ({error}); install it:"
            " pip install 'dfmvr_jax[evaluation]', and on Debian or Ubuntu its system libraries:"
            " apt-get install libusb-1.0-0 libgomp1 libgl1 libegl1 libx11-6"
        ) from None
    return open3d
