"""The 64 expression units, from MakeHuman's expression targets and a few detail targets."""

from collections.abc import Iterable

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

from dfmvr_jax.face_model.expression_units import DETAILS, EXPRESSION_UNITS, GAZE, SIDED, UNSIDED
from dfmvr_jax.face_model.makehuman.marks import IBUG
from dfmvr_jax.face_model.makehuman.sources import MakeHuman

BLEND_WIDTH = 0.2  # dm over which a unit passes from the one half of the face to the other
GAZE_ANGLE = np.radians(20)  # of a full gaze unit
# What moves the skin beside the mouth is made softer there. Distances in dm: from the lips, over which that
# comes in, and from the corners of the mouth, over which it goes out.
SOFTENED = tuple(
    number
    for number, name in enumerate(EXPRESSION_UNITS)
    if name.startswith(("mouth", "l-cheek", "r-cheek")) and not name.startswith("mouth-open")
)
FROM_LIPS, FROM_CORNERS, SOFTENINGS = (0.02, 0.07), (0.50, 0.30), 4
ROOT = (0.6, 1.0)  # z, dm, of the tongue: behind it stays, before it follows the jaw
LIPS, CORNERS = range(48, 68), (48, 54)  # iBUG points


def full_units(data: MakeHuman, cage: np.ndarray, surface: sp.csr_matrix) -> np.ndarray:
    """Displacements [cage, 3, 64] in dm of the units at full strength, in the order of `EXPRESSION_UNITS`.

    `surface` [vertices, cage] gives the vertices of the head, over which softer units keep their size.
    """
    races = [data.targets(f"expression/units/{race}") for race in ("african", "asian", "caucasian")]
    units = {name: np.mean([race[name] for race in races], axis=0) for name in races[0]}
    details: dict[str, np.ndarray] = {}
    for folder in ("mouth", "cheek", "chin", "asym"):
        details |= data.targets(folder)

    left_minus_right = np.tanh(data.vertices[:, :1] / BLEND_WIDTH)
    units_moved = [units[name] for name in SIDED]
    units_moved += [units[name] for name in UNSIDED]
    units_moved += [units[name] * left_minus_right for name in UNSIDED]
    units_moved += [details[name] for name in DETAILS]
    units_moved += [_gaze(data, name) for name in GAZE]
    moved = np.stack(units_moved, axis=-1)
    for jaw in ("upper", "lower"):
        teeth = np.unique(data.quads[f"helper-{jaw}-teeth"])
        moved[teeth] = rigid_part(data.vertices[teeth], moved[teeth])
    _tongue_with_jaw(data, moved)
    for side in "lr":
        ball = np.unique(data.quads[f"helper-{side}-eye"])
        moved[ball] = rigid_part(data.vertices[ball], moved[ball])
    hard, soft = (shapes[cage] for shapes in (moved, _soft_beside_mouth(data, moved)))
    return soft * (_sizes(surface, hard) / _sizes(surface, soft))


def _tongue_with_jaw(data: MakeHuman, moved: np.ndarray) -> None:
    """Let the tongue [n, 3, 64] follow the lower teeth, from its root on: artists left it at the palate."""
    tongue, teeth = (np.unique(data.quads[f"helper-{name}"]) for name in ("tongue", "lower-teeth"))
    with_jaw = rigid_part(data.vertices[teeth], moved[teeth], data.vertices[tongue])
    share = np.clip((data.vertices[tongue, 2] - ROOT[0]) / (ROOT[1] - ROOT[0]), 0, 1)[:, None, None]
    moved[tongue] += share * (with_jaw - moved[tongue])


def _soft_beside_mouth(data: MakeHuman, moved: np.ndarray) -> np.ndarray:
    """Displacements [n, 3, 64] that bend the skin beside the lips less.

    Artists made each unit for itself; where several act, as in a smile, their folds would add up to creases.
    """
    skin = data.quads["body"]
    i, j = np.stack([skin, np.roll(skin, -1, axis=1)], axis=-1).reshape(-1, 2).T
    links = sp.csr_matrix((np.ones(2 * len(i)), (np.r_[i, j], np.r_[j, i])), (len(moved),) * 2)
    links.data = 1 / np.linalg.norm(np.subtract(*data.vertices[np.array(links.nonzero())]), axis=1)
    share = _ramp(data.vertices, LIPS, FROM_LIPS) * _ramp(data.vertices, CORNERS, FROM_CORNERS)
    share[np.asarray(links.sum(axis=1)).ravel() == 0] = 0
    around = sp.diags(1 / np.maximum(np.asarray(links.sum(axis=1)).ravel(), 1e-9)) @ links
    soft = moved[..., SOFTENED].reshape(len(moved), -1)
    for _ in range(SOFTENINGS):
        soft = soft + 0.5 * share[:, None] * (around @ soft - soft)
    moved = moved.copy()
    moved[..., SOFTENED] = soft.reshape(len(moved), 3, -1)
    return moved


def _sizes(surface: sp.csr_matrix, moved: np.ndarray) -> np.ndarray:
    """Root of the sum of the squares [units] of displacements [cage, 3, units] over the surface."""
    return np.linalg.norm(
        (surface @ moved.reshape(len(moved), -1)).reshape(-1, *moved.shape[1:]), axis=(0, 1)
    )


def _ramp(vertices: np.ndarray, points: Iterable[int], ends: tuple[float, float]) -> np.ndarray:
    """Per vertex [n] from 0 to 1 where its distance from the nearest iBUG point passes from end to end."""
    away = cKDTree(vertices[[IBUG[point] for point in points]]).query(vertices)[0]
    t = np.clip((away - ends[0]) / (ends[1] - ends[0]), 0, 1)
    return t * t * (3 - 2 * t)


def _gaze(data: MakeHuman, name: str) -> np.ndarray:
    """Both eyeballs turn, linearised: displacement = angle * axis x (point - centre)."""
    up, left = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])
    axes = {"gaze-left": (up, up), "gaze-down": (left, left), "gaze-inward": (-up, up)}[name]
    moved = np.zeros_like(data.vertices)
    for side, axis in zip("lr", axes):
        ball = np.unique(data.quads[f"helper-{side}-eye"])
        offset = data.vertices[ball] - data.vertices[ball].mean(axis=0)
        moved[ball] = GAZE_ANGLE * np.cross(axis, offset)
    return moved


def rigid_part(points: np.ndarray, moved: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """The linearised rigid motion nearest to displacements [n, 3, units] of points [n, 3].

    Given at other points, if there are any.
    """
    middle = points.mean(axis=0)
    motion = np.linalg.lstsq(_motions(points - middle), moved.reshape(3 * len(points), -1), rcond=None)[0]
    there = points if others is None else others
    return (_motions(there - middle) @ motion).reshape(len(there), 3, -1)


def _motions(offset: np.ndarray) -> np.ndarray:
    """How three turns and three shifts move points at an offset [n, 3] from the centre: [3n, 6]."""
    turns = np.stack([np.cross(axis, offset).ravel() for axis in np.eye(3)], axis=-1)
    return np.concatenate([turns, np.tile(np.eye(3), (len(offset), 1))], axis=1)
