"""The camera of the original photo, so that a reconstructed face can be drawn into it."""

import math
from typing import NamedTuple

import numpy as np

from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.render.array_types import Float
from dfmvr_jax.render.camera import Camera


class PhotoCamera(NamedTuple):
    """A camera that looks straight at a head that is first rolled about the camera's axis."""

    camera: Camera  # of the photo's size; the principal point may lie anywhere
    roll: Float[np.ndarray, "3 3"]  # posed points are rolled by `points @ roll.T`


def photo_camera(
    camera: Camera, to_photo: Float[np.ndarray, "2 3"], image_size: tuple[int, int]
) -> PhotoCamera:
    """The camera that sees in the photo what `camera` sees in the crop.

    A similarity of the image, `to_photo` of `AlignedPhoto`, scales the focal length, moves the principal
    point and turns the image about it, which is as if the head were rolled. So this is exact.

    Args:
      camera: of the crop.
      to_photo: pixel of the crop -> of the photo.
      image_size: (height, width) of the photo.
    """
    turn = to_photo[:, :2]
    scale = math.sqrt(np.linalg.det(turn))
    x, y = turn @ camera.principal_point + to_photo[:, 2]
    cos, sin = turn[:, 0] / scale  # the image is turned clockwise, as y points down there
    roll = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    return PhotoCamera(
        Camera(float(camera.focal) * scale, (float(x), float(y)), camera.distance, image_size), roll
    )


def projection_matrix(
    view: PhotoCamera,
    rotation: Float[np.ndarray, "3 3"],
    translation: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "3 4"]:
    """From a vertex of the mesh files, (x, y, z, 1) in mm, to (x, y, 1) * depth, pixels of the photo."""
    camera = view.camera
    (x, y), f, d = camera.principal_point, camera.focal, camera.distance
    seen = np.array([[f, 0, -x, x * d], [0, -f, -y, y * d], [0, 0, -1, d]])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = view.roll @ rotation / UNIT_MM, view.roll @ translation
    return seen @ pose
