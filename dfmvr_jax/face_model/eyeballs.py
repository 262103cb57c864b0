"""Eyeballs of heads."""

import numpy as np

from dfmvr_jax.render.array_types import Float


def fit_sphere(points: Float[np.ndarray, "points 3"]) -> tuple[Float[np.ndarray, "3"], float]:
    """Centre and radius of the sphere that points lie on, by least squares."""
    system = np.concatenate([2 * points, np.ones((len(points), 1))], axis=1)
    *centre, rest = np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0]
    return np.array(centre), float(np.sqrt(rest + np.dot(centre, centre)))


def gaze_directions(ball: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
    """Unit vectors from the centre of an eyeball to its points, z along the gaze."""
    offset = ball - fit_sphere(ball)[0]
    directions = offset / np.linalg.norm(offset, axis=1, keepdims=True)
    gaze = offset[np.argsort(-offset[:, 2])[:4]].sum(axis=0)  # to the cornea's apex
    gaze /= np.linalg.norm(gaze)
    side = np.cross([0.0, 1.0, 0.0], gaze)
    side /= np.linalg.norm(side)
    return directions @ np.stack([side, np.cross(gaze, side), gaze], axis=1)
