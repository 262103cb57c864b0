"""One picture of a reconstruction: photos, overlays, and the face turned to three sides."""

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_rendering import Rendering, render_coefficients
from dfmvr_jax.pictures import enlarge, overlay, tile, to_uint8
from dfmvr_jax.render.array_types import Bool, Float, UInt8

TURNTABLE_YAW = (-45.0, 0.0, 45.0)  # degrees; of the turned face
EVEN_LIGHT = 0.3  # of band 2 there: a little more from the front


def draw_overview(
    model: MorphableModel,
    coefficients: Coefficients,
    crops: Float[np.ndarray, "views h w 3"],
    given: Bool[np.ndarray, "views"],
    rendering: Rendering,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Draw photos, the face laid over them, and the face from three sides under even light.

    Args:
      model: of the face.
      coefficients: of the face.
      crops: the photos as the network saw them, colours in [0, 1].
      given: which of them there are; the others are left white.
      rendering: of the face over the crops.
    """
    yaw = np.radians(TURNTABLE_YAW).astype(np.float32)
    turntable = coefficients._replace(
        light=jnp.zeros_like(coefficients.light).at[:, 2].set(EVEN_LIGHT),
        rotation=jnp.stack([jnp.zeros(3), jnp.asarray(yaw), jnp.zeros(3)], axis=-1),
        translation=jnp.zeros_like(coefficients.translation),
    )
    cameras = face_cameras(len(TURNTABLE_YAW))
    _, turned = jax.jit(render_coefficients)(model, cameras, turntable)
    photos = to_uint8(crops)
    overlays = [
        overlay(photo, to_uint8(np.asarray(image)), np.asarray(mask))
        for photo, image, mask in zip(photos, rendering.images, rendering.masks)
    ]
    faces = [
        overlay(np.full_like(image, 255), image, mask)
        for image, mask in zip(to_uint8(np.asarray(turned.images)), np.asarray(turned.masks))
    ]
    rows = [
        [enlarge(picture if there else np.full_like(picture, 255)) for picture, there in zip(row, given)]
        for row in (photos, overlays)
    ]
    return tile([*rows, faces], ("photos", "overlay", "face"), VIEWS)
