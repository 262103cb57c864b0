"""How dark it is within a mouth, by how far its lips are apart.

Our pictures have no shadows: without this, teeth would shine through lips that hardly part.
"""

import numpy as np

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.array_types import Bool, Float, Int

FACING = (61, 62, 63), (67, 66, 65)  # iBUG's points of the upper lip, and of the lower lip beneath them
WIDE_MM = 6.0  # that lips are apart and let all light in
DARKEST = 0.15  # share of the light that there is between closed ones
INSIDE = ("mouth", "teeth")


def inside_mouth(model: MorphableModel) -> Bool[np.ndarray, "vertices"]:
    """Which vertices are of what lies behind the lips."""
    return np.isin(model.part_labels, [HEAD_PARTS.index(part) for part in INSIDE])


def facing_lips(model: MorphableModel) -> Int[np.ndarray, "2 points"]:
    """Vertices of the upper lip, and of the lower one beneath them."""
    return np.asarray(model.landmarks)[np.array(FACING)]


def mouth_light(
    model: MorphableModel, vertices_mm: Float[np.ndarray, "vertices 3"]
) -> Float[np.ndarray, "vertices"]:
    """Share of the light that falls on each vertex of a head: 1 outside of the mouth."""
    upper, lower = vertices_mm[facing_lips(model), 1]
    light = np.clip((upper - lower).max() / WIDE_MM, DARKEST, 1)
    return np.where(inside_mouth(model), light, 1.0)
