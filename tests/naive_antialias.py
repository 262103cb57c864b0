"""Antialiasing in NumPy, one edge and one pair of pixels after the other: the oracles of `render`."""

import itertools

import numpy as np


def naive_antialias(image, ids, depth, clip_positions, triangles):
    """Blend every pair of pixels with the outermost of the outline's edges between them."""
    height, width = ids.shape
    x, y, z = screen_positions(clip_positions, (height, width))
    sides = {}
    for triangle in np.asarray(triangles):
        for corner in range(3):
            a, b = sorted(np.delete(triangle, corner))
            sides.setdefault((a, b), []).append(triangle[corner])
    best = {}
    for (a, b), opposite in sides.items():
        areas = [(x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a]) for c in opposite]
        if len(areas) == 2 and areas[0] * areas[1] < 0 or not any(areas):
            continue
        vertical = abs(y[b] - y[a]) < abs(x[b] - x[a])  # pixels on top of each other
        along, across = (x, y) if vertical else (y, x)
        lines = width if vertical else height
        low, high = sorted([along[a], along[b]])
        for line in range(max(0, int(np.ceil(low))), min(lines, int(np.ceil(high)))):
            share = (line - along[a]) / (along[b] - along[a])
            crossing, edge_depth = (values[a] + share * (values[b] - values[a]) for values in (across, z))
            first = int(np.floor(crossing))
            if not 0 <= first < (height if vertical else width) - 1:
                continue
            pair = [(k, line) if vertical else (line, k) for k in (first, first + 1)]
            third = opposite[0] if areas[0] else opposite[1]
            inside = along[a] + (along[b] - along[a]) * share, across[third]
            middle = across[a] + (along[third] - along[a]) * (across[b] - across[a]) / (along[b] - along[a])
            is_first_inner = inside[1] < middle
            inner, outer = pair if is_first_inner else pair[::-1]
            if ids[inner] == ids[outer] or not max(depth[inner], edge_depth) < depth[outer]:
                continue
            reach = crossing - first if is_first_inner else 1 - (crossing - first)
            best[tuple(pair)] = max(best.get(tuple(pair), (-1, 0)), (reach, crossing - first))
    blends = np.zeros_like(image, np.float64)
    shares = np.zeros((height, width, 1))
    for pair, (_, position) in best.items():
        blend_pair(blends, image, pair, position)
        shares[pair[int(position >= 0.5)]] += abs(position - 0.5)
    return image + blends / np.maximum(shares, 1)


def naive_antialias_by_pixel(image, ids, depth, clip_positions, triangles):
    """nvdiffrast's rule: the edge through which the line to the neighbour leaves the nearer triangle."""
    height, width = ids.shape
    x, y, _ = screen_positions(clip_positions, (height, width))
    triangles = np.asarray(triangles)
    result = np.array(image, np.float64)
    for row, column, (down, right) in itertools.product(range(height), range(width), ((0, 1), (1, 0))):
        pair = [(row, column), (row + down, column + right)]
        if pair[1][0] >= height or pair[1][1] >= width or ids[pair[0]] == ids[pair[1]]:
            continue
        is_first_nearer = depth[pair[0]] < depth[pair[1]]
        triangle = triangles[ids[pair[0 if is_first_nearer else 1]]]
        along, across = (x, y) if down else (y, x)
        line, start = (column, row) if down else (row, column)
        leaving = (-np.inf, None)
        for corner in range(3):
            a, b = np.delete(triangle, corner)
            if (along[a] < line) == (along[b] < line):
                continue
            crossing = across[a] + (line - along[a]) / (along[b] - along[a]) * (across[b] - across[a]) - start
            reach = crossing if is_first_nearer else 1 - crossing
            leaving = max(leaving, (reach, (corner, crossing)))
        reach, found = leaving
        if found is None or not -1 / 16 < reach < 17 / 16:
            continue
        corner, crossing = found
        a, b = np.delete(triangle, corner)
        is_outline = True
        for other in triangles:
            if {a, b} <= set(other) and set(other) != set(triangle):
                wing = (set(other) - {a, b}).pop()
                areas = [
                    (x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a])
                    for c in (triangle[corner], wing)
                ]
                is_outline = (areas[0] < 0) == (areas[1] < 0)
        if is_outline and abs(along[b] - along[a]) >= abs(across[b] - across[a]):
            blend_pair(result, image, pair, np.clip(crossing, 0, 1))
    return result


def blend_pair(result, image, pair, position):
    first, second = (np.asarray(image[pixel], np.float64) for pixel in pair)
    if position < 0.5:
        result[pair[0]] += (0.5 - position) * (second - first)
    else:
        result[pair[1]] += (position - 0.5) * (first - second)


def screen_positions(clip_positions, size):
    """Column and row, whole at the centres of pixels, and z/w, float64."""
    height, width = size
    x, y, z, w = np.asarray(clip_positions, np.float64).T
    return (x / w + 1) * width / 2 - 0.5, (1 - y / w) * height / 2 - 0.5, z / w
