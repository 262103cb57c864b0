"""Files of a reconstructed face: meshes with colours, and the coefficients behind them."""

from pathlib import Path

import numpy as np

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.conventions import UNIT_MM, VIEWS
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.array_types import Float, Int
from dfmvr_jax.render.camera import Camera


def write_meshes(
    folder: Path,
    vertices_mm: Float[np.ndarray, "n 3"],
    triangles: Int[np.ndarray, "f 3"],
    colors: Float[np.ndarray, "n 3"],
) -> None:
    """Write mesh.ply, mesh.glb and mesh.obj into a folder, with a colour per vertex.

    Coordinates are millimetres in all three files (glTF viewers may take them for metres). Colours are in
    [0, 1], sRGB, and clipped; the .glb holds them as linear light with a matte material, as glTF wants it.
    """
    for kind in ("ply", "glb", "obj"):
        write_mesh(folder / f"mesh.{kind}", vertices_mm, triangles, colors)


def write_mesh(
    path: Path,
    vertices_mm: Float[np.ndarray, "n 3"],
    triangles: Int[np.ndarray, "f 3"],
    colors: Float[np.ndarray, "n 3"],
) -> None:
    """Write one of these files, in the format of its name's ending."""
    import trimesh

    is_gltf = path.suffix == ".glb"
    colors = _linear_light(colors) if is_gltf else colors
    vertex_colors = np.round(255 * np.clip(colors, 0, 1)).astype(np.uint8)
    mesh = trimesh.Trimesh(vertices_mm, triangles, vertex_colors=vertex_colors, process=False)
    if is_gltf:
        mesh.export(path, tree_postprocessor=_make_matte)
    else:
        mesh.export(path)


def coefficients_json(coefficients: Coefficients, camera: Camera, model: MorphableModel) -> dict:
    """One subject's coefficients with all that is needed to rebuild and render the face from them."""
    return {
        "face_model": {"name": model.name, "unit_mm": UNIT_MM},
        "camera": {
            "focal_px": float(camera.focal),
            "principal_point_px": [float(value) for value in camera.principal_point],
            "distance": float(camera.distance),
            "image_size_px": list(camera.image_size),
        },
        "conventions": {
            "views": list(VIEWS),
            "shape": "mean + identity basis @ identity + expression basis @ expression, in model units",
            "pose": "posed = points @ R.T + translation, R = Rz Ry Rx, rotation = (x, y, z) in radians, "
            "translation in model units",
            "axes": "+x to the subject's left, +y up, +z out of the face",
            "projection": "x = cx + focal X / (distance - Z), y = cy - focal Y / (distance - Z); pixels of "
            "the aligned crop from its top left corner, y down",
            "light": "9 spherical harmonics per colour channel, fixed to the camera; band 0 gets +0.8",
        },
    } | {name: np.asarray(value).tolist() for name, value in coefficients._asdict().items()}


def _linear_light(srgb: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    srgb = np.clip(srgb, 0, 1)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _make_matte(tree: dict) -> None:
    """Give the meshes of a glTF tree a material: without one, viewers show bare metal."""
    tree["materials"] = [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}]
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            primitive["material"] = 0
