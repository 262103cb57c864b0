"""Scans and points on them, from the files of data sets."""

import io
from pathlib import Path

import numpy as np

from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.files import read_text
from dfmvr_jax.first_bytes import mismatch
from dfmvr_jax.photos.landmark_files import LARGEST_TEXT, numbers
from dfmvr_jax.render.array_types import Float, Int

LARGEST_MESH = 1 << 29  # bytes of a scan


def read_points(path: Path, number: int) -> Float[np.ndarray, "n 3"]:
    """A text file with a line `x y z` for each of so many points."""
    check_size(path, LARGEST_TEXT)
    try:
        points = numbers(read_text(path))
    except (OSError, ValueError) as error:  # text in no known encoding too
        raise InputError(
            f"{path}: cannot be read as points ({one_line(error)}); expected lines `x y z`"
        ) from None
    if points.shape != (number, 3) or not np.isfinite(points).all():
        raise InputError(f"{path}: holds {points.shape} numbers; expected {number} lines `x y z`, all finite")
    return points


def read_obj(path: Path) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, "t 3"]]:
    """Vertices, in the file's order, and triangles of a Wavefront file."""
    import trimesh

    check_size(path, LARGEST_MESH)
    if other := mismatch(path, "a mesh (.obj)"):
        raise InputError(f"{path}: {other}")
    try:
        text = io.StringIO(read_text(path))
        mesh = trimesh.load(
            text, "obj", force="mesh", process=False, maintain_order=True, skip_materials=True
        )
        vertices, triangles = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)
    except Exception as error:  # whatever a damaged file brings about
        raise InputError(f"{path}: cannot be read as a mesh ({one_line(error)})") from None
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not len(vertices) or not np.isfinite(vertices).all():
        raise InputError(f"{path}: has no vertices, or some that are not three finite numbers")
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(vertices):
        raise InputError(f"{path}: has triangles of vertices that it has not; is it cut off?")
    return vertices, triangles


def check_size(path: Path, largest: int) -> None:
    """Raise `InputError` where a file is missing or larger than so many bytes."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if size > largest:
        raise InputError(f"{path}: has {size:,} bytes, more than the {largest:,} that such a file may have")
