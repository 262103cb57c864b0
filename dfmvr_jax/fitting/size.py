"""How large a head is in millimetres: in photos a large one far away looks like a small near one."""

from typing import NamedTuple

import numpy as np

from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.landmarks import LEFT_EYE, RIGHT_EYE
from dfmvr_jax.render.array_types import Float

RULER_MM = 0.5  # deviation of a distance between pupils that a user gives


class Size(NamedTuple):
    """The size of a head and how sure it is."""

    scale: float  # of the fitted head, to have its true size
    source: str  # "model" or "pupils"
    deviation: float  # standard deviation, as a share of the size


def pupil_distance(vertices: Float[np.ndarray, "vertices 3"], model: MorphableModel) -> float:
    """Distance between the middles of the eyes' landmarks, in the unit of the vertices."""
    marks = np.asarray(model.landmarks)
    right, left = (vertices[marks[list(eye)]].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE))
    return float(np.linalg.norm(left - right))


def find_size(
    vertices: Float[np.ndarray, "vertices 3"], model: MorphableModel, pupils_mm: float | None
) -> Size:
    """Size a neutral head (model units) by the distance of the pupils, or as large as the model's mean.

    What a fit makes of the size is worth less than the mean: it follows from small errors of the shape.
    The deviation is that of the model's own heads, which have the sizes of real ones.
    """
    if pupils_mm is not None:
        return Size(pupils_mm / (UNIT_MM * pupil_distance(vertices, model)), "pupils", RULER_MM / pupils_mm)
    face = np.asarray(model.skin_mask) > 0
    mean = np.asarray(model.mean_shape, np.float64)[face]
    here = centroid_size(mean)
    modes = np.moveaxis(np.asarray(model.identity_basis)[face], -1, 0)
    changes = np.array([centroid_size(mean + mode) - here for mode in modes])
    return Size(here / centroid_size(vertices[face]), "model", float(np.sqrt((changes**2).sum()) / here))


def centroid_size(points: Float[np.ndarray, "n 3"]) -> float:
    """Root of the mean square distance of points from their middle."""
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()))
