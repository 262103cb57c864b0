"""Texture coordinates for head models that have none, such as the Basel Face Model."""

import dataclasses
import importlib.util

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.topology import cached_file
from dfmvr_jax.files import whole_file
from dfmvr_jax.render.array_types import Float, Int


def with_atlas(model: MorphableModel) -> MorphableModel:
    """Give a head model texture coordinates, if it has none and xatlas (the extra `atlas`) is installed.

    That takes a minute the first time; they are kept in the user's cache. Raises `InputError` where they
    cannot be written there.
    """
    if model.uv is not None or importlib.util.find_spec("xatlas") is None:
        return model
    path = cached_file("atlases", model)
    if path.is_file():
        with np.load(path) as arrays:
            uv, uv_triangles = arrays["uv"], arrays["uv_triangles"]
    else:
        uv, uv_triangles = unwrap(np.asarray(model.mean_shape), np.asarray(model.triangles))
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, uv=uv, uv_triangles=uv_triangles)
    return dataclasses.replace(model, uv=jnp.asarray(uv), uv_triangles=jnp.asarray(uv_triangles))


def unwrap(
    vertices: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "triangles 3"]
) -> tuple[Float[np.ndarray, "corners 2"], Int[np.ndarray, "triangles 3"]]:
    """Lay a mesh out flat in the unit square: places, and which of them each triangle's corners have."""
    import xatlas

    _, corners, uv = xatlas.parametrize(vertices.astype(np.float32), triangles.astype(np.uint32))
    return uv, corners.astype(np.int32)
