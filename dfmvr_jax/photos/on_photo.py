"""A reconstructed face on the photo it came from: drawn, and measured by the landmarks."""

import math

import jax
import numpy as np
from PIL import Image

from dfmvr_jax import landmarks
from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.geometry import rotation_matrix
from dfmvr_jax.photos.alignment import transform_points
from dfmvr_jax.photos.photo_camera import photo_camera, projection_matrix
from dfmvr_jax.photos.preparation import PreparedPhoto
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.reconstruction import Face
from render import MeshEdges, render_mesh
from render.array_types import UInt8
from render.camera import Camera, project

LARGEST_PICTURE = 1600  # pixels of the longer side; larger photos are shrunk by a whole number


def draw_on_photo(
    model: MorphableModel, edges: MeshEdges, camera: Camera, face: Face, view: int, photo: PreparedPhoto
) -> UInt8[np.ndarray, "h w 3"]:
    """The photo with the face over it, seen by the camera of the photo.

    Args:
      model: of the face.
      edges: of its mesh.
      camera: of the crop.
      face: posed and lit for all views.
      view: number of the photo's in `VIEWS`.
      photo: with the crop.
    """
    shrink = math.ceil(max(photo.photo.shape[:2]) / LARGEST_PICTURE)
    picture = np.asarray(Image.fromarray(to_uint8(photo.photo)).reduce(shrink))
    of_photo = photo_camera(camera, photo.aligned.to_photo / shrink, picture.shape[:2])
    drawn = jax.jit(render_mesh)(
        of_photo.camera,
        face.posed[view] @ of_photo.roll.T.astype(np.float32),
        face.colors[view],
        model.triangles,
        edges,
    )
    image, coverage = np.clip(drawn.image, 0, 1), np.asarray(drawn.coverage)[..., None]
    return to_uint8(image + (1 - coverage) * picture / np.float32(255))


def report_on_photo(
    model: MorphableModel,
    camera: Camera,
    coefficients: Coefficients,
    face: Face,
    view: int,
    photo: PreparedPhoto,
) -> dict:
    """The camera of the photo and, where 68 landmarks are known, how far the face's are from them.

    Arguments are those of `draw_on_photo`. The distance is the mean over the 68, in pixels of the photo and
    as a share of the distance of the outer eye corners as it would look from the front.
    """
    aligned = photo.aligned
    of_photo = photo_camera(camera, aligned.to_photo, photo.photo.shape[:2])
    rotation = np.asarray(rotation_matrix(coefficients.rotation[view]), np.float64)
    translation = np.asarray(coefficients.translation[view], np.float64)
    report = {
        "file": str(photo.file.path),
        "crop_pixel_to_photo_pixel": aligned.to_photo.tolist(),
        "focal_px": of_photo.camera.focal,
        "principal_point_px": list(of_photo.camera.principal_point),
        "vertex_mm_to_photo_pixel": projection_matrix(of_photo, rotation, translation).tolist(),
    }
    if photo.yaw is not None:
        report["yaw_degrees"] = math.degrees(photo.yaw)
    if photo.landmarks is not None and len(photo.landmarks) == landmarks.COUNT:
        points = face.posed[view][model.landmarks]
        pixels = transform_points(aligned.to_photo, np.asarray(project(camera, points), np.float64))
        error = np.linalg.norm(pixels - photo.landmarks, axis=1).mean()
        left, right = np.asarray(points)[list(landmarks.OUTER_EYE_CORNERS)]
        depth = camera.distance - (left + right)[2] / 2
        eye_distance = of_photo.camera.focal * float(np.linalg.norm(left - right) / depth)
        report["landmark_error_px"] = float(error)
        report["landmark_error_of_eye_distance"] = float(error / eye_distance)
    return report
