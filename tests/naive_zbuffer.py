"""A float64 z-buffer in NumPy, one triangle after the other: slow and obvious, the oracle of `render/`."""

import numpy as np


def naive_rasterize(clip_positions, triangles, image_size):
    """Returns triangle ids (-1 = none), perspective-correct barycentrics and z/w (1 in the background)."""
    height, width = image_size
    clip = np.asarray(clip_positions, np.float64)
    ids = np.full((height, width), -1)
    barycentrics = np.zeros((height, width, 3))
    depths = np.ones((height, width))
    for triangle, corners in enumerate(clip[np.asarray(triangles)]):
        w = corners[:, 3]
        if not np.isfinite(corners).all() or (w <= 1e-6).any():
            continue
        (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = corners[:, :3] / w[:, None]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) * width * height / 4 < 2e-6:
            continue
        columns = (np.array([min(x0, x1, x2), max(x0, x1, x2)]) + 1) * width / 2 + [-1, 2]
        rows = (1 - np.array([max(y0, y1, y2), min(y0, y1, y2)])) * height / 2 + [-1, 2]
        (left, right), (top, bottom) = columns.clip(0, width).astype(int), rows.clip(0, height).astype(int)
        row, column = np.mgrid[top:bottom, left:right]
        x, y = (2 * column + 1) / width - 1, 1 - (2 * row + 1) / height
        b0 = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
        b1 = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
        b2 = ((x0 - x) * (y1 - y) - (x1 - x) * (y0 - y)) / area
        depth = b0 * z0 + b1 * z1 + b2 * z2
        covered = (b0 >= 0) & (b1 >= 0) & (b2 >= 0) & (abs(depth) <= 1)
        seen = covered & ((depth < depths[row, column]) | (ids[row, column] < 0))
        weights = np.stack([b0, b1, b2], -1)[seen] / w
        ids[row[seen], column[seen]] = triangle
        barycentrics[row[seen], column[seen]] = weights / weights.sum(-1, keepdims=True)
        depths[row[seen], column[seen]] = depth[seen]
    return ids, barycentrics, depths
