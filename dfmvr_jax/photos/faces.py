"""What detectors find in photos."""

from typing import NamedTuple

import numpy as np

from dfmvr_jax.render.array_types import Float


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
