"""PLY, for the tools that work on meshes."""

from pathlib import Path

import numpy as np

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.mesh_files.normals import surface_normals
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.render.array_types import Float


def write_ply(
    path: Path,
    vertices_mm: Float[np.ndarray, "vertices 3"],
    colors: Float[np.ndarray, "vertices 3"],
    model: MorphableModel,
) -> None:
    """Write a head in millimetres, with a normal and a colour (sRGB in [0, 1], clipped) for each vertex."""
    import trimesh

    mesh = trimesh.Trimesh(
        vertices_mm,
        np.asarray(model.triangles),
        vertex_normals=surface_normals(vertices_mm, model),
        vertex_colors=to_uint8(colors),
        process=False,
    )
    mesh.export(path, vertex_normal=True)
