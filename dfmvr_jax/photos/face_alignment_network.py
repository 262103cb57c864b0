"""Faces and their 68 landmarks by the package face-alignment (Bulat and Tzimiropoulos 2017), on torch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.photos.faces import FoundFace
from dfmvr_jax.render.array_types import UInt8

INSTALL = "pip install 'face-alignment>=1.5'"
WEIGHTS = {  # of the detector and of the two networks, by dimension
    False: ("s3fd-619a316812.pth", "2DFAN4-11f355bf06.pth.tar"),
    True: ("s3fd-619a316812.pth", "3DFAN4-7835d9f11d.pth.tar"),
}


def face_alignment_detector(in_3d: bool) -> Callable[[UInt8[np.ndarray, "h w 3"]], list[FoundFace]]:
    """The `Detector` of landmarks on the outline that is seen (2D) or on the surface, hidden or not (3D).

    The package downloads its weights at first use. Raises `InputError` where it or they are missing.
    """
    try:
        import face_alignment
        import torch
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed: {INSTALL}") from None
    kinds = (
        face_alignment.LandmarksType
    )  # THREE_D would load a third network, for depths that nobody asks for
    kind = kinds.TWO_HALF_D if in_3d else kinds.TWO_D
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    missing = [name for name in WEIGHTS[in_3d] if not (folder / name).is_file()]
    try:
        network = face_alignment.FaceAlignment(kind, device="cuda" if torch.cuda.is_available() else "cpu")
    except Exception as error:  # no internet, a damaged file
        wanted = f"{', '.join(missing)} missing in {folder}" if missing else f"the weights in {folder}"
        raise InputError(
            f"face-alignment could not load its networks ({one_line(error)}): {wanted}; let it download "
            "them with an internet connection, copy them there, or take the detector mediapipe"
        ) from None

    def detect(photo: UInt8[np.ndarray, "h w 3"]) -> list[FoundFace]:
        landmarks, _, boxes = network.get_landmarks_from_image(photo, return_bboxes=True)
        if landmarks is None:
            return []
        # it counts whole pixels from the centre of the first
        return [
            FoundFace(np.asarray(points, np.float64)[:, :2] + 0.5, float(box[4]))
            for points, box in zip(landmarks, boxes)
        ]

    return detect
