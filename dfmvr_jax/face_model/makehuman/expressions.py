"""The 64 expression units, from MakeHuman's expression targets and a few detail targets."""

import numpy as np

from dfmvr_jax.face_model.expression_units import DETAILS, GAZE, SIDED, UNSIDED
from dfmvr_jax.face_model.makehuman.sources import MakeHuman

BLEND_WIDTH = 0.2  # dm over which a unit passes from the one half of the face to the other
GAZE_ANGLE = np.radians(20)  # of a full gaze unit


def full_units(data: MakeHuman, cage: np.ndarray) -> np.ndarray:
    """Displacements [cage, 3, 64] in dm of the units at full strength, in the order of `EXPRESSION_UNITS`."""
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
    for side in "lr":
        ball = np.unique(data.quads[f"helper-{side}-eye"])
        moved[ball] = rigid_part(data.vertices[ball], moved[ball])
    return moved[cage]


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


def rigid_part(points: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The linearised rigid motion nearest to displacements [n, 3, units] of points [n, 3]."""
    offset = points - points.mean(axis=0)
    turns = np.stack([np.cross(axis, offset).ravel() for axis in np.eye(3)], axis=-1)
    shifts = np.tile(np.eye(3), (len(points), 1))
    motions = np.concatenate([turns, shifts], axis=1)  # [3n, 6]
    flat = moved.reshape(3 * len(points), -1)
    return (motions @ np.linalg.lstsq(motions, flat, rcond=None)[0]).reshape(moved.shape)
