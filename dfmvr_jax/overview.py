"""One picture of a reconstruction: photos, overlays, and the head turned to three sides."""

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_rendering import Rendering, render_coefficients
from dfmvr_jax.pictures import enlarge, halve, overlay, tile, to_uint8
from dfmvr_jax.render import mesh_edges
from dfmvr_jax.render.array_types import Bool, Float, UInt8
from dfmvr_jax.turntable import turn_whole_head

TURNTABLE_YAW = (-45.0, 0.0, 45.0)  # degrees; of the turned head
HEAD_SIZE = 224  # px, of each view of the turned head
EVEN_LIGHT = 0.3  # of band 2 there: a little more from the front


def draw_overview(
    model: MorphableModel,
    coefficients: Coefficients,
    crops: Float[np.ndarray, "views h w 3"],
    given: Bool[np.ndarray, "views"],
    rendering: Rendering,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Draw photos, the face laid over them, and the head from three sides under even light.

    Args:
      model: of the face.
      coefficients: of the face.
      crops: the photos as the network saw them, colours in [0, 1].
      given: which of them there are; the others are left white.
      rendering: of the face over the crops.
    """
    turntable = coefficients._replace(
        light=jnp.zeros_like(coefficients.light).at[:, 2].set(EVEN_LIGHT),
        **turn_whole_head(model, np.radians(TURNTABLE_YAW).tolist())._asdict(),
    )
    cameras = face_cameras(len(TURNTABLE_YAW), 2 * HEAD_SIZE)
    edges = mesh_edges(model.triangles)
    _, turned = jax.jit(render_coefficients)(model, cameras, turntable, None, edges)
    photos = to_uint8(crops)
    overlays = [
        overlay(photo, to_uint8(np.asarray(image)), np.asarray(mask))
        for photo, image, mask in zip(photos, rendering.images, rendering.masks)
    ]
    on_white = halve(turned.images + 1 - turned.coverage[..., None])  # drawn at twice the size: soft outlines
    heads = list(to_uint8(np.asarray(on_white)))
    rows = [
        [enlarge(picture if there else np.full_like(picture, 255)) for picture, there in zip(row, given)]
        for row in (photos, overlays)
    ]
    return tile([*rows, heads], ("photos", "overlay", "head"), VIEWS)
