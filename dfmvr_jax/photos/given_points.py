"""Landmarks that a user gives, held against what a detector sees in the photo."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.landmarks import OUTER_EYE_CORNERS, WITHOUT_JAW, five_points
from dfmvr_jax.photos.detection import Detector
from dfmvr_jax.photos.faces import AS_LARGE, FoundFace, extent
from dfmvr_jax.render.array_types import Float, UInt8

SAME_FACE = 0.3  # mean distance of landmarks, in distances of the outer eye corners, below which two are one


def confirm_points(
    points: Float[np.ndarray, "n 2"],
    photo: UInt8[np.ndarray, "h w 3"],
    get_detector: Callable[[], Detector],
) -> tuple[FoundFace | None, str]:
    """Hold 68 or five given landmarks against the photo.

    Returns the face that a detector sees there, and what speaks against trusting them, or nothing.
    Raises `InputError` where a face is seen, but elsewhere.
    """
    try:
        detector = get_detector()
    except (InputError, ModuleNotFoundError) as error:  # what it needs need not be there for given landmarks
        return None, f"its landmarks were not held against the photo: {one_line(error)}"
    face = face_at(points, detector(photo), photo.shape[:2])
    return face, "" if face else "no face was seen in it to hold its landmarks against"


def face_at(
    points: Float[np.ndarray, "n 2"], faces: Sequence[FoundFace], size: tuple[int, int]
) -> FoundFace | None:
    """The face that has these 68 or five landmarks; None where no face is seen that is as large.

    `size` is the photo's, (height, width). Raises `InputError` where faces are seen, but elsewhere.
    """
    for face in faces:
        if distance(points, face) < SAME_FACE:
            return face
    five = five_points(points)
    for face in faces:
        for how, moved in misreadings(five, face, size):
            if distance(moved, face) < SAME_FACE:
                raise InputError(
                    f"its landmarks are those of the photo {how}; give pixels of the photo as it is shown"
                )
    large = [face for face in faces if extent(five_points(face.landmarks)) >= AS_LARGE * extent(five)]
    if not large:
        return None
    (x, y), (seen_x, seen_y) = points.mean(axis=0), large[0].landmarks.mean(axis=0)
    raise InputError(
        f"its landmarks lie around ({x:.0f}, {y:.0f}), but a face is seen around ({seen_x:.0f}, "
        f"{seen_y:.0f}), or turned otherwise; are they another photo's?"
    )


def distance(points: Float[np.ndarray, "n 2"], face: FoundFace) -> float:
    """Mean distance of landmarks from a face's, the jaw's left out, in its outer eye corners' distances."""
    right, left = face.landmarks[list(OUTER_EYE_CORNERS)]
    if len(points) == 5:
        gaps = points - five_points(face.landmarks)
    else:
        gaps = (points - face.landmarks)[WITHOUT_JAW]
    return float(np.linalg.norm(gaps, axis=1).mean() / np.linalg.norm(left - right))


def misreadings(
    five: Float[np.ndarray, "5 2"], face: FoundFace, size: tuple[int, int]
) -> Iterator[tuple[str, Float[np.ndarray, "5 2"]]]:
    """Where five landmarks belong if they were made on a copy of the photo, with how the copy differs."""
    height, width = size
    x, y = five.T
    yield "turned by 90 degrees, as its file stores it", np.stack([width - y, x], axis=1)
    yield "turned by 90 degrees, as its file stores it", np.stack([y, height - x], axis=1)
    yield "standing on its head", np.stack([width - x, height - y], axis=1)
    mirrored = np.stack([width - x, y], axis=1)
    yield "mirrored", mirrored
    yield "mirrored", mirrored[[1, 0, 2, 4, 3]]
    seen = five_points(face.landmarks)
    factor = np.linalg.norm(seen[1] - seen[0]) / max(float(np.linalg.norm(five[1] - five[0])), 1e-9)
    yield f"of another size, {1 / factor:.3g} times this one's", factor * five
