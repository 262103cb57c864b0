"""Hair, which head models do not have: where it may lie on the skin, and its colour."""

import math
from collections.abc import Sequence

import numpy as np

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.landmarks import OUTER_EYE_CORNERS
from dfmvr_jax.render.array_types import Float
from dfmvr_jax.textures.consensus import log_ratio
from dfmvr_jax.textures.surface import Surface
from dfmvr_jax.textures.views import View

BROWS, MOUTH = slice(17, 27), slice(48, 60)  # iBUG's
ABOVE_MM, BESIDE_MM, STARTS_MM = 25.0, 15.0, 5.0
SOFT_MM = 6.0  # of the scalp's border
SEEN = 0.3  # cosine from which on a photo shows the hair's colour
FEWEST = 200  # coarse texels that show it
DARKEST, BRIGHTEST = -2.0, 0.4  # logarithms of what hair is to the scalp


def may_be_hair(surface: Surface) -> Float[np.ndarray, "vertices"]:
    """1 on the upper forehead, at the temples and beyond, 0 in the midst of the face."""
    vertices_mm = surface.vertices_mm
    marks = vertices_mm[np.asarray(surface.model.landmarks)]
    corners = marks[list(OUTER_EYE_CORNERS), 0]
    x, y, _ = vertices_mm.T
    above = (y - marks[BROWS, 1].mean()) / ABOVE_MM
    beside = (np.abs(x - corners.mean()) - np.ptp(corners) / 2 - STARTS_MM) / BESIDE_MM
    beside[y < marks[MOUTH, 1].mean()] = 0  # a beard belongs to the face
    return np.clip(np.maximum(above, beside), 0, 1)


def scalp(surface: Surface) -> Float[np.ndarray, "vertices"]:
    """1 on the scalp, 0 elsewhere, with a soft border."""
    triangles = np.asarray(surface.model.triangles)
    share = (np.asarray(surface.model.part_labels) == HEAD_PARTS.index("scalp")).astype(float)
    border = triangles[np.ptp(share[triangles], axis=1) > 0]
    if not len(border):
        return share
    corners = surface.vertices_mm[border]
    edge = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1).mean()
    count = np.maximum(np.bincount(triangles.ravel(), minlength=len(share)), 1)
    for _ in range(math.ceil((SOFT_MM / edge) ** 2)):  # a round spreads it by less than an edge
        around = np.repeat(share[triangles].mean(axis=1), 3)
        share = np.bincount(triangles.ravel(), around, len(share)) / count
    return share


def hair_tone(
    views: Sequence[View],
    shading: Sequence[Float[np.ndarray, "size size 3"]],
    by_model: Float[np.ndarray, "size size 3"],
    on_scalp: Float[np.ndarray, "size size"],
) -> Float[np.ndarray, "3"] | None:
    """The usual tone of what photos show where the model has its scalp; None where they do not show it."""
    tones = []
    for view, light in zip(views, shading):
        seen = (on_scalp > 0.95) & (view.squarely > SEEN)
        grey = light[seen].mean(axis=-1, keepdims=True)  # its colour is not known there
        tones.append(log_ratio(view.color[seen], np.tile(grey, 3), by_model[seen]))
    tone = np.concatenate(tones)
    if len(tone) < FEWEST:
        return None
    return np.clip(np.median(tone, axis=0), DARKEST, BRIGHTEST)
