"""Where the points that a detector finds lie on the surface of a head model, by how the head is turned."""

import contextlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.topology import cached_file, topology
from dfmvr_jax.files import whole_file
from dfmvr_jax.landmarks import COUNT, JAW
from dfmvr_jax.render.array_types import Float, Int

SHIPPED = Path(__file__).parent / "tables"
YAWS = np.radians([-45.0, -30, -15, 0, 15, 30, 45])  # of the head, where the points are looked up
LANDMARK_MM, JAW_MM = 2.0, 8.0  # standard deviations of a user's 68 landmarks; the jaw's slide with the yaw


class PointTable(NamedTuple):
    """Points of a detector on a head model: their places, and how far they scatter about them."""

    corners: Int[np.ndarray, "yaws points 3"]  # vertices of the triangle that a point lies in
    barycentrics: Float[np.ndarray, "yaws points 3"]  # shares of these vertices
    deviation_mm: Float[np.ndarray, "yaws points"]  # standard deviation along each axis; inf: not to be used


def table_of_landmarks(model: MorphableModel) -> PointTable:
    """Make the table of iBUG's 68 landmarks, which the model has as vertices, whatever the yaw."""
    corners = np.repeat(np.asarray(model.landmarks)[:, None], 3, axis=1)
    deviation = np.full(COUNT, LANDMARK_MM)
    deviation[list(JAW)] = JAW_MM
    return PointTable(
        np.broadcast_to(corners, (len(YAWS), COUNT, 3)),
        np.broadcast_to(np.array([1.0, 0, 0]), (len(YAWS), COUNT, 3)),
        np.broadcast_to(deviation, (len(YAWS), COUNT)),
    )


def find_table(model: MorphableModel) -> PointTable | None:
    """Find the table of MediaPipe's points on a model, shipped or, whole, in the user's cache; else None."""
    for path in (SHIPPED / f"{model.name}.npz", cached_table(model)):
        if path.is_file():
            with contextlib.suppress(InputError):
                table = read_table(path, model)
                if table is not None:
                    return table
    return None


def cached_table(model: MorphableModel) -> Path:
    """Where the table of a model is kept, once it has been measured."""
    return cached_file("points", model)


def write_table(path: Path, table: PointTable, model: MorphableModel) -> None:
    """Keep a table, with what says whose it is. Raises `InputError` where that fails."""
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(
            file,
            corners=table.corners.astype(np.int32),
            barycentrics=table.barycentrics.astype(np.float16),
            deviation_mm=table.deviation_mm.astype(np.float16),
            fingerprint=str(topology(model)["fingerprint"]),
        )


def read_table(path: Path, model: MorphableModel) -> PointTable | None:
    """Read a table; None where it is another model's. Raises `InputError` where the file is damaged."""
    try:
        with path.open("rb") as stream, np.load(stream) as file:  # numpy leaves damaged files open
            if str(file["fingerprint"]) != topology(model)["fingerprint"]:
                return None
            table = PointTable(*(file[name] for name in PointTable._fields))
    except Exception as error:  # numpy and zipfile raise errors of many kinds for damaged files
        raise InputError(f"{path}: is no table of points ({one_line(error)})") from None
    barycentrics = table.barycentrics.astype(np.float64)
    barycentrics /= barycentrics.sum(axis=-1, keepdims=True)
    return PointTable(table.corners, barycentrics, table.deviation_mm.astype(np.float64))
