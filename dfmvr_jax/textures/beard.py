"""Skin beyond the face's outline, under the jaw and beside it: beards go on there, and collars begin."""

import cv2
import numpy as np
from scipy.spatial import cKDTree

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.landmarks import OUTER_EYE_CORNERS
from dfmvr_jax.render.array_types import Float
from dfmvr_jax.textures.surface import Surface

REACH_MM = 25.0  # from the face's border
FADING = 1.5  # of that, the last two thirds fade
BELOW_EYES_MM = 20.0  # on which it begins
PARTS = ("face skin", "neck")
NEAR = 8.0  # coarse texels, over which the face's border tells how skin looks beyond it
SMOOTH = 1.5  # coarse texels, of what is compared
LIKE = 0.3  # difference of logarithms beyond which a colour is hardly of the same skin


def beside_face(surface: Surface) -> Float[np.ndarray, "vertices"]:
    """1 at the face's border from the ears down, falling to 0 some way from it; 0 on the face itself."""
    vertices_mm, face = surface.vertices_mm, surface.face > 0.99
    if not face.any():
        return np.zeros(len(face))
    eyes = vertices_mm[np.asarray(surface.model.landmarks)[list(OUTER_EYE_CORNERS)], 1].mean()
    skin = np.isin(surface.model.part_labels, [HEAD_PARTS.index(part) for part in PARTS])
    beside = skin * ~face * np.clip((eyes - vertices_mm[:, 1]) / BELOW_EYES_MM, 0, 1)
    there = beside > 0
    away = cKDTree(vertices_mm[face]).query(vertices_mm[there], distance_upper_bound=REACH_MM)[0]
    beside[there] *= np.clip(FADING * (1 - away / REACH_MM), 0, 1)
    return beside


def like_its_border(
    tone: Float[np.ndarray, "size size 3"], known: Float[np.ndarray, "size size"]
) -> Float[np.ndarray, "size size"]:
    """How much texels look like the nearest that are known: 0 to 1."""
    layers = cv2.GaussianBlur(np.dstack([tone * known[..., None], known]), (0, 0), NEAR)
    border = layers[..., :3] / np.maximum(layers[..., 3:], 1e-4)
    strange = ((cv2.GaussianBlur(tone, (0, 0), SMOOTH) - border) ** 2).mean(axis=-1) / LIKE**2
    return (layers[..., 3] > 1e-3) / (1 + strange) ** 2
