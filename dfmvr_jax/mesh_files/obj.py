"""Wavefront OBJ with its material, for everything else."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dfmvr_jax.face_model.pieces import triangles_of_pieces
from dfmvr_jax.mesh_files.head import Head
from dfmvr_jax.mesh_files.normals import surface_normals

MATERIAL = """# matte, with the colours of {texture}
newmtl head
Ka 1 1 1
Kd 1 1 1
Ks 0 0 0
Ns 10
Pr 0.6
Pm 0
illum 1
map_Kd {texture}
"""


def write_obj(path: Path, head: Head, texture: str | None) -> None:
    """Write the head in millimetres, a group for each of its pieces.

    With the name of a texture beside it, it has texture coordinates and a .mtl of its name; without one, a
    colour (sRGB in [0, 1]) follows each vertex's position.
    """
    model = head.model
    vertices, normals = head.mesh_mm, surface_normals(head.mesh_mm, model)
    corners = [np.asarray(model.triangles)] * 2
    lines = ["# a head in millimetres: +x to the subject's left, +y up, +z out of the face"]
    if texture is None:
        colored = np.concatenate([vertices, np.clip(head.colors, 0, 1)], axis=1)
        lines += _rows("v %.5f %.5f %.5f %.5f %.5f %.5f", colored)
        face = "f %d//%d %d//%d %d//%d"
    else:
        lines.append(f"mtllib {path.with_suffix('.mtl').name}")
        lines += _rows("v %.5f %.5f %.5f", vertices)
        lines += _rows("vt %.6f %.6f", np.asarray(model.uv))
        corners.insert(1, np.asarray(model.uv_triangles))
        face = "f %d/%d/%d %d/%d/%d %d/%d/%d"
        path.with_suffix(".mtl").write_text(MATERIAL.format(texture=texture))
    lines += _rows("vn %.4f %.4f %.4f", normals)
    if texture is not None:
        lines.append("usemtl head")
    lines.append("s 1")
    numbers = 1 + np.stack(corners, axis=-1)
    for name, triangles in triangles_of_pieces(model).items():
        lines.append(f"g {name}")
        lines += _rows(face, numbers[triangles].reshape(len(triangles), -1))
    path.write_text("\n".join(lines) + "\n")


def _rows(form: str, values: np.ndarray) -> Iterable[str]:
    return (form % tuple(row) for row in values.tolist())
