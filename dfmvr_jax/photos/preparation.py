"""One path from a photo to what the networks see, for reconstructions and for data sets.

Find the face and its landmarks, see whether they will do, cut the face out, and tell which view it is.
"""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.file_names import by_plain_name, file_beside, list_names, plain
from dfmvr_jax.photos.alignment import AlignedPhoto, align_photo, check_on_crop, head_yaw
from dfmvr_jax.photos.detection import Detector, find_face
from dfmvr_jax.photos.faces import FoundFace
from dfmvr_jax.photos.given_points import confirm_points
from dfmvr_jax.photos.landmark_files import read_landmarks
from dfmvr_jax.photos.reading import can_be_read, is_photo, read_photo
from dfmvr_jax.render.array_types import Float, UInt8
from dfmvr_jax.results import is_folder_of_results, is_result

LARGEST_YAW = math.radians(60)  # beyond it half of the landmarks are hidden, and detectors guess
FACING_AWAY = math.radians(
    8
)  # that a side view may be turned to the wrong side: estimates are off by 3 degrees
SMALLEST_TURN = math.radians(8)  # of the head between two views
LANDMARK_SUFFIXES = (".pts", ".txt", ".npy", ".5pt")


class PhotoFile(NamedTuple):
    """A photo that the user gave."""

    path: Path
    landmarks: Path | None = None  # file of 68 or five
    view: int | None = None  # number in `VIEWS`; None: to be recognised by the head's yaw
    read: Callable[[Path], UInt8[np.ndarray, "h w 3"]] = read_photo  # gives the photo upright


class PreparedPhoto(NamedTuple):
    """A photo and the face in it."""

    file: PhotoFile
    photo: UInt8[np.ndarray, "h w 3"]  # upright
    landmarks: Float[np.ndarray, "n 2"] | None  # 68 or five, pixels of the photo; None: not known
    yaw: float | None  # of the head, radians (docs/conventions.md); None: not known
    aligned: AlignedPhoto
    seen: FoundFace | None = None  # by the detector, where it was asked
    doubt: str = ""  # of the landmarks, in words: are they the person's?


def prepare_photo(
    file: PhotoFile,
    get_detector: Callable[[], Detector] | None,
    model: MorphableModel,
    size: int,
    face: int | None = None,
) -> PreparedPhoto:
    """Read a photo, find the face or hold the given landmarks against it, and cut it out.

    Args:
      file: of the photo.
      get_detector: gives the detector; None: the photo is an aligned crop already.
      model: whose mean face says how the face lies in the crop.
      size: of the crop's side, pixels.
      face: which one, where there are several; 1 is the largest; None: the largest, but another one of the
        same size is a doubt.

    Raises:
      InputError: with the file's name: it cannot be read, there is no such face, it is cut off by the border,
        seen in profile, turned to the wrong side for the view, or not where its landmarks are.
    """
    photo = file.read(file.path)
    landmarks = yaw = seen = None
    doubt = ""
    if file.landmarks:
        landmarks = read_landmarks(file.landmarks)
        with naming(file.landmarks):
            if get_detector:
                seen, doubt = confirm_points(landmarks, photo, get_detector)
            else:
                check_on_crop(landmarks, photo.shape[1], model)
    elif get_detector:
        detector = get_detector()
        with naming(file.path):
            seen, doubt = find_face(photo, detector, face)
            landmarks = seen.landmarks
    with naming(file.landmarks or file.path):
        aligned = align_photo(photo, landmarks if get_detector else None, model, size)
        if landmarks is not None:
            yaw = head_yaw(landmarks, model)
            check_yaw(yaw, file.view)
    return PreparedPhoto(file, photo, landmarks, yaw, aligned, seen, doubt)


def check_yaw(yaw: float, view: int | None) -> None:
    """Raise `InputError` where a head is turned too far, or to the wrong side for that view."""
    degrees = math.degrees(yaw)
    if abs(yaw) > LARGEST_YAW:
        raise InputError(
            f"the head is turned by {abs(degrees):.0f} degrees, nearly a profile; side views should be "
            "turned by 20 to 50"
        )
    if view is None:
        return
    wrong_way = {0: 1, 1: 0, 2: -1}[view]
    if wrong_way * yaw > FACING_AWAY:
        raise InputError(
            f"the nose points to the wrong side for the {VIEWS[view]} photo, in which it should point to the "
            f"image's {VIEWS[view]}; are the left and the right photo swapped?"
        )


def assign_views(photos: Sequence[PreparedPhoto]) -> list[PreparedPhoto | None]:
    """The photos of one subject in the order of `VIEWS`: as given, or by how the head is turned.

    Raises `InputError` where they are neither one nor three, the same picture, or do not show the head from
    three sides.
    """
    if len(photos) not in (1, 3):
        names = list_names([photo.file.path for photo in photos])
        raise InputError(f"{len(photos)} photos of a subject: expected three, or one; found {names}")
    for one, other in itertools.combinations(photos, 2):
        if np.array_equal(one.photo, other.photo):
            raise InputError(
                f"{one.file.path} and {other.file.path.name} are the same picture; give three photos from "
                "different sides, or one alone"
            )
    views = [photo.file.view for photo in photos]
    for photo in photos:
        if photo.file.view is None and any(view is not None for view in views):
            raise InputError(f"{photo.file.path}: say which view it is, as of the other photos, or of none")
        if views.count(photo.file.view) > 1 and photo.file.view is not None:
            paths = ", ".join(str(other.file.path) for other in photos if other.file.view == photo.file.view)
            raise InputError(f"{paths}: all called {VIEWS[photo.file.view]}; give one photo of each view")
    if None not in views:
        by_view = {photo.file.view: photo for photo in photos}
        return [by_view.get(view) for view in range(len(VIEWS))]
    turned: list[tuple[float, PreparedPhoto]] = []
    for photo in photos:
        if photo.yaw is None:
            raise InputError(
                f"{photo.file.path}: an aligned crop; say which view it is: left, front or right"
            )
        turned.append((photo.yaw, photo))
    turned.sort(key=lambda turn: turn[0])
    yaws, photos = [yaw for yaw, _ in turned], [photo for _, photo in turned]
    if len(photos) == 1:
        side = SMALLEST_TURN * 2
        view = 0 if yaws[0] < -side else 2 if yaws[0] > side else 1
        return [photos[0] if view == k else None for k in range(len(VIEWS))]
    if yaws[0] > 0 or yaws[2] < 0 or min(np.diff(yaws)) < SMALLEST_TURN:
        turns = (f"{photo.file.path.name} {math.degrees(yaw):+.0f}" for yaw, photo in turned)
        raise InputError(
            f"{photos[0].file.path.parent}: the three photos do not show the head from the left, the front "
            f"and the right, but turned by these degrees: {', '.join(turns)}; side views should be turned by "
            "20 to 50 to either side"
        )
    return list(photos)


def find_photo_files(folder: Path) -> list[PhotoFile]:
    """The photos in a folder, with the files of landmarks of the same names; our own pictures are none.

    Photos that are called left, front and right are these views. Raises `InputError` where two photos are
    called the same, or a photo has two files of landmarks.
    """
    there = list(folder.iterdir())
    paths = sorted(path for path in there if is_photo(path) and path.is_file() and not is_result(path))
    readable = {plain(path.stem) for path in paths if can_be_read(path)}
    paths = [
        path for path in paths if can_be_read(path) or plain(path.stem) not in readable
    ]  # raw beside JPEG
    check_names(paths)
    views = [plain(path.stem) for path in paths]
    named, files = set(views) <= set(VIEWS), by_plain_name(there)
    return [
        PhotoFile(path, landmarks_beside(path, files), VIEWS.index(view) if named else None)
        for path, view in zip(paths, views)
    ]


def check_names(photos: Sequence[Path]) -> None:
    """Raise `InputError` where two photos of a folder are called the same, as left.jpg and left.png."""
    named: dict[tuple[Path, str], list[Path]] = {}
    for path in dict.fromkeys(photos):
        named.setdefault((path.parent, plain(path.stem)), []).append(path)
    for (folder, name), paths in named.items():
        if len(paths) > 1:
            raise InputError(
                f"{folder}: {len(paths)} photos are called {name}: {list_names(paths)}; take all but one "
                "away, or give them other names"
            )


def landmarks_beside(photo: Path, named: Mapping[str, Sequence[Path]] | None = None) -> Path | None:
    """The file of a photo's landmarks, which has its name.

    `named` is `by_plain_name` of the folder, where it is known. Raises `InputError` where there are several.
    """
    return file_beside(photo, LANDMARK_SUFFIXES, "landmarks", named)


def holds_only_results(folder: Path) -> bool:
    """Whether a folder is one that we wrote, and nobody put photos into it."""
    return is_folder_of_results(folder) and not any(
        is_photo(path) and not is_result(path) for path in folder.iterdir()
    )


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of a file in front of the text of an `InputError`."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
