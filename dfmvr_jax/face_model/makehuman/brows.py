"""Brows drawn hair by hair, as cover of the vertices."""

import numpy as np
from scipy.spatial import cKDTree

# middle line of a brow from the nose outwards, (|x|, y) in dm of the base mesh, and its half height
BROW_LINE = np.array([[0.115, 7.45], [0.24, 7.495], [0.37, 7.51], [0.49, 7.485], [0.585, 7.42]])
BROW_HALF_HEIGHT = np.array([0.045, 0.052, 0.045, 0.034, 0.014])
HAIR_WIDTH = 0.0042  # dm, as it shows on vertices about 0.01 dm apart
# hairs of one brow, and how far beyond the brow's outline their roots reach
LAYERS = ((90, 0.6), (170, 0.75), (300, 0.95))


def brow_hairs(rest: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cover [n, layers], 0 to 1, of points of the base mesh by sparse, usual and bushy brows, symmetric."""
    along, across = brow_coordinates(rest)
    near = np.flatnonzero((np.abs(across) < 2.6) & (along > -0.25) & (along < 1.25) & (rest[:, 2] > 0.8))
    points = np.stack([np.abs(rest[near, 0]), rest[near, 1]], axis=-1)
    tree = cKDTree(points)
    cover = np.zeros((len(rest), len(LAYERS)))
    for layer, (count, reach) in enumerate(LAYERS):
        ink = np.zeros(len(near))
        for root_along, root_across in zip(
            0.94 * rng.beta(1.2, 1.2, count), rng.uniform(-reach, reach, count)
        ):
            strand = _strand(root_along, root_across, rng)
            touched = np.unique(np.concatenate(tree.query_ball_point(strand, 0.02)).astype(int))
            if len(touched):
                gap = np.linalg.norm(points[touched, None] - strand, axis=-1).min(axis=1)
                ink[touched] += np.exp(-0.5 * (gap / HAIR_WIDTH) ** 2)
        cover[near, layer] = 1 - np.exp(-0.6 * ink)
    return cover


def brow_coordinates(rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points [n, 3] of the base mesh lie on their brow: (along, across), inside when
    0 <= along <= 1 (from the nose outwards) and |across| <= 1 (up is positive)."""
    x = np.abs(rest[:, 0])
    start, end = BROW_LINE[0, 0], BROW_LINE[-1, 0]
    middle = np.interp(x, BROW_LINE[:, 0], BROW_LINE[:, 1])
    half = np.interp(x, BROW_LINE[:, 0], BROW_HALF_HEIGHT)
    return (x - start) / (end - start), (rest[:, 1] - middle) / half


def _strand(along: float, across: float, rng: np.random.Generator) -> np.ndarray:
    """Points (|x|, y) [k, 2] of a hair: upright at the nose, lying flat at the tail."""
    x = BROW_LINE[0, 0] + along * (BROW_LINE[-1, 0] - BROW_LINE[0, 0])
    y = np.interp(x, *BROW_LINE.T) + across * np.interp(x, BROW_LINE[:, 0], BROW_HALF_HEIGHT)
    slope = np.arctan2(*np.diff(BROW_LINE, axis=0).T[::-1])
    lie = np.interp(x, (BROW_LINE[1:, 0] + BROW_LINE[:-1, 0]) / 2, slope)
    angle = lie + np.radians(np.interp(along, [0, 0.2, 0.5, 1], [60, 32, 14, 2]))
    angle += np.radians(-14 * across + rng.normal(0, 7))
    length = rng.uniform(0.05, 0.085) * (1 - 0.3 * along)
    bend = np.linspace(0, 1, 7)
    turn = angle + bend * (lie - angle) * 0.7
    steps = length / 7 * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    return np.array([x, y]) + np.cumsum(steps, axis=0)
