"""A reconstructed face on the photo it came from: where it is, how well it fits, and a picture of it."""

import dataclasses
import math
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from dfmvr_jax import landmarks
from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_rendering import Face
from dfmvr_jax.geometry import rotation_matrix
from dfmvr_jax.photos.alignment import transform_points
from dfmvr_jax.photos.photo_camera import photo_camera, projection_matrix
from dfmvr_jax.photos.preparation import PreparedPhoto
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.render import MeshEdges, render_mesh
from dfmvr_jax.render.array_types import Array, Float, UInt8
from dfmvr_jax.render.camera import Camera, project

LARGEST_PICTURE = 1600  # pixels of the longer side; larger photos are shrunk by a whole number


@dataclasses.dataclass(frozen=True, eq=False)
class FaceInPhoto:
    """The camera of a photo and the face before it. Pixels are those of the photo, upright."""

    view: str  # left, front or right
    file: Path
    crop_pixel_to_photo_pixel: Float[np.ndarray, "2 3"]
    focal_px: float
    principal_point_px: tuple[float, float]
    # times a vertex of the mesh in mm, (x, y, z, 1): (x, y, 1) times the depth
    vertex_mm_to_photo_pixel: Float[np.ndarray, "3 4"]
    yaw_degrees: float | None  # of the head, by the landmarks of the photo; None: they are not known
    landmark_error_px: float | None  # mean distance of the face's 68 landmarks from the photo's
    landmark_error_of_eye_distance: float | None  # by the outer eye corners' distance, seen frontally
    doubt: str | None  # in words: whether the landmarks are the person's; None: there is none

    def as_json(self) -> dict:
        """Give what is known as JSON has it, but for the view."""
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "view" and getattr(self, field.name) is not None
        }
        return {name: _plain(value) for name, value in values.items()} | {"file": str(self.file)}


def _plain(value: object) -> object:
    """Arrays and tuples as the lists that JSON has."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def find_in_photo(
    model: MorphableModel,
    camera: Camera,
    coefficients: Coefficients,
    face: Face,
    view: int,
    photo: PreparedPhoto,
) -> FaceInPhoto:
    """Work out the camera of a photo and, where 68 landmarks are known, how far the face's are from them.

    Args:
      model: of the face.
      camera: of the crop.
      coefficients: of the face.
      face: posed for all views.
      view: number of the photo's in `VIEWS`.
      photo: with the crop.
    """
    aligned = photo.aligned
    seen = photo_camera(camera, aligned.to_photo, photo.photo.shape[:2])
    rotation = np.asarray(rotation_matrix(coefficients.rotation[view]), np.float64)
    translation = np.asarray(coefficients.translation[view], np.float64)
    error_px = error_of_eye_distance = None
    if photo.landmarks is not None and len(photo.landmarks) == landmarks.COUNT:
        points = face.posed[view][model.landmarks]
        pixels = transform_points(aligned.to_photo, np.asarray(project(camera, points), np.float64))
        error_px = float(np.linalg.norm(pixels - photo.landmarks, axis=1).mean())
        left, right = np.asarray(points)[list(landmarks.OUTER_EYE_CORNERS)]
        depth = camera.distance - (left + right)[2] / 2
        eye_distance = seen.camera.focal * float(np.linalg.norm(left - right) / depth)
        error_of_eye_distance = float(error_px / eye_distance)
    centre_x, centre_y = seen.camera.principal_point
    return FaceInPhoto(
        view=VIEWS[view],
        file=photo.file.path,
        crop_pixel_to_photo_pixel=aligned.to_photo,
        focal_px=float(seen.camera.focal),
        principal_point_px=(float(centre_x), float(centre_y)),
        vertex_mm_to_photo_pixel=projection_matrix(seen, rotation, translation),
        yaw_degrees=None if photo.yaw is None else math.degrees(photo.yaw),
        landmark_error_px=error_px,
        landmark_error_of_eye_distance=error_of_eye_distance,
        doubt=photo.doubt or None,
    )


def draw_on_photo(
    model: MorphableModel,
    edges: MeshEdges,
    camera: Camera,
    posed: Float[Array, "vertices 3"],
    colors: Float[Array, "vertices 3"],
    photo: PreparedPhoto,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the face over its photo, seen by the camera of the photo.

    Args:
      model: of the face.
      edges: of its mesh.
      camera: of the crop.
      posed: vertices before the crop's camera, model units.
      colors: of the lit face.
      photo: with the crop.
    """
    shrink = math.ceil(max(photo.photo.shape[:2]) / LARGEST_PICTURE)
    picture = np.asarray(Image.fromarray(photo.photo).reduce(shrink))
    seen = photo_camera(camera, photo.aligned.to_photo / shrink, picture.shape[:2])
    drawn = jax.jit(render_mesh)(
        seen.camera,
        posed @ seen.roll.T.astype(np.float32),
        colors,
        model.triangles,
        edges,
    )
    image, coverage = np.clip(drawn.image, 0, 1), np.asarray(drawn.coverage)[..., None]
    return to_uint8(image + (1 - coverage) * picture / np.float32(255))
