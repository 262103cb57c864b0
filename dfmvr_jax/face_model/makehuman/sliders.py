"""MakeHuman's sliders as directions in which a head may differ from the base mesh."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from dfmvr_jax.face_model.makehuman.sources import MakeHuman

FOLDERS = (
    *("head", "forehead", "eyebrows", "eyes", "nose", "cheek", "mouth", "chin", "ears", "neck", "asym"),
    "macrodetails",  # ancestry, sex, age and weight
)
CHILDREN = ("baby", "child")
LEAST_MOTION = 1e-4  # dm rms over the head; what moves it less is a slider of the body


class Sliders(NamedTuple):
    """Linear directions, each as far as its artist made it."""

    names: tuple[str, ...]
    moved: np.ndarray  # [sliders, cage, 3], dm


def read_sliders(data: MakeHuman, cage: np.ndarray) -> Sliders:
    """All that move the head; `cage` are vertices of the base mesh. Both ends of a slider are two."""
    moved = {
        f"{folder}/{name}": displacement[cage]
        for folder in FOLDERS
        for name, displacement in data.targets(folder).items()
        if not any(child in name for child in CHILDREN)
    }
    names = [name for name, change in moved.items() if np.sqrt((change**2).mean()) > LEAST_MOTION]
    return Sliders(tuple(names), np.stack([moved[name] for name in names]))


def rigid_motions(points: np.ndarray) -> np.ndarray:
    """Displacements [6, n, 3] of points [n, 3] by small turns around the three axes, and by shifts."""
    turns = [np.cross(axis, points) for axis in np.eye(3)]
    return np.stack([*turns, *(np.broadcast_to(axis, points.shape) for axis in np.eye(3))])


def without_rigid_motions(
    moved: np.ndarray, points: np.ndarray, surface: sp.csr_matrix, weights: np.ndarray
) -> np.ndarray:
    """Displacements [k, n, 3] of points [n, 3] less the rigid motion in each.

    It is found on the vertices `surface` [m, n] with the `weights` [m], by least squares.
    """
    root = np.sqrt(weights)[:, None]
    rigid = rigid_motions(points)
    seen = np.stack([((surface @ motion) * root).ravel() for motion in rigid], axis=1)
    goal = np.stack([((surface @ motion) * root).ravel() for motion in moved], axis=1)
    share = np.linalg.lstsq(seen, goal, rcond=None)[0]
    return moved - np.tensordot(share.T, rigid, 1)
