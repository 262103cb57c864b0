"""Errors of a reconstructed face against a scan, in millimetres, and of its landmarks, in pixels."""

from typing import NamedTuple

import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.registration import register_landmarks, register_surface
from dfmvr_jax.render.array_types import Bool, Float, Int

PLAUSIBLE_EYE_DISTANCE_MM = (10.0, 1000.0)  # between outer eye corners; tells mm from dm and m
FARTHEST_FROM_SCAN_MM = 10.0  # of a landmark
FEWEST_POINTS = 100  # of a scan inside the face disc


class Scan(NamedTuple):
    """The true face: points of its surface, and where seven landmarks are. Any frame, mm."""

    points: Float[np.ndarray, "k 3"]  # NaN where the scanner saw nothing
    landmarks: Float[np.ndarray, "7 3"]  # points 36, 39, 42, 45, 33, 48, 54 of the 68: docs/conventions.md


class FaceDisc(NamedTuple):
    """The part of a face that counts: a ball around its middle."""

    centre: Float[np.ndarray, "3"]
    radius: float

    def holds(self, points: Float[np.ndarray, "k 3"]) -> Bool[np.ndarray, "k"]:
        """Which points are inside; NaN is not."""
        return np.linalg.norm(points - self.centre, axis=-1) <= self.radius


class SurfaceErrors(NamedTuple):
    """Statistics of the distances from scan points to the predicted surface."""

    rmse_mm: float  # root of the mean square
    mean_mm: float  # what the released code calls RMSE
    median_mm: float
    std_mm: float  # around the mean


class ScanComparison(NamedTuple):
    """A predicted face laid over the scan of the same face. All in the scan's frame, mm."""

    errors: SurfaceErrors
    vertices: Float[np.ndarray, "n 3"]  # of the predicted face
    disc: FaceDisc
    points: Float[np.ndarray, "j 3"]  # of the scan, inside the disc
    distances: Float[np.ndarray, "j"]  # from these to the predicted surface


def face_disc(landmarks: Float[np.ndarray, "7 3"], size: float = 1.4) -> FaceDisc:
    """The face disc of the NoW protocol as the released code has it (docs/method.md 6).

    Centre = nose base + 0.3 (bridge - nose base), where the bridge is the middle between the inner eye
    corners; radius = `size` (outer-eye distance + nose length) / 2, where the nose length is the distance
    from the bridge to the nose base. NoW itself has size 1.2.
    """
    outer_right, inner_right, inner_left, outer_left, nose_base = landmarks[:5]
    nose = (inner_right + inner_left) / 2 - nose_base
    radius = size * (np.linalg.norm(outer_left - outer_right) + np.linalg.norm(nose)) / 2
    return FaceDisc(nose_base + 0.3 * nose, float(radius))


def surface_errors(distances: Float[np.ndarray, "k"]) -> SurfaceErrors:
    """RMSE, mean, median and standard deviation of distances."""
    rmse = np.sqrt(np.mean(distances**2))
    return SurfaceErrors(*map(float, (rmse, distances.mean(), np.median(distances), distances.std())))


def compare_with_scan(
    vertices: Float[np.ndarray, "n 3"],
    triangles: Int[np.ndarray, "f 3"],
    landmarks: Int[np.ndarray, "7"],
    scan: Scan,
    disc_size: float = 1.4,
) -> ScanComparison:
    """Register a predicted face to a scan and measure every scan point's distance to it (docs/method.md 6).

    The scan is cropped to its face disc; the prediction is moved by the similarity of the seven landmarks,
    then by ICP. Distances are point-to-surface, exact, from the scan to the prediction.

    Args:
      vertices: of the predicted face, mm, any frame.
      triangles: of the predicted face.
      landmarks: vertices of the predicted face that are the scan's seven landmarks, in the same order.
      scan: the true face.
      disc_size: of its face disc (`face_disc`).

    Raises:
      InputError: the scan is not in mm, its landmarks do not lie on it, or Open3D is missing.
    """
    scan = Scan(*(array.astype(np.float64) for array in scan))
    check_scan_unit(scan.landmarks)
    disc = face_disc(scan.landmarks, disc_size)
    points = scan.points[disc.holds(scan.points)]
    if len(points) < FEWEST_POINTS:
        raise InputError(
            f"scan: {len(points)} of its {len(scan.points)} points are inside the face disc, expected "
            f"{FEWEST_POINTS} or more; give points and landmarks in the same frame"
        )
    placed = register_landmarks(vertices.astype(np.float64), landmarks, scan.landmarks)
    placed, closest = register_surface(placed, triangles, points)
    distances = np.linalg.norm(points - closest.points, axis=-1)
    return ScanComparison(surface_errors(distances), placed, disc, points, distances)


def check_scan_unit(landmarks: Float[np.ndarray, "7 3"]) -> None:
    """Raise `InputError` where the landmarks of a scan cannot be millimetres."""
    eye_distance = np.linalg.norm(landmarks[3] - landmarks[0])
    smallest, largest = PLAUSIBLE_EYE_DISTANCE_MM
    if not smallest < eye_distance < largest:
        raise InputError(
            f"scan: its outer eye corners are {eye_distance:.3g} mm apart, expected about 90; give scans and "
            "landmarks in millimetres"
        )


def check_scan(scan: Scan) -> None:
    """Raise `InputError` unless a scan is in millimetres, and its landmarks lie on it."""
    check_scan_unit(scan.landmarks)
    distances = np.nanmin(np.linalg.norm(scan.landmarks[:, None] - scan.points[None], axis=-1), axis=1)
    if not distances.max() < FARTHEST_FROM_SCAN_MM:
        raise InputError(
            f"a landmark of its scan lies {distances.max():.4g} mm off the scan's points: they are in other "
            "units or frames"
        )


def landmark_error(
    predicted: Float[np.ndarray, "views 68 2"], true: Float[np.ndarray, "views 68 2"]
) -> Float[np.ndarray, "views"]:
    """Mean distance of the 68 landmarks in each view, pixels."""
    return np.linalg.norm(predicted - true, axis=-1).mean(axis=-1)
