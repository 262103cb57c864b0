"""Catmull-Clark subdivision, its limit surface, and clipping, all as sparse matrices over vertices.

Catmull & Clark, "Recursively generated B-spline surfaces on arbitrary topological meshes", 1978;
limit positions: Halstead et al., "Efficient, fair interpolation using Catmull-Clark surfaces", 1993.
"""

import numpy as np
import scipy.sparse as sp


def _edges(quads: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges [e, 2], the four edges of every quad [n, 4], and how many quads each edge has [e]."""
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1)  # [n, 4, 2]
    edges, index, count = np.unique(
        np.sort(sides.reshape(-1, 2), axis=1), axis=0, return_inverse=True, return_counts=True
    )
    return edges, index.reshape(-1, 4), count


def _incidence(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape)


def _scale_rows(matrix: sp.spmatrix, factors: np.ndarray) -> sp.spmatrix:
    return sp.diags(factors) @ matrix


def catmull_clark(quads: np.ndarray, num_vertices: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """One step of subdivision.

    Returns the matrix [new vertices, num_vertices] and the new quads [4n, 4]. New vertices are in the
    order: old vertices, edge points, face points, so vertex i keeps its index.
    """
    n = len(quads)
    edges, quad_edges, count = _edges(quads)
    face_points = _incidence(np.repeat(np.arange(n), 4), quads.ravel(), (n, num_vertices)) / 4

    ends = _incidence(np.repeat(np.arange(len(edges)), 2), edges.ravel(), (len(edges), num_vertices))
    edge_faces = _incidence(quad_edges.ravel(), np.repeat(np.arange(n), 4), (len(edges), n))
    inner = count == 2
    edge_points = _scale_rows(ends, np.where(inner, 0.25, 0.5)) + _scale_rows(
        edge_faces @ face_points, np.where(inner, 0.25, 0.0)
    )

    on_border = np.zeros(num_vertices, bool)
    on_border[edges[~inner]] = True
    vertex_faces = _incidence(quads.ravel(), np.repeat(np.arange(n), 4), (num_vertices, n))
    valence = np.maximum(np.asarray(vertex_faces.sum(axis=1)).ravel(), 1)
    neighbours = ends.T @ ends
    neighbours.setdiag(0)
    border_ends = ends[~inner]
    border_neighbours = border_ends.T @ border_ends
    border_neighbours.setdiag(0)
    identity = sp.identity(num_vertices, format="csr")
    smooth = (
        _scale_rows(vertex_faces @ face_points, 1 / valence**2)
        + _scale_rows(neighbours, 1 / valence**2)
        + _scale_rows(identity, (valence - 2) / valence)
    )
    border = border_neighbours / 8 + identity * 0.75
    vertex_points = _scale_rows(smooth, ~on_border * 1.0) + _scale_rows(border, on_border * 1.0)

    first_edge, first_face = num_vertices, num_vertices + len(edges)
    faces = first_face + np.arange(n)
    new_quads = np.stack(
        [
            np.stack(
                [quads[:, k], first_edge + quad_edges[:, k], faces, first_edge + quad_edges[:, k - 1]], -1
            )
            for k in range(4)
        ],
        axis=1,
    ).reshape(-1, 4)
    return sp.vstack([vertex_points, edge_points, face_points]).tocsr(), new_quads


def limit_positions(quads: np.ndarray, num_vertices: int) -> sp.csr_matrix:
    """Matrix [num_vertices, num_vertices] that puts every vertex on the limit surface.

    Two densities of one surface agree on the vertices that they share.
    """
    edges, _, count = _edges(quads)
    ends = _incidence(np.repeat(np.arange(len(edges)), 2), edges.ravel(), (len(edges), num_vertices))
    neighbours = ends.T @ ends
    neighbours.setdiag(0)
    across = _incidence(quads.ravel(), np.roll(quads, 2, axis=1).ravel(), (num_vertices, num_vertices))
    valence = np.maximum(np.asarray(across.sum(axis=1)).ravel(), 1)
    identity = sp.identity(num_vertices, format="csr")
    smooth = _scale_rows(sp.diags(valence**2) + 4 * neighbours + across, 1 / (valence * (valence + 5)))
    on_border = np.zeros(num_vertices, bool)
    on_border[edges[count == 1]] = True
    border_ends = ends[count == 1]
    border_neighbours = border_ends.T @ border_ends
    border_neighbours.setdiag(0)
    border = border_neighbours / 6 + identity * (4 / 6)
    return (_scale_rows(smooth, ~on_border * 1.0) + _scale_rows(border, on_border * 1.0)).tocsr()


def triangulate(quads: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Split every quad along its shorter diagonal: [2n, 3]."""
    p = positions[quads]
    first = np.linalg.norm(p[:, 0] - p[:, 2], axis=1) <= np.linalg.norm(p[:, 1] - p[:, 3], axis=1)
    split = np.where(first[:, None], quads[:, [0, 1, 2, 0, 2, 3]], quads[:, [0, 1, 3, 1, 2, 3]])
    return split.reshape(-1, 3)


def subdivide_corners(values: np.ndarray) -> np.ndarray:
    """Values [n, 4, ...] at the corners of quads, for the four quads that `catmull_clark` makes of each."""
    middle, centre = (values + np.roll(values, -1, axis=1)) / 2, values.mean(axis=1)
    four = [np.stack([values[:, k], middle[:, k], centre, middle[:, k - 1]], 1) for k in range(4)]
    return np.stack(four, 1).reshape(-1, *values.shape[1:])


def triangulate_mixed(
    quads: np.ndarray, children: np.ndarray, refined: np.ndarray, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles of the four `children` of each of the `refined` [n] quads, and of the other quads themselves.

    The surface has no cracks: a quad beside a refined one takes over the points on their common edge. Returns
    the triangles and the quad of each.
    """
    children = children.reshape(-1, 4, 4)
    fine = triangulate(children[refined].reshape(-1, 4), positions)
    edge_points = children[:, :, 1]  # [n, 4]: the k-th lies between the corners k and k + 1
    hanging = np.isin(edge_points, edge_points[refined]) & ~refined[:, None]
    plain = ~refined & ~hanging.any(axis=1)
    fans, owner = [], []
    for quad in np.flatnonzero(hanging.any(axis=1)):
        ring = [
            (point, middle)
            for k in range(4)
            for point, middle in ((quads[quad, k], False), (edge_points[quad, k], True))
            if not middle or hanging[quad, k]
        ]
        first = next(k for k, (_, middle) in enumerate(ring) if middle)
        tip, *others = [point for point, _ in ring[first:] + ring[:first]]
        fans += [(tip, a, b) for a, b in zip(others, others[1:])]
        owner += [quad] * (len(others) - 1)
    return (
        np.concatenate([fine, triangulate(quads[plain], positions), np.array(fans, int).reshape(-1, 3)]),
        np.concatenate(
            [
                np.repeat(np.flatnonzero(refined), 8),
                np.repeat(np.flatnonzero(plain), 2),
                np.array(owner, int),
            ]
        ),
    )


def clip(
    triangles: np.ndarray, values: np.ndarray, snap: float = 0.05
) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    """The part of a mesh where a value per vertex is positive, cut along the line value = 0.

    A vertex closer to the line than `snap` of an edge is put on the border itself, which avoids slivers.
    Returns the matrix [kept vertices, vertices], the triangles over the kept vertices, and of each the
    triangle that it was or is a part of.
    """
    values = values.copy()
    edges = np.unique(np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    a, b = values[edges].T
    crossing = a * b < 0
    share = np.where(crossing, a / np.where(crossing, a - b, 1), 0.5)  # where on the edge the line is
    values[edges[crossing & (share < snap), 0]] = 0
    values[edges[crossing & (share > 1 - snap), 1]] = 0

    crossing = edges[values[edges[:, 0]] * values[edges[:, 1]] < 0]
    a, b = values[crossing].T
    share = a / (a - b)
    n = len(values)
    cut_point = {(i, j): n + k for k, (i, j) in enumerate(crossing.tolist())}
    matrix = sp.vstack(
        [
            sp.identity(n),
            sp.csr_matrix(
                (
                    np.stack([1 - share, share], -1).ravel(),
                    (np.repeat(np.arange(len(crossing)), 2), crossing.ravel()),
                ),
                (len(crossing), n),
            ),
        ]
    ).tocsr()

    inside = values[triangles]
    whole = (inside >= 0).all(axis=1) & (inside > 0).any(axis=1)
    partial = (inside > 0).any(axis=1) & ~whole
    parts, source = [triangles[whole]], list(np.flatnonzero(whole))
    for number, triangle in zip(np.flatnonzero(partial), triangles[partial].tolist()):
        polygon = []
        for i, j in zip(triangle, triangle[1:] + triangle[:1]):
            if values[i] >= 0:
                polygon.append(i)
            if values[i] * values[j] < 0:
                polygon.append(cut_point[min(i, j), max(i, j)])
        parts.append([[polygon[0], p, q] for p, q in zip(polygon[1:], polygon[2:])])
        source += [number] * len(parts[-1])
    kept = np.concatenate([np.reshape(part, (-1, 3)) for part in parts]).astype(int)
    used, compact = np.unique(kept, return_inverse=True)
    return matrix[used], compact.reshape(-1, 3), np.array(source)
