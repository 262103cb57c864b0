"""Faces in photos: one interface for several detectors, and what makes a face unfit for reconstruction."""

from collections.abc import Callable
from typing import get_args

import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.landmarks import WITHOUT_JAW
from dfmvr_jax.photos.detector_names import DetectorName
from dfmvr_jax.photos.faces import FoundFace, as_large, by_size, doubt_of, numbered_face
from dfmvr_jax.render.array_types import UInt8

Detector = Callable[[UInt8[np.ndarray, "h w 3"]], list[FoundFace]]  # photo -> faces, in any order


def load_detector(name: str) -> Detector:
    """The detector of that name, a `DetectorName`; what it needs is imported here.

    Raises `InputError` where there is no such detector, or its networks are missing, or a package that no
    extra brings: how to get them.
    """
    if name not in get_args(DetectorName):
        raise InputError(f"detector {name!r}: expected one of {', '.join(get_args(DetectorName))}")
    if name == "mediapipe":
        from dfmvr_jax.photos.face_mesh import face_mesh_detector
        from dfmvr_jax.photos.face_mesh_files import face_mesh_folder

        return face_mesh_detector(face_mesh_folder())
    from dfmvr_jax.photos.face_alignment_network import face_alignment_detector

    return face_alignment_detector(in_3d=name == "face-alignment-3d")


def find_face(
    photo: UInt8[np.ndarray, "h w 3"], detector: Detector, number: int | None = None
) -> tuple[FoundFace, str]:
    """The face of that number, the largest being 1, or the largest, and a doubt whether it is meant, or "".

    Raises:
      InputError: there is no such face, or it is cut off by the photo's border.
    """
    faces = by_size(detector(photo))
    if not faces:
        raise InputError(
            "no face found; is the photo upright and the face well lit, not too small and not in profile? "
            "Or give its landmarks in a file"
        )
    face = numbered_face(faces, number or 1)
    height, width = photo.shape[:2]
    inner = face.landmarks[WITHOUT_JAW]
    if ((inner < 0) | (inner > (width, height))).any():
        raise InputError(
            "the face is cut off by the photo's border: brows, eyes, nose and mouth must be on it"
        )
    return face, "" if number else doubt_of(1, len(as_large(faces)))
