"""The camera that aligned photos of faces are seen by."""

import jax
import jax.numpy as jnp

from dfmvr_jax.conventions import FACE_DISTANCE
from dfmvr_jax.render.camera import Camera


def face_camera(image_size: int = 224, distance: float = FACE_DISTANCE) -> Camera:
    """Make the camera of BFM-based face work: 1015 px focal length for a 224 px image (12.59 degrees)."""
    return Camera(
        focal=1015.0 * image_size / 224,
        principal_point=(image_size / 2, image_size / 2),
        distance=distance,
        image_size=(image_size, image_size),
    )


def face_cameras(views: int, image_size: int = 224, distance: float = FACE_DISTANCE) -> Camera:
    """Make the same camera for each view: `face_camera` whose leaves have a leading axis."""
    return for_each_view(face_camera(image_size, distance), views)


def for_each_view(camera: Camera, views: int) -> Camera:
    """Repeat a camera for each view, along a leading axis of its leaves."""
    return jax.tree.map(lambda leaf: jnp.full(views, leaf, jnp.float32), camera)
