"""What is written of a head."""

from typing import NamedTuple

import numpy as np

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.array_types import Float


class PhotoCamera(NamedTuple):
    """The camera of a photo, before the head in model space. Pixels are those of the photo, upright."""

    name: str
    size_px: tuple[int, int]  # width, height
    focal_px: float
    principal_point_px: tuple[float, float]
    vertex_mm_to_photo_pixel: Float[np.ndarray, "3 4"]  # times (x, y, z, 1): (x, y, 1) times the depth


class Head(NamedTuple):
    """A head of a head model, its expressions in photos, and their cameras. Axes: docs/conventions.md."""

    model: MorphableModel
    unit_mm: float  # millimetres in a unit of the model, of its expressions too
    neutral_mm: Float[np.ndarray, "vertices 3"]
    mesh_mm: Float[np.ndarray, "vertices 3"]  # of the files without expressions
    colors: Float[np.ndarray, "vertices 3"]  # of the skin without light, sRGB in [0, 1], may lie beyond
    photographed_mm: dict[str, Float[np.ndarray, "vertices 3"]]  # by name, with the expression of a photo
    opens_as: str | None  # which of them a file with expressions shows first; None: neutral
    cameras: tuple[PhotoCamera, ...] = ()
