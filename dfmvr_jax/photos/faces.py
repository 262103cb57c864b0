"""What detectors find in photos, and which of several faces is meant."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.render.array_types import Float

AS_LARGE = 0.5  # of the largest face, from which on another may be the one that is meant


class FoundFace(NamedTuple):
    """A face found in a photo."""

    landmarks: Float[np.ndarray, "68 2"]  # iBUG's, pixels of the photo (docs/conventions.md)
    probability: float  # that it is one, as far as the detector knows
    mesh: Float[np.ndarray, "468 2"] | None = None  # MediaPipe's points of the surface, pixels of the photo


def by_size(faces: list[FoundFace]) -> list[FoundFace]:
    """The largest first."""
    return sorted(faces, key=lambda face: -extent(face.landmarks))


def extent(landmarks: Float[np.ndarray, "n 2"]) -> float:
    return float(np.ptp(landmarks, axis=0).max())


def as_large(faces: Sequence[FoundFace]) -> list[FoundFace]:
    """Those of the faces, the largest first, that are at least half as large as the largest."""
    return [face for face in faces if extent(face.landmarks) >= AS_LARGE * extent(faces[0].landmarks)]


def numbered_face(faces: list[FoundFace], number: int) -> FoundFace:
    """The face of that number of some, the largest first. Raises `InputError` where there is none."""
    if not 1 <= number <= len(faces):
        raise InputError(
            f"has {len(faces)} face{'s' * (len(faces) > 1)}, no number {number} (1 is the largest)"
        )
    return faces[number - 1]


def doubt_of(number: int, among: int) -> str:
    """Say that another face may be meant than the one of that number, by size, among some; else nothing."""
    return f"shows {among} large faces, of which number {number} by size was taken" if among > 1 else ""


def numbers_of_faces(chosen: Sequence[int], photos: int) -> list[int | None]:
    """Which face each photo is to have, by one number for all, or one for each; None: nobody says.

    Raises `InputError` where there are more or fewer numbers than photos.
    """
    if len(chosen) <= 1:
        return [*chosen, None][:1] * photos
    if len(chosen) != photos:
        raise InputError(
            f"faces {' '.join(map(str, chosen))}: {len(chosen)} numbers for {photos} photos; give one for "
            "all, or one for each photo"
        )
    return list(chosen)
