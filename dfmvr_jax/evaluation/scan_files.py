"""Scans of faces from files of users."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.evaluation.metrics import Scan
from dfmvr_jax.file_names import file_beside, plain
from dfmvr_jax.files import read_text
from dfmvr_jax.first_bytes import GLB, PLY, ZIP, mismatch
from dfmvr_jax.landmarks import COUNT, REGISTRATION
from dfmvr_jax.render.array_types import Float

LANDMARK_ENDINGS = (".txt", ".npy")


def read_scan(path: Path, landmarks: Path) -> Scan:
    """A scan in millimetres and its landmarks. Raises `InputError` where a file cannot be read."""
    return Scan(read_scan_points(path), read_scan_landmarks(landmarks))


def read_scan_points(path: Path) -> Float[np.ndarray, "k 3"]:
    """The vertices of a mesh or a cloud of points (.ply, .obj, .stl, .glb ...).

    Raises `InputError` where it cannot be read.
    """
    import trimesh

    if not path.is_file():
        raise InputError(f"{path}: there is no such file; name a scan (.ply, .obj, .stl ...)")
    if other := mismatch(path, "a scan (.ply, .obj, .stl ...)", PLY, GLB, ZIP):  # .3mf is a ZIP archive
        raise InputError(f"{path}: {other}")
    try:
        if plain(path.suffix) == ".obj":  # of which trimesh would miss the first line after an editor's mark
            found: Any = trimesh.load(io.StringIO(read_text(path)), file_type="obj", process=False)
        else:
            found = trimesh.load(path, process=False)
        if isinstance(found, trimesh.Scene):
            found = found.to_mesh()
        points = np.asarray(found.vertices, np.float64).reshape(-1, 3)
    except Exception as error:  # whatever a damaged file brings about
        raise InputError(
            f"{path}: cannot be read as a scan ({one_line(error)}); give .ply, .obj or .stl"
        ) from None
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        raise InputError(f"{path}: has no points")
    return points


def scan_landmarks_beside(path: Path) -> Path | None:
    """The file of a scan's landmarks that lies beside it and has its name.

    Raises `InputError` where there are several.
    """
    return file_beside(path, LANDMARK_ENDINGS, "landmarks")


def read_scan_landmarks(path: Path) -> Float[np.ndarray, "7 3"]:
    """The seven landmarks that scans are registered by (docs/conventions.md), from a file of them or of 68.

    Text has a line `x y z` for each, `.npy` holds the array; in the scan's frame and unit. Raises
    `InputError` where the file holds anything else.
    """
    wanted = f"{len(REGISTRATION)} or {COUNT} points x y z (a line each in text files)"
    try:
        if plain(path.suffix) == ".npy":
            with path.open("rb") as file:  # numpy leaves damaged files open
                points = np.load(file)
        else:
            points = np.loadtxt(io.StringIO(read_text(path)), ndmin=2)
        points = np.asarray(points, np.float64)
    except Exception as error:  # whatever a damaged file brings about
        raise InputError(
            f"{path}: cannot be read as landmarks of a scan ({one_line(error)}); expected {wanted}"
        ) from None
    if points.shape == (COUNT, 3):
        points = points[list(REGISTRATION)]
    if points.shape != (len(REGISTRATION), 3) or not np.isfinite(points).all():
        raise InputError(f"{path}: holds an array of shape {points.shape}; expected {wanted}, all finite")
    return points
