"""Photos as a fit takes them: the face found in each, its points, the crop around them, and its camera."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.fitting.config import FitConfig
from dfmvr_jax.landmarks import COUNT, WITHOUT_JAW
from dfmvr_jax.photos.alignment import (
    LARGEST_MISFIT,
    FittedPose,
    check_landmarks,
    fit_pose,
    mean_landmarks,
    warp,
)
from dfmvr_jax.photos.detection import Detector
from dfmvr_jax.photos.exif import EXIF, FOCAL_LENGTH_ON_FILM, MAKER, MODEL, exif_tag
from dfmvr_jax.photos.faces import FoundFace, as_large, by_size, doubt_of, numbered_face
from dfmvr_jax.photos.given_points import confirm_points
from dfmvr_jax.photos.landmark_files import read_landmarks
from dfmvr_jax.photos.preparation import PhotoFile, naming
from dfmvr_jax.photos.reading import open_photo
from dfmvr_jax.render.array_types import Float, UInt8

FILM_MM = 43.27  # diagonal of the film that focal lengths "in 35 mm film" speak of
SHOWN = 1600  # pixels of the longer side of the pictures that show a photo
SMALLEST_FACE = 40  # pixels from one side to the other; below it nothing is seen of the person
HEAD_ROOM = 1.9  # side of what is kept of a photo in full resolution, in sides of the points' box
FULL = 1600  # pixels of that box's side beyond which no texture gets sharper


class CameraOfPhoto(NamedTuple):
    """What a photo's file says of the camera that took it."""

    key: tuple  # photos of the same camera and focal length have the same
    focal: float | None  # in longer sides of the photo; None: the file does not say


class HeadPicture(NamedTuple):
    """What a photo shows of the head and close around it, as sharp as textures need it."""

    pixels: UInt8[np.ndarray, "h w 3"]
    corner: tuple[int, int]  # left, top; pixels of the photo
    shrink: int  # pixels of the photo to one of the picture


class FittingPhoto(NamedTuple):
    """A photo and the face in it."""

    path: Path
    size: tuple[int, int]  # height, width
    camera: CameraOfPhoto
    face: FoundFace  # points in pixels of the photo
    pose: FittedPose  # a first guess
    crop: Float[np.ndarray, "size size 3"]
    crop_to_photo: Float[np.ndarray, "2 3"]  # pixel of the crop -> of the photo: a scale and a shift
    picture: UInt8[np.ndarray, "h w 3"]  # the photo, shrunk to at most `SHOWN` pixels
    head: HeadPicture
    doubt: str = ""  # in words: whether the face, or its points, are the person's

    @property
    def points(self) -> Float[np.ndarray, "points 2"]:
        """MediaPipe's, or else the 68 landmarks; pixels of the photo."""
        return self.face.landmarks if self.face.mesh is None else self.face.mesh


def read_fitting_photo(
    file: PhotoFile,
    get_detector: Callable[[], Detector],
    model: MorphableModel,
    config: FitConfig,
    face: int | None = None,
) -> list[FittingPhoto]:
    """Read a photo and find the faces in it that may be meant, the largest first.

    That is the one whose landmarks are given, or that of the number where there are several, or all that are
    at least half as large as the largest. Raises `InputError` where the photo cannot be read, no such face is
    found in it, or none where its landmarks are.
    """
    photo = file.read(file.path)
    camera = camera_of_photo(file.path, photo.shape[:2])
    with naming(file.path):
        if file.landmarks:
            faces = [_given_face(read_landmarks(file.landmarks), photo, get_detector)]
        else:
            faces = _found_faces(photo, get_detector(), face)
        shrink = math.ceil(max(photo.shape[:2]) / SHOWN)
        picture = np.asarray(Image.fromarray(photo).reduce(shrink))
        read = [
            _with_face(file.path, photo, camera, found, doubt, picture, model, config)
            for found, doubt in faces
        ]
        if file.landmarks and not read[0].pose.misfit < LARGEST_MISFIT:
            raise InputError("its landmarks are not a face's; expected 68 points in iBUG order, or five")
        return read


def _found_faces(
    photo: UInt8[np.ndarray, "h w 3"], detector: Detector, number: int | None
) -> list[tuple[FoundFace, str]]:
    """Faces that may be meant, each with a doubt whether it is, or nothing."""
    found = [one for one in by_size(detector(photo)) if np.ptp(one.landmarks[:, 0]) >= SMALLEST_FACE]
    if not found:
        raise InputError(
            f"no face found; is it upright and well lit, larger than {SMALLEST_FACE} pixels, and not in "
            "profile?"
        )
    if number is not None:
        return [(numbered_face(found, number) if len(found) > 1 else found[0], "")]
    faces = as_large(found)
    return [(face, doubt_of(place, len(faces))) for place, face in enumerate(faces, 1)]


def _given_face(
    landmarks: Float[np.ndarray, "n 2"],
    photo: UInt8[np.ndarray, "h w 3"],
    get_detector: Callable[[], Detector],
) -> tuple[FoundFace, str]:
    """The face of given landmarks, and what speaks against these; five say too little of a face."""
    seen, doubt = confirm_points(landmarks, photo, get_detector)
    check_landmarks(landmarks, photo.shape[1], photo.shape[0])
    if len(landmarks) == COUNT:
        return FoundFace(landmarks, 1.0), doubt
    if seen is None:
        raise InputError("no face found where its five landmarks are; give all 68 in a file")
    return seen, ""


def _with_face(path, photo, camera, face, doubt, picture, model, config) -> FittingPhoto:
    points = face.landmarks if face.mesh is None else face.mesh
    low, high = points.min(axis=0), points.max(axis=0)
    scale = config.crop_room * (high - low).max() / config.crop_size
    corner = (low + high) / 2 - scale * config.crop_size / 2
    crop_to_photo = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
    pose = fit_pose(
        face.landmarks[WITHOUT_JAW], mean_landmarks(model)[WITHOUT_JAW], face_camera(config.crop_size)
    )
    return FittingPhoto(
        path=path,
        size=photo.shape[:2],
        camera=camera,
        face=face,
        pose=pose,
        crop=warp(photo, crop_to_photo, config.crop_size),
        crop_to_photo=crop_to_photo,
        picture=picture,
        head=cut_head(photo, points),
        doubt=doubt,
    )


def cut_head(photo: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "points 2"]) -> HeadPicture:
    """Cut out the surroundings of a face's points, shrunk by a whole number where they are large."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max())
    shrink = math.ceil(side / FULL)
    size = np.array(photo.shape[1::-1])
    left, top = np.clip(np.floor((low + high) / 2 - HEAD_ROOM / 2 * side), 0, size - 1).astype(int).tolist()
    right, bottom = np.clip(np.ceil((low + high) / 2 + HEAD_ROOM / 2 * side), (left + 1, top + 1), size)
    cut = Image.fromarray(photo[top : int(bottom), left : int(right)])
    return HeadPicture(np.array(cut.reduce(shrink)), (left, top), shrink)


def camera_of_photo(path: Path, size: tuple[int, int]) -> CameraOfPhoto:
    """What EXIF says of the camera; without it, photos of one size are taken for one camera's."""
    sides = tuple(sorted(size))
    try:
        with open_photo(path) as image:
            names = exif_tag(image, MAKER), exif_tag(image, MODEL)
            film = exif_tag(image, FOCAL_LENGTH_ON_FILM, EXIF)
    except InputError:  # a photo that is no file
        return CameraOfPhoto(sides, None)
    try:
        millimetres = float(film or 0)
    except (TypeError, ValueError):
        millimetres = 0.0
    if not 8 <= millimetres <= 1200:  # 0: the camera does not know
        return CameraOfPhoto((*sides, *names), None)
    return CameraOfPhoto((*sides, *names, millimetres), focal_of_film(millimetres, size))


def focal_of_film(millimetres: float, size: tuple[int, int]) -> float:
    """The focal length, in longer sides of a photo, of a lens that shows as much as this one does on film."""
    return millimetres / FILM_MM * math.hypot(*size) / max(size)
