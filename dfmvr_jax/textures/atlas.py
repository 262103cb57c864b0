"""Texture coordinates for head models that have none, such as the Basel Face Model."""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.topology import cached_file
from dfmvr_jax.files import whole_file
from dfmvr_jax.render.array_types import Float, Int


class Atlas(NamedTuple):
    """Texture coordinates."""

    uv: Float[np.ndarray, "corners 2"]
    uv_triangles: Int[np.ndarray, "triangles 3"]  # rows of `uv` for each triangle's corners


def with_atlas(model: MorphableModel) -> MorphableModel:
    """Give a head model texture coordinates, if it has none and xatlas (the extra `atlas`) is installed.

    That takes a minute the first time; they are kept in the user's cache, if it can be written to.
    """
    if model.uv is not None or importlib.util.find_spec("xatlas") is None:
        return model
    path = cached_file("atlases", model)
    atlas = read_atlas(path, model)
    if atlas is None:
        atlas = unwrap(np.asarray(model.mean_shape), np.asarray(model.triangles))
        try:
            with whole_file(path) as unfinished, unfinished.open("wb") as file:
                np.savez_compressed(file, **atlas._asdict())
        except InputError as error:
            print(f"the texture coordinates are not kept: {error}", file=sys.stderr)
    uv, uv_triangles = map(jnp.asarray, atlas)
    return dataclasses.replace(model, uv=uv, uv_triangles=uv_triangles)


def read_atlas(path: Path, model: MorphableModel) -> Atlas | None:
    """Read a kept atlas; None where there is none, or it is damaged or another model's."""
    try:
        with path.open("rb") as stream, np.load(stream) as file:  # numpy leaves damaged files open
            atlas = Atlas(file["uv"], file["uv_triangles"])
    except Exception:  # numpy and zipfile raise errors of many kinds for damaged files
        return None
    fits = atlas.uv_triangles.shape == model.triangles.shape and atlas.uv_triangles.max() < len(atlas.uv)
    return atlas if fits else None


def unwrap(vertices: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "triangles 3"]) -> Atlas:
    """Lay a mesh out flat in the unit square."""
    import xatlas

    _, corners, uv = xatlas.parametrize(vertices.astype(np.float32), triangles.astype(np.uint32))
    return Atlas(uv, corners.astype(np.int32))
