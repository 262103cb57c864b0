"""Which vertices of a symmetric head are each other's mirror image."""

import numpy as np
from scipy.spatial import cKDTree


def mirror_vertices(positions: np.ndarray) -> np.ndarray:
    """Find the same place's vertex [n] on the other side of the plane x = 0; `positions` are [n, 3]."""
    return cKDTree(positions).query(positions * [-1, 1, 1])[1]
