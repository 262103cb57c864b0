"""How a set of photos is prepared, as far as what comes out depends on it; read without TFDS."""

import dataclasses

from dfmvr_jax.photos.detector_names import DetectorName


@dataclasses.dataclass(eq=False)
class PhotoSetSettings:
    """What `datasets.prepare` has flags for and builders go by."""

    image_size: int = 224  # side of the crops, pixels
    face_model: str = "builtin"  # whose mean face says how faces lie in the crops
    detector: DetectorName = "mediapipe"  # finds faces, and landmarks that no file gives
    test_share: float | None = None  # share of the subjects, drawn by chance; None: 0.2, for bosphorus 1
    validation_share: float = 0.05  # share of the subjects for training
    seed: int = 0  # decides who is drawn
    # pixel_face: how many folders above those of the views, 0, 1 and 2, that of the subject is
    subject_folder: int = 2
    left_yaw: int = 45  # bosphorus: yaw of the left photo, degrees: 10, 20, 30, 45
    angles: tuple[int, ...] = (30, 45)  # multi_pie: angles of the side cameras, degrees: 15, 30, 45, 60
