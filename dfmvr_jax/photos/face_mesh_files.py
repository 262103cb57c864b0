"""Where the networks are that find faces and landmarks: MediaPipe's, taken out of its wheel once."""

import hashlib
from pathlib import Path

from dfmvr_jax.errors import InputError

NETWORKS = {  # within the wheel: SHA-256
    "mediapipe/modules/face_detection/face_detection_short_range.tflite": (
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
    ),
    "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite": (
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1"
    ),
    "mediapipe/modules/face_landmark/face_landmark.tflite": (
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814"
    ),
}
FETCH = "python -m dfmvr_jax.commands.fetch"


def cache_folder() -> Path:
    import platformdirs  # here, so that without the extra `photos` a program can say so

    return platformdirs.user_cache_path("dfmvr_jax") / "face_mesh"


def face_mesh_folder() -> Path:
    """Where the networks are. Raises `InputError` where they are not or are damaged."""
    folder = cache_folder()
    for name, checksum in NETWORKS.items():
        path = folder / Path(name).name
        try:
            content = path.read_bytes()
        except OSError:
            raise InputError(
                f"{path}: the networks that find faces are not there; fetch them once, 36 MB, by: {FETCH}"
            ) from None
        if hashlib.sha256(content).hexdigest() != checksum:
            raise InputError(f"{path}: is damaged; fetch it again by: {FETCH}")
    return folder
