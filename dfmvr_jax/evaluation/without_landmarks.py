"""Where the landmarks of a scan are that has none: where they come to lie when a head is laid over it."""

import math
from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.metrics import FEWEST_POINTS, face_disc
from dfmvr_jax.render.array_types import Float, Int

USED_POINTS = 3000  # of the face, at most
REACHES_MM = (40.0, 20.0, 10.0, 10.0, 5.0, 5.0, 5.0, 5.0)  # of pairs, round by round
ROUNDS = 6  # of each reach
TURNS = (0.0, -30.0, 30.0)  # degrees about the upright axis, of the first poses
FOREMOST = 0.995  # quantile from which on points are the nose
PLAUSIBLE_SIZE_MM = (60.0, 2000.0)  # of a scan
NEAR_MM = 4.0  # what the scan is off where it shows the same place
SHARE_NEAR = 0.8  # of the face that must be so near to the scan
SCALES = (0.8, 1.25)  # of the head on the scan


def find_landmarks(
    points: Float[np.ndarray, "k 3"], vertices: Float[np.ndarray, "n 3"], landmarks: Int[np.ndarray, "7"]
) -> Float[np.ndarray, "7 3"]:
    """Lay a head over a scan by its shape alone, and give its seven landmarks there, mm.

    The scan must be upright and look roughly along +z, as a head in model space does, and be in millimetres.
    From several places of the head, ICP of a similarity (point to point, pairs within a reach that shrinks)
    moves the face disc onto the scan; the place where most of it comes near is taken.

    Args:
      points: of the scan, finite.
      vertices: of the head, model space, mm.
      landmarks: vertices of the head that are the seven landmarks.

    Raises:
      InputError: the scan is not in millimetres, or no place was found where the face lies on it.
    """
    from trimesh.transformations import transform_points

    size = float(np.ptp(points, axis=0).max())
    smallest, largest = PLAUSIBLE_SIZE_MM
    if not smallest < size < largest:
        raise InputError(
            f"is {size:.3g} large from end to end, expected about 200; give scans in millimetres"
        )
    marks = vertices[landmarks]
    face = vertices[face_disc(marks).holds(vertices)]
    face = face[:: math.ceil(len(face) / USED_POINTS)]
    tree = cKDTree(points)
    pose, share = max((_lay(tree, face, start) for start in _starts(points, marks)), key=lambda laid: laid[1])
    scale = np.cbrt(np.linalg.det(pose[:3, :3]))
    if share < SHARE_NEAR or not SCALES[0] < scale < SCALES[1]:
        raise InputError(
            f"the head could not be laid over it by shape alone ({100 * share:.0f} % of the face came near); "
            "turn it upright and to look along +z, in millimetres, or put its seven landmarks "
            "(docs/conventions.md) into a text file of its name beside it, a line x y z each"
        )
    return transform_points(marks, pose)


def _starts(
    points: Float[np.ndarray, "k 3"], marks: Float[np.ndarray, "7 3"]
) -> Iterator[Float[np.ndarray, "4 4"]]:
    """First poses of the head: as it is; its nose on what is foremost; its middle on the middle."""
    nose = marks[4]
    for turn in TURNS:
        rotation = Rotation.from_euler("y", turn, degrees=True).as_matrix()
        out = (points @ rotation)[:, 2]
        foremost = points[out >= np.quantile(out, FOREMOST)].mean(axis=0)
        for place, at in ((nose, nose), (nose, foremost), (marks.mean(axis=0), np.median(points, axis=0))):
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = rotation, at - rotation @ place
            yield pose


def _lay(
    tree: cKDTree, face: Float[np.ndarray, "m 3"], pose: Float[np.ndarray, "4 4"]
) -> tuple[Float[np.ndarray, "4 4"], float]:
    """Move the face onto the scan: its pose there, and the share of it that came near."""
    from trimesh.transformations import transform_points

    for reach in REACHES_MM:
        for _ in range(ROUNDS):
            placed = transform_points(face, pose)
            distances, nearest = tree.query(placed, distance_upper_bound=reach)
            pairs = np.isfinite(distances)
            if pairs.sum() < FEWEST_POINTS:
                return pose, 0.0
            pose = _similarity(placed[pairs], tree.data[nearest[pairs]]) @ pose
    distances, _ = tree.query(transform_points(face, pose))
    return pose, float((distances < NEAR_MM).mean())


def _similarity(
    source: Float[np.ndarray, "pairs 3"], target: Float[np.ndarray, "pairs 3"]
) -> Float[np.ndarray, "4 4"]:
    """The similarity without reflection that brings points nearest to others, in squares (Umeyama 1991)."""
    middle, aim = source.mean(axis=0), target.mean(axis=0)
    rotation, _ = Rotation.align_vectors(target - aim, source - middle)
    turned = rotation.apply(source - middle)
    scale = np.sum(turned * (target - aim)) / np.sum(turned**2)
    pose = np.eye(4)
    pose[:3, :3] = scale * rotation.as_matrix()
    pose[:3, 3] = aim - pose[:3, :3] @ middle
    return pose
