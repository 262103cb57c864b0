"""The other half of a face, for skin that no photo shows."""

from typing import NamedTuple

import cv2
import numpy as np

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.array_types import Bool, Float
from dfmvr_jax.textures.consensus import Consensus
from dfmvr_jax.textures.lookup import look_up_uv
from dfmvr_jax.textures.texels import Texels

STRETCHED = 4.0  # times as large in the texture as its mirror image: a triangle torn by a seam
BORDER = 2  # coarse texels at the border of what is mirrored, that are left out
SOFT = 2.0  # coarse texels, on which it fades
WORTH_IT = 50  # coarse texels


class Mirrored(NamedTuple):
    """What the other half of the face tells of coarse texels."""

    tone: Float[np.ndarray, "size size 3"]  # logarithm of what photos show there, divided by the model
    share: Float[np.ndarray, "size size"]  # 1 where only the other half is known


def mirror_face(model: MorphableModel, coarse: Texels, found: Consensus) -> Mirrored | None:
    """Find the texels that photos do not show, but their mirror images; None where there are hardly any."""
    if model.mirror is None:
        return None
    layers = np.dstack([found.tone * found.known[..., None], found.known])
    seen = look_up_uv(layers, coarse.spread(mirrored_uv(model)))
    whole = np.zeros(coarse.size**2, np.float32)
    whole[coarse.places] = ~torn(model)[coarse.triangles]
    share = np.maximum(seen[..., 3] - found.known, 0) * whole.reshape(coarse.size, -1)
    share = cv2.erode(share, np.ones((2 * BORDER + 1,) * 2, np.uint8))
    share = cv2.GaussianBlur(share, (0, 0), SOFT)
    if (share > 0.5).sum() < WORTH_IT:
        return None
    return Mirrored(seen[..., :3] / np.maximum(seen[..., 3:], 1e-3), share)


def mirrored_uv(model: MorphableModel) -> Float[np.ndarray, "vertices 2"]:
    """Where in the texture the mirror image of each vertex lies."""
    return vertex_uv(model)[np.asarray(model.mirror)]


def torn(model: MorphableModel) -> Bool[np.ndarray, "triangles"]:
    """Whether a triangle's mirror image lies on both sides of a seam."""
    other = mirrored_uv(model)[np.asarray(model.triangles)]
    own = np.asarray(model.uv)[np.asarray(model.uv_triangles)]
    return _extent(other) > STRETCHED * _extent(own) + 1e-3


def _extent(corners: Float[np.ndarray, "triangles 3 2"]) -> Float[np.ndarray, "triangles"]:
    return np.ptp(corners, axis=1).max(axis=1)


def vertex_uv(model: MorphableModel) -> Float[np.ndarray, "vertices 2"]:
    """A place of each vertex in the texture; those at seams have others, too."""
    uv = np.zeros((model.num_vertices, 2), np.float32)
    uv[np.asarray(model.triangles).ravel()] = np.asarray(model.uv)[np.asarray(model.uv_triangles).ravel()]
    return uv
