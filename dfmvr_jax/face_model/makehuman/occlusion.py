"""Ambient occlusion of a mesh: how much of its sky each vertex sees."""

import numpy as np

DIRECTIONS = 192
CELL, BIAS = 0.014, 0.03  # dm: cell of a depth map, and how far behind it counts as hidden
UNSHADED = 0.7  # share of the sky that leaves the colour as it is
REDDENING = np.array([0.55, 0.75, 0.8])  # red light is scattered into crevices, through the skin


def surface_normals(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals [vertices, 3], area-weighted over the triangles around a vertex."""
    a, b, c = np.moveaxis(positions[triangles], 1, 0)
    normals = np.zeros_like(positions)
    np.add.at(normals, triangles, np.cross(b - a, c - a)[:, None])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def ambient_occlusion(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Cosine-weighted share [vertices] of the sky that is not hidden by the mesh itself, 0 to 1.

    A depth map of points (vertices and triangle centres) stands in for the surface.
    """
    normals = surface_normals(positions, triangles)
    points = np.concatenate([positions, positions[triangles].mean(axis=1)])
    index = np.arange(DIRECTIONS) + 0.5
    height = 1 - 2 * index / DIRECTIONS
    turn = np.pi * (1 + 5**0.5) * index
    ring = np.sqrt(1 - height**2)
    seen, total = np.zeros(len(positions)), np.zeros(len(positions))
    for sky in np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=-1):
        across = np.cross(sky, [0.0, 1.0, 0.0] if abs(sky[1]) < 0.9 else [1.0, 0.0, 0.0])
        across /= np.linalg.norm(across)
        plane = points @ np.stack([across, np.cross(sky, across)], axis=-1)
        cell = ((plane - plane.min(axis=0)) / CELL).astype(int)
        cell = cell[:, 0] * (cell[:, 1].max() + 1) + cell[:, 1]
        depth = points @ sky
        nearest = np.full(cell.max() + 1, -np.inf)
        np.maximum.at(nearest, cell, depth)
        cosine = np.maximum(normals @ sky, 0)
        own = slice(len(positions))
        seen += cosine * (depth[own] > nearest[cell[own]] - BIAS)
        total += cosine
    return seen / np.maximum(total, 1e-9)


def crevice_shade(occlusion: np.ndarray) -> np.ndarray:
    """By how much skin [n, 3] is darker where it sees less of the sky: in nostrils, between lips."""
    return np.clip(occlusion / UNSHADED, 0.05, 1)[:, None] ** REDDENING
