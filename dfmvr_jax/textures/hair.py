"""Hair, which head models do not have: where it may lie on the skin, and its colour."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.landmarks import OUTER_EYE_CORNERS
from dfmvr_jax.render.array_types import Float
from dfmvr_jax.textures.consensus import TINY
from dfmvr_jax.textures.surface import Surface
from dfmvr_jax.textures.tone import smoothed, spread_tone
from dfmvr_jax.textures.views import View

BROWS, MOUTH = slice(17, 27), slice(48, 60)  # iBUG's
ABOVE_MM, BESIDE_MM, STARTS_MM = 25.0, 15.0, 5.0
SOFT_MM, EDGE = 12.0, (0.25, 0.75)  # of the scalp's ragged border, and what is left of that
SEEN = 0.3  # cosine from which on a photo shows the hair's colour
FEWEST = 200  # coarse texels that show it
LIKE_SKIN = 0.35  # difference of logarithms up to which it is no hair
BALD = 0.85  # share of the scalp that is skin
LIGHTEST = 0.9  # colour of hair


class Hair(NamedTuple):
    """What grows on a scalp."""

    color: Float[np.ndarray, "3"] | None  # without light; None: none is seen
    bald: bool


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
    share = (np.asarray(surface.model.part_labels) == HEAD_PARTS.index("scalp")).astype(float)
    triangles = np.asarray(surface.model.triangles)
    share = smoothed(surface.vertices_mm, triangles, share[:, None], SOFT_MM)[:, 0]
    return np.clip((share - EDGE[0]) / (EDGE[1] - EDGE[0]), 0, 1)


def hair_on_scalp(
    surface: Surface,
    on_scalp: Float[np.ndarray, "size size"],
    views: Sequence[View],
    shading: Sequence[Float[np.ndarray, "size size 3"]],
    usual: Float[np.ndarray, "3"],
) -> Hair:
    """Find what photos show where the model has its scalp; `usual` is the skin's tone."""
    colors = []
    for view, light in zip(views, shading):
        seen = (on_scalp > 0.95) & (view.squarely > SEEN)
        hue = np.median(view.shading[surface.face > 0.5], axis=0)  # light on hair has the face's colour
        light = light[seen].mean(axis=-1, keepdims=True) * hue / hue.mean()
        colors.append(view.color[seen] / np.float32(255) / light)
    color = np.concatenate(colors)
    if len(color) < FEWEST:
        return Hair(None, False)
    skin = np.median(surface.colors[np.asarray(surface.model.skin_mask) > 0.5], axis=0) * np.exp(usual)
    is_skin = np.abs(np.log((color + TINY) / (skin + TINY))).mean(axis=1) < LIKE_SKIN
    if is_skin.mean() > BALD:
        return Hair(None, True)
    return Hair(np.median(color[~is_skin], axis=0).clip(0, LIGHTEST), False)


def without_hair(
    surface: Surface, of_scalp: Float[np.ndarray, "vertices"]
) -> Float[np.ndarray, "vertices 3"]:
    """The colours of a head whose scalp goes on as the skin around it."""
    colors, triangles = np.log(surface.colors.clip(0) + TINY), np.asarray(surface.model.triangles)
    usual = np.median(colors[np.asarray(surface.model.skin_mask) > 0.5], axis=0)
    there = triangles[(of_scalp[triangles] > 0).any(axis=1)]
    rows, numbers = np.unique(there, return_inverse=True)
    known, old = (of_scalp[rows] < 0.01).astype(float), colors[rows]
    smooth = spread_tone(
        surface.vertices_mm[rows], numbers.reshape(-1, 3), old, known, np.tile(usual, (len(rows), 1))
    )
    colors[rows] += of_scalp[rows, None] * (smooth - old)
    return np.exp(colors) - TINY
