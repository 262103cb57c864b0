"""Farthest-point sampling: points spread evenly over a surface, the same on every run."""

import numpy as np

SPREAD_POINTS = 33  # with the 68 landmarks they make 101


def farthest_points(
    positions: np.ndarray, chosen: np.ndarray, candidates: np.ndarray, count: int
) -> np.ndarray:
    """`chosen` [k] and `count` of the `candidates`, each as far from all before it as can be.

    All are indices into `positions` [n, 3]; the result [k + count] begins with `chosen`.
    """
    points = list(chosen)
    distance = np.full(len(candidates), np.inf)
    for index in points:
        distance = np.minimum(distance, np.linalg.norm(positions[candidates] - positions[index], axis=1))
    for _ in range(count):
        points.append(candidates[distance.argmax()])
        distance = np.minimum(distance, np.linalg.norm(positions[candidates] - positions[points[-1]], axis=1))
    return np.array(points, np.int32)
