"""Cut the face out of a photo, upright and of the size the networks are trained on (docs/method.md 7)."""

import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.landmarks import WITHOUT_JAW, five_points
from dfmvr_jax.render.array_types import Float, Num, UInt8
from dfmvr_jax.render.camera import Camera

YAW_STARTS = (-0.6, 0.0, 0.6)  # radians; the fit starts from each and the best is taken
FARTHEST_LANDMARK = 10  # coordinate, in sides of the photo
SMALLEST_FACE = 16  # extent of the landmarks, pixels
LARGEST_ANGLE = 1.4  # of yaw and pitch, radians
LARGEST_SHIFT, LARGEST_ROLL, LARGEST_SCALE = 0.25, 0.7, 1.6  # sides, radians; of faces in aligned crops
LARGEST_MISFIT = 0.08  # root mean square in crop sides; real faces have about 0.01


class AlignedPhoto(NamedTuple):
    """The crop that the networks see and where it lies in the photo."""

    crop: Float[np.ndarray, "size size 3"]  # colours in [0, 1], black where it leaves the photo
    to_photo: Float[np.ndarray, "2 3"]  # pixel (x, y) of the crop -> of the photo, by `transform_points`
    to_crop: Float[np.ndarray, "2 3"]  # the inverse


class FittedPose(NamedTuple):
    """How a reference face must be turned and laid over a photo to meet landmarks in it."""

    yaw: float  # radians
    to_photo: Float[np.ndarray, "2 3"]  # pixel (x, y) of the camera's image -> of the photo
    misfit: float  # root mean square distance from the landmarks, in sides of the camera's image


def align_photo(
    photo: UInt8[np.ndarray, "h w 3"],
    landmarks: Float[np.ndarray, "n 2"] | None,
    model: MorphableModel,
    size: int,
) -> AlignedPhoto:
    """The crop in which the face lies where `face_camera(size)` would show the model's mean face.

    Args:
      photo: any size.
      landmarks: 68 or five points of the photo (`read_landmarks`); None: the photo is such a crop already
        and is only resized.
      model: whose mean face is the reference.
      size: of the crop's side, pixels. (The camera of the networks may stand elsewhere: crops are all alike.)

    Raises:
      InputError: there are no landmarks and the photo is not square, or the landmarks are not a face's.
    """
    height, width = photo.shape[:2]
    if landmarks is not None:
        check_landmarks(landmarks, width, height)
        to_photo = fit_crop(five_points(landmarks), five_points(mean_landmarks(model)), face_camera(size))
    elif height == width:
        to_photo = np.eye(2, 3) * width / size
    else:
        raise InputError(
            f"photo of {width} x {height} pixels without landmarks: expected an aligned, square crop; "
            "give 68 or 5 landmarks of the photo"
        )
    to_crop = np.linalg.inv(np.vstack([to_photo, [0, 0, 1]]))[:2]
    return AlignedPhoto(warp(photo, to_photo, size), to_photo, to_crop)


def mean_landmarks(model: MorphableModel) -> Float[np.ndarray, "68 3"]:
    """The landmarks of the model's mean face, model space."""
    return np.asarray(model.mean_shape, np.float64)[np.asarray(model.landmarks)]


def head_yaw(landmarks: Float[np.ndarray, "n 2"], model: MorphableModel) -> float:
    """How far the head is turned, radians, from 68 or five landmarks; the jaw does not count."""
    reference = mean_landmarks(model)
    if len(landmarks) == 5:
        points, reference = landmarks, five_points(reference)
    else:
        points, reference = landmarks[WITHOUT_JAW], reference[WITHOUT_JAW]
    return fit_pose(points, reference, face_camera()).yaw


def check_landmarks(landmarks: Float[np.ndarray, "n 2"], width: int, height: int) -> None:
    """Raise `InputError` where landmarks cannot be pixels of a photo of this size."""
    outside = float(np.mean(((landmarks < 0) | (landmarks > (width, height))).any(axis=1)))
    if abs(landmarks).max() > FARTHEST_LANDMARK * max(width, height):
        outside = 1.0
    (left, top), (right, bottom) = landmarks.min(axis=0), landmarks.max(axis=0)
    if outside > 0.5 or max(right - left, bottom - top) < SMALLEST_FACE:
        raise InputError(
            f"landmarks from ({left:.4g}, {top:.4g}) to ({right:.4g}, {bottom:.4g}), the photo has "
            f"{width} x {height} pixels: expected pixels of this photo, of a face of {SMALLEST_FACE} or more"
        )


def check_on_crop(landmarks: Float[np.ndarray, "n 2"], side: int, model: MorphableModel) -> None:
    """Raise `InputError` where landmarks are not about where an aligned crop of that side has a face's."""
    reference, points = five_points(mean_landmarks(model)), five_points(landmarks)
    place = fit_crop(points, reference, face_camera(side))
    (x, y), turn = transform_points(place, np.full((1, 2), side / 2))[0] / side, place[:, 0]
    scale, roll = math.hypot(*turn), abs(math.atan2(turn[1], turn[0]))
    shift = max(abs(x - 0.5), abs(y - 0.5))
    if shift > LARGEST_SHIFT or roll > LARGEST_ROLL or not 1 / LARGEST_SCALE < scale < LARGEST_SCALE:
        raise InputError(
            f"landmarks of a face around ({x * side:.0f}, {y * side:.0f}), {scale:.2g} times as large as "
            f"in an aligned crop of {side} pixels and turned by {math.degrees(roll):.0f} degrees: are they "
            "another photo's, or is it no such crop?"
        )


def fit_crop(
    points: Float[np.ndarray, "5 2"], reference: Float[np.ndarray, "5 3"], camera: Camera
) -> Float[np.ndarray, "2 3"]:
    """The similarity (never a reflection) from pixels of the crop to pixels of the photo.

    The reference, turned by yaw and pitch and projected by the camera, is brought to the points; the two
    angles are fitted along with the similarity. So crops of side views have the scale and centre that they
    have in Deep3DFaceRecon's alignment, where the 102 px of docs/method.md 7 come from. On published crops
    the frontal reference alone would shift side views by 10 px and magnify them by up to 8 %. Unlike
    there, the roll of the head is taken out.

    Args:
      points: eye centres, nose tip, mouth corners of the photo, pixels.
      reference: the same points of the mean face, model space.
      camera: that would show the reference at its place in the crop.

    Raises:
      InputError: the points are not in that order, mirrored, or not a face's.
    """
    pose = fit_pose(points, reference, camera)
    if not pose.misfit < LARGEST_MISFIT:
        raise InputError(
            f"landmarks: eye centres, nose tip and mouth corners at {np.round(points, 1).tolist()} are not a "
            "face's; expected 68 points in iBUG order or these five, the eye on the image's left first"
        )
    return pose.to_photo


def fit_pose(
    points: Float[np.ndarray, "n 2"], reference: Float[np.ndarray, "n 3"], camera: Camera
) -> FittedPose:
    """Yaw and pitch of the reference and the similarity that bring its picture nearest to the points."""
    target = points @ [1, 1j]  # a similarity of the plane is z -> a z + b in complex numbers
    ones = np.ones(len(points))

    def fit_plane(angles: np.ndarray) -> tuple[complex, complex, np.ndarray]:
        x, y, z = Rotation.from_euler("xyz", [*angles, 0]).apply(reference).T
        centre_x, centre_y = camera.principal_point
        source = centre_x + 1j * centre_y + camera.focal * (x - 1j * y) / (camera.distance - z)
        a, b = np.linalg.lstsq(np.stack([source, ones], axis=-1), target)[0]
        return a, b, a * source + b - target

    limits = [-LARGEST_ANGLE] * 2, [LARGEST_ANGLE] * 2
    fits = [
        least_squares(lambda angles: fit_plane(angles)[2].view(float), [0, yaw], bounds=limits)
        for yaw in YAW_STARTS
    ]
    angles = min(fits, key=lambda fit: fit.cost).x
    a, b, residuals = fit_plane(angles)
    scale = abs(a) * camera.image_size[0]
    misfit = np.sqrt(np.mean(np.abs(residuals) ** 2)) / scale if scale else np.inf
    to_photo = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
    return FittedPose(float(angles[1]), to_photo, float(misfit))


def transform_points(
    transform: Float[np.ndarray, "2 3"], points: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n 2"]:
    """Points (x, y) under a similarity [A | t]: A (x, y) + t."""
    return points @ transform[:, :2].T + transform[:, 2]


def warp(
    photo: Num[np.ndarray, "h w 3"], to_photo: Float[np.ndarray, "2 3"], size: int
) -> Float[np.ndarray, "size size 3"]:
    """A square crop of `size` pixels whose pixel (x, y) shows the photo at `to_photo`; black outside.

    Colours of the photo are uint8, or floats in [0, 1] as those of the crop. A photo of finer pixels than
    the crop's is averaged to at most twice as fine, then sampled bilinearly and, where it is still finer,
    averaged over 2 x 2 samples.
    """
    photo_pixels = math.sqrt(abs(np.linalg.det(to_photo[:, :2])))  # per pixel of the crop
    shrink = max(1, int(photo_pixels + 1e-6))
    photo, to_photo = _cut_out(photo, to_photo, size, shrink)
    height, width = photo.shape[0] / shrink, photo.shape[1] / shrink
    photo, to_photo = _average_blocks(photo, shrink), to_photo / shrink

    fine = math.ceil(photo_pixels / shrink - 1e-6)
    grid = (np.mgrid[: size * fine, : size * fine] + 0.5) / fine
    x, y = transform_points(to_photo, grid[::-1].reshape(2, -1).T).T
    inside = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    samples = [
        map_coordinates(c, [y - 0.5, x - 0.5], order=1, mode="nearest") for c in np.moveaxis(photo, -1, 0)
    ]
    crop = (np.stack(samples, axis=-1) * inside[:, None]).reshape(size, fine, size, fine, 3)
    return crop.mean(axis=(1, 3)).astype(np.float32)


def _cut_out(
    photo: Num[np.ndarray, "h w 3"], to_photo: Float[np.ndarray, "2 3"], size: int, block: int
) -> tuple[Num[np.ndarray, "h2 w2 3"], Float[np.ndarray, "2 3"]]:
    """The part of the photo that the crop needs, in whole blocks of pixels, and where the crop lies in it."""
    corners = transform_points(to_photo, size * np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]))
    blocks = (np.array(photo.shape[1::-1]) - 1) // block
    first = np.clip(corners.min(axis=0) // block - 1, 0, blocks).astype(int)
    last = np.clip(corners.max(axis=0) // block + 1, first, blocks).astype(int)
    (left, top), (right, bottom) = first * block, (last + 1) * block
    shift = [[0, 0, left], [0, 0, top]]
    return photo[top:bottom, left:right], to_photo - shift


def _average_blocks(photo: Num[np.ndarray, "h w 3"], side: int) -> Float[np.ndarray, "h2 w2 3"]:
    """Means over blocks of side x side pixels; the last blocks repeat the photo's last row and column."""
    missing = [-length % side for length in photo.shape[:2]]
    if any(missing):
        photo = np.pad(photo, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="edge")
    height, width = photo.shape[0] // side, photo.shape[1] // side
    # several times as fast as both at once, and no large photo is turned into floats
    rows = photo.reshape(height, side, width * side * 3).sum(axis=1, dtype=np.float32)
    white = 255 if photo.dtype == np.uint8 else 1
    return rows.reshape(height, width, side, 3).sum(axis=2) / np.float32(white * side * side)
