"""All mesh files of a head at once."""

from pathlib import Path

import numpy as np

from dfmvr_jax.mesh_files.head import Head
from dfmvr_jax.mesh_files.obj import write_obj
from dfmvr_jax.mesh_files.ply import write_ply
from dfmvr_jax.render.array_types import UInt8
from dfmvr_jax.textures.head_texture import HeadTexture

PNG_COMPRESSION = 3  # of 9: a quarter of the time of the usual 6


def write_head(folder: Path, head: Head, texture: HeadTexture | None = None) -> None:
    """Write mesh.glb, mesh.obj and mesh.ply into a folder, and the textures where there is one.

    mesh.glb is in metres, the others in millimetres. With a texture, which lies in the model's texture
    coordinates, mesh.glb holds its albedo; mesh.obj has mesh.mtl and texture.png, the albedo, and
    texture_photographed.png lies beside it. Else, and in mesh.ply always, each vertex has its colour.
    """
    from dfmvr_jax.mesh_files.glb import write_glb

    write_glb(folder / "mesh.glb", head, None if texture is None else texture.albedo)
    write_obj(folder / "mesh.obj", head, None if texture is None else "texture.png")
    write_ply(folder / "mesh.ply", head.mesh_mm, head.colors, head.model)
    if texture is not None:
        _write_png(folder / "texture.png", texture.albedo)
        _write_png(folder / "texture_photographed.png", texture.photographed)


def _write_png(path: Path, picture: UInt8[np.ndarray, "rows columns 3"]) -> None:
    from PIL import Image

    Image.fromarray(picture).save(path, compress_level=PNG_COMPRESSION)
