"""A fitted person against a scan of theirs."""

from pathlib import Path

import numpy as np

from dfmvr_jax.evaluation.error_map import errors_at_vertices
from dfmvr_jax.evaluation.metrics import Scan, check_scan, compare_with_scan
from dfmvr_jax.evaluation.scan_files import read_scan_landmarks, read_scan_points, scan_landmarks_beside
from dfmvr_jax.evaluation.without_landmarks import find_landmarks
from dfmvr_jax.fitting.fitted_person import FittedPerson
from dfmvr_jax.landmarks import REGISTRATION
from dfmvr_jax.photos.preparation import naming
from dfmvr_jax.viewer.shown import ErrorMap


def compare_person(person: FittedPerson, path: Path) -> ErrorMap:
    """Compare the neutral head with a scan, in the face disc, as evaluation does (docs/method.md, section 6).

    The scan's landmarks are those of a file of its name beside it (.txt, .npy: seven or 68 points, x y z).
    Without one the head is laid over the scan by its shape, for which the scan must be upright and look
    along +z.

    Raises `InputError` where a file cannot be read, the scan is not in millimetres, its landmarks do not lie
    on it, the head cannot be laid over it, or Open3D is missing.
    """
    points, beside = read_scan_points(path), scan_landmarks_beside(path)
    triangles, marks = person.triangles, np.asarray(person.model.landmarks)[list(REGISTRATION)]
    with naming(path):
        if beside:
            scan = Scan(points, read_scan_landmarks(beside))
            check_scan(scan)
        else:
            scan = Scan(points, find_landmarks(points, person.vertices_mm, marks))
        found = compare_with_scan(person.vertices_mm, triangles, marks, scan)
    return ErrorMap(
        scan=path.name,
        errors_mm=errors_at_vertices(found),
        rmse_mm=found.errors.rmse_mm,
        mean_mm=found.errors.mean_mm,
        median_mm=found.errors.median_mm,
        laid_by="landmarks" if beside else "shape",
    )
