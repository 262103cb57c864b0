"""From the files of a sample to the arrays of an example: the one path of all sets of photos."""

import functools

import numpy as np

from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.datasets.features import labels_file, photo_file
from dfmvr_jax.datasets.photo_sets.samples import Sample, ScanMesh
from dfmvr_jax.datasets.photo_sets.staging import DOUBT
from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.metrics import Scan, check_scan
from dfmvr_jax.evaluation.registration import register_landmarks
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.file_names import list_names, printable
from dfmvr_jax.landmarks import COUNT
from dfmvr_jax.photos.alignment import transform_points
from dfmvr_jax.photos.detection import Detector, load_detector
from dfmvr_jax.photos.detector_names import DetectorName
from dfmvr_jax.photos.preparation import PreparedPhoto, assign_views, prepare_photo
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.render.array_types import Float

LARGEST_MISFIT_MM = 8.0
NO_SCAN = ScanMesh(np.zeros((0, 3)), np.zeros((0, 3), np.int32), np.full((7, 3), np.nan))


def make_example(
    sample: Sample, views: int, read_truth, face_model: str, detector: DetectorName, image_size: int
) -> dict[str, np.ndarray]:
    """The example as it is staged: the features of `builder.PhotoSet`, image files as arrays of their bytes.

    Args:
      sample: with its split; training needs no scan, so it is left out there.
      views: how many photos a sample must have.
      read_truth: `PhotoSet.read_truth` of its data set.
      face_model: whose mean face says how faces lie in the crops.
      detector: of faces and landmarks that no file gives.
      image_size: of the crops.

    Raises:
      InputError: the sample will not do.
    """
    if sample.problem:
        raise InputError(sample.problem)
    if len(sample.photos) != views:
        found = f": {list_names([photo.path for photo in sample.photos])}" if sample.photos else ""
        raise InputError(f"has {len(sample.photos)} photos, expected {views}{found}")
    model = _face_model(face_model)
    get_detector = functools.partial(_detector, detector)
    photos = [prepare_photo(file, get_detector, model, image_size) for file in sample.photos]
    if len(photos) > 1:
        photos = assign_views(photos)
    truth = read_truth(sample, photos, model, image_size)
    scan = NO_SCAN if truth.scan is None or sample.split == "train" else truth.scan
    if scan is not NO_SCAN:
        check_scan(Scan(scan.points, scan.landmarks))
    labels = truth.labels
    if labels is None:
        labels = np.zeros((len(photos), image_size, image_size), np.uint8)
    landmarks_3d = np.full((len(model.landmarks_3d), 3), np.nan)
    if truth.landmarks_3d is not None:
        landmarks_3d = truth.landmarks_3d / UNIT_MM
    return {
        "subject": np.array(sample.subject),
        "name": np.array(sample.name),
        "files": np.array([printable(str(photo.file.path)) for photo in photos]),
        **{f"photo_{k}": _bytes(photo_file(to_uint8(p.aligned.crop))) for k, p in enumerate(photos)},
        **{f"labels_{k}": _bytes(labels_file(view)) for k, view in enumerate(labels)},
        "landmarks": np.float32([crop_landmarks(photo) for photo in photos]),
        "yaw": np.float32([photo.yaw for photo in photos]),
        "to_photo": np.float32([photo.aligned.to_photo for photo in photos]),
        "landmarks_3d": np.float32(landmarks_3d),
        "scan_points": np.float32(scan.points),
        "scan_triangles": np.int32(scan.triangles),
        "scan_landmarks": np.float32(scan.landmarks),
        DOUBT: np.array(
            "; ".join(f"{photo.file.path.name} {photo.doubt}" for photo in photos if photo.doubt)
        ),
    }


def crop_landmarks(photo: PreparedPhoto) -> Float[np.ndarray, "68 2"]:
    """The 68 landmarks in the crop, pixels; where a file gives only five, those that the detector sees."""
    landmarks = photo.landmarks
    if len(landmarks) != COUNT:
        if photo.seen is None:
            raise InputError(
                f"{photo.file.path}: no face found where its five landmarks are; give all 68 in a file"
            )
        landmarks = photo.seen.landmarks
    return transform_points(photo.aligned.to_crop, landmarks)


def check_face_like(points: Float[np.ndarray, "n 3"], reference: Float[np.ndarray, "n 3"]) -> None:
    """Raise `InputError` unless a similarity brings the points to about where the reference's are.

    `reference` are the same points of a mean face, model units. Mirrored points fail.
    """
    placed = register_landmarks(points, np.arange(len(points)), reference)
    distances = UNIT_MM * np.linalg.norm(placed - reference, axis=1)
    if not distances.mean() < LARGEST_MISFIT_MM:
        raise InputError(
            f"its 3D points lie {distances.mean():.0f} mm on average from where a mean face has them, less "
            f"than {LARGEST_MISFIT_MM:.0f} was expected: they are in another order, mirrored, or not a face's"
        )


@functools.cache
def _face_model(name: str) -> MorphableModel:
    return load_face_model(name)


@functools.cache
def _detector(name: DetectorName) -> Detector:
    return load_detector(name)


def _bytes(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)
