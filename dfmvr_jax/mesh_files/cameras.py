"""Cameras of photos as 3D programs have them: a place, a direction, and the middle of the picture."""

import math
from typing import NamedTuple

import numpy as np

from dfmvr_jax.mesh_files.head import PhotoCamera
from dfmvr_jax.render.array_types import Float


class PlacedCamera(NamedTuple):
    """A camera in model space that looks along its own -z, y up, straight at the middle of its picture."""

    rotation: Float[np.ndarray, "3 3"]  # the camera's axes in its columns
    position_mm: Float[np.ndarray, "3"]
    vertical_view: float  # radians, from the lower to the upper border
    aspect: float  # width by height


def place_camera(camera: PhotoCamera) -> PlacedCamera:
    """Place a photo's camera.

    Its picture is the photo where the principal point is the photo's middle. Else it is the photo with a
    border at one side, and at the top or the bottom, that puts it there.
    """
    (x, y), focal, (width, height) = camera.principal_point_px, camera.focal_px, camera.size_px
    seen = np.array([[focal, 0, -x], [0, -focal, -y], [0, 0, -1]])
    pose = np.linalg.solve(seen, camera.vertex_mm_to_photo_pixel)
    pose /= np.cbrt(np.linalg.det(pose[:, :3]))  # depths may be of any unit
    half_width, half_height = max(x, width - x), max(y, height - y)
    return PlacedCamera(
        rotation=pose[:, :3].T,
        position_mm=-pose[:, :3].T @ pose[:, 3],
        vertical_view=2 * math.atan2(half_height, focal),
        aspect=half_width / half_height,
    )
