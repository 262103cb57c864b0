"""Bring a predicted face to the scan of the same face: landmarks first, then ICP (docs/method.md 6)."""

import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from dfmvr_jax.closest_points import ClosestPoints, closest_points
from dfmvr_jax.geometry import align_similarity
from dfmvr_jax.render.array_types import Float, Int

SMALLEST_GAIN_MM = 1e-4  # of the RMSE, for which another ICP step is worth while


def register_landmarks(
    vertices: Float[np.ndarray, "n 3"],
    landmarks: Int[np.ndarray, "k"],
    scan_landmarks: Float[np.ndarray, "k 3"],
) -> Float[np.ndarray, "n 3"]:
    """Vertices after the similarity, never a reflection, that brings those at `landmarks` to the scan's."""
    centre, scan_centre = vertices[landmarks].mean(axis=0), scan_landmarks.mean(axis=0)
    source, target = vertices[landmarks] - centre, scan_landmarks - scan_centre
    scale, rotation, translation = map(np.asarray, align_similarity(jnp.asarray(source), jnp.asarray(target)))
    return scale * (vertices - centre) @ rotation.T + translation + scan_centre


def register_surface(
    vertices: Float[np.ndarray, "n 3"],
    triangles: Int[np.ndarray, "f 3"],
    scan_points: Float[np.ndarray, "k 3"],
    max_steps: int = 30,
) -> tuple[Float[np.ndarray, "n 3"], ClosestPoints]:
    """ICP with scale: vertices moved nearest to the scan's points, and what on their surface is nearest.

    Each step finds the exact closest point on the surface for every scan point and solves for the
    similarity (7 parameters) that minimises the distances along the surface's normals there (point-to-plane
    Gauss-Newton, Chen and Medioni 1992). It stops where the RMSE of the true distances no longer falls.
    Scale is free, in the scan's millimetres, as the protocol of the released code and of NoW has it.

    Args:
      vertices: in the scan's frame and roughly in place, mm (`register_landmarks`).
      triangles: of the surface.
      scan_points: points of the scan that the surface should cover, mm.
      max_steps: most ICP steps; 4 or 5 are usual.
    """
    best, best_rmse = None, np.inf
    for _ in range(max_steps):
        closest = closest_points(vertices, triangles, scan_points)
        rmse = np.sqrt(np.mean(np.sum((scan_points - closest.points) ** 2, axis=-1)))
        if rmse > best_rmse - SMALLEST_GAIN_MM:
            break
        best, best_rmse = (vertices, closest), rmse
        vertices = _point_to_plane_step(vertices, closest, scan_points)
    assert best is not None  # the first step is the best so far
    return best


def _point_to_plane_step(
    vertices: Float[np.ndarray, "n 3"], closest: ClosestPoints, scan_points: Float[np.ndarray, "k 3"]
) -> Float[np.ndarray, "n 3"]:
    """One Gauss-Newton step. A closest point q moves by w x q + s q + t, seen from the points' centre."""
    centre = closest.points.mean(axis=0)
    q, n = closest.points - centre, closest.normals
    jacobian = np.concatenate([np.cross(q, n), np.sum(q * n, axis=-1, keepdims=True), n], axis=-1)
    gap = np.sum((scan_points - closest.points) * n, axis=-1)
    step = np.linalg.lstsq(jacobian, gap)[0]
    rotation = Rotation.from_rotvec(step[:3]).as_matrix()
    return np.exp(step[3]) * (vertices - centre) @ rotation.T + centre + step[4:]
