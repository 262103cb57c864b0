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
    """Size a neutral head (model units) by the distance of the pupils, or leave it as the model has it.

    The model's heads have the sizes of real ones, so its own spread of pupil distances is the deviation.
    """
    if pupils_mm is not None:
        return Size(pupils_mm / (UNIT_MM * pupil_distance(vertices, model)), "pupils", RULER_MM / pupils_mm)
    mean = np.asarray(model.mean_shape)
    here = pupil_distance(mean, model)
    modes = np.moveaxis(np.asarray(model.identity_basis), -1, 0)
    changes = np.array([pupil_distance(mean + mode, model) - here for mode in modes])
    return Size(1.0, "model", float(np.sqrt((changes**2).sum()) / here))
