"""Poses in which all of a head is seen."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.conventions import FACE_DISTANCE
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.array_types import Array, Float

ROOM = 1.04  # around the head


class Turns(NamedTuple):
    """A pose for each view, as `Coefficients` have them."""

    rotation: Float[Array, "views 3"]
    translation: Float[Array, "views 3"]


def turn_whole_head(model: MorphableModel, yaws: Sequence[float]) -> Turns:
    """Turn a model's head by each yaw, radians, as far from `face_camera` as it takes to see all of it."""
    low, high = np.asarray(model.mean_shape).min(axis=0), np.asarray(model.mean_shape).max(axis=0)
    camera = face_camera()
    depth = ROOM * max(high[1] - low[1], high[2] - low[2]) * camera.focal / camera.image_size[0]
    away = max(0.0, depth - FACE_DISTANCE)
    middle = (low + high) / 2 * (away > 0)
    return Turns(
        rotation=jnp.array([[0.0, yaw, 0.0] for yaw in yaws]),
        translation=jnp.array([[-np.sin(yaw) * middle[2], -middle[1], -away] for yaw in yaws], jnp.float32),
    )
