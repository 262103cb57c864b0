"""A coarser mesh of the same head, for machines without a GPU."""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_rings
from dfmvr_jax.face_model.painted_head import EYES

HIDDEN_SIZE = 0.3  # of teeth, gums and tongue, where it is decided which vertices to keep
MIDDLE = 1e-3  # dm from the plane between left and right within which a vertex lies on it
CUT = 0.02  # the same, where simplification has moved vertices along the cut
CANDIDATES = 12  # triangles near a point, one of which it lies on
SHAPES = ("mean_shape", "identity_basis", "expression_basis")
COLOURS = ("mean_albedo", "albedo_basis")
LABELS = ("part_labels", "skin_mask", "photo_weight")


class Places(NamedTuple):
    """Where new vertices lie on the old mesh."""

    triangles: np.ndarray  # [k]
    shares: np.ndarray  # [k, 3] of the triangle's corners; their sum is 1


def coarser(model: MorphableModel, num_vertices: int) -> MorphableModel:
    """Make a mesh of about so many vertices on the surface of a model that is the same on both sides.

    Its left half is simplified on the mean head by quadric error (Garland & Heckbert 1997); teeth, gums and
    tongue count for less. New vertices move as the places of the old surface do that they lie on; the 68
    landmarks are the old ones. Colours are means of the old vertices around.
    """
    assert model.mirror is not None, "a model that is the same on both sides"
    old, shape = np.array(model.triangles, np.int32), np.array(model.mean_shape, np.float64)
    piece = _pieces(old, len(shape))
    seen = _hidden_pieces_shrunk(shape, piece, np.isin(model.part_labels, EYES))
    points, new, mirror = _simplified(seen, old, 1 - num_vertices / len(shape))
    new_piece = _old_pieces(points, new, seen, piece)
    places = _places(seen, old, piece, points, new_piece)

    landmarks = np.asarray(model.landmarks)
    marks = _nearest_unlike(points, mirror, seen[landmarks])
    for vertex, mark in zip(marks, landmarks):
        for one, other in ((vertex, mark), (mirror[vertex], int(model.mirror[mark]))):
            row, column = np.argwhere(old == other)[0]
            places.triangles[one], places.shares[one] = row, np.eye(3)[column]
    weights = sp.csr_matrix(
        (places.shares.ravel(), (np.repeat(np.arange(len(points)), 3), old[places.triangles].ravel())),
        (len(points), len(shape)),
    )
    heaviest = old[places.triangles, places.shares.argmax(axis=1)]
    around = cKDTree(weights @ seen).query(seen)[1]  # of each old vertex, the nearest new one
    spread = cKDTree(weights @ shape).query(shape[np.asarray(model.landmarks_3d)[len(landmarks) :]])[1]
    changes: dict[str, Any] = {name: _rows(weights, getattr(model, name)) for name in SHAPES}
    for name in COLOURS:
        changes[name] = _blend(weights, around, getattr(model, name))
    for name in LABELS:
        values = getattr(model, name)
        changes[name] = None if values is None else values[jnp.asarray(heaviest)]
    changes |= _texture(model, shape, piece, places, weights @ shape, new, new_piece)
    return dataclasses.replace(
        model,
        **changes,
        name=f"{model.name}-coarse",
        triangles=jnp.asarray(new),
        vertex_triangles=jnp.asarray(vertex_rings(new, len(points))),
        landmarks=jnp.asarray(marks, jnp.int32),
        landmarks_3d=jnp.asarray(np.concatenate([marks, spread]), jnp.int32),
        mirror=jnp.asarray(mirror, jnp.int32),
    )


def _pieces(triangles: np.ndarray, count: int) -> np.ndarray:
    """Number [n] of the connected piece of the mesh that each vertex belongs to."""
    ends = triangles.ravel(), np.roll(triangles, 1, axis=1).ravel()
    return connected_components(sp.csr_matrix((np.ones(triangles.size), ends), (count, count)))[1]


def _hidden_pieces_shrunk(shape: np.ndarray, piece: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Positions [n, 3] with all pieces but the largest and the eyes made smaller, each on its spot."""
    count = np.bincount(piece)
    centre = np.stack([np.bincount(piece, axis) for axis in shape.T], axis=-1) / count[:, None]
    size = np.where((piece == count.argmax()) | eyes, 1.0, HIDDEN_SIZE)[:, None]
    return centre[piece] + size * (shape - centre[piece])


def _simplified(
    shape: np.ndarray, triangles: np.ndarray, reduction: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points [k, 3], triangles [f, 3] and mirror [k] of the left half made simple, and its image."""
    import fast_simplification

    left = triangles[(shape[triangles, 0] > -MIDDLE).all(axis=1)]
    used, half = np.unique(left, return_inverse=True)
    points, half = fast_simplification.simplify(shape[used], half.reshape(-1, 3).astype(np.int32), reduction)
    points, half = np.asarray(points, np.float64), _without_twins(np.asarray(half, np.int32))
    middle: np.ndarray = np.isin(np.arange(len(points)), _border(half)) & (np.abs(points[:, 0]) < CUT)
    points[middle, 0] = 0.0
    image = np.arange(len(points))  # a vertex on the middle line is its own
    image[~middle] = len(points) + np.arange((~middle).sum())
    mirror = np.concatenate([image, np.flatnonzero(~middle)])
    whole = np.concatenate([half, image[half][:, ::-1]])
    return np.concatenate([points, points[~middle] * [-1, 1, 1]]), whole.astype(np.int32), mirror


def _without_twins(triangles: np.ndarray) -> np.ndarray:
    """Each triangle once, and none with two equal corners."""
    ordered = np.sort(triangles, axis=1)
    first = np.unique(ordered, axis=0, return_index=True)[1]
    proper = np.diff(ordered, axis=1).min(axis=1) > 0
    return triangles[np.sort(first[proper[first]])]


def _border(triangles: np.ndarray) -> np.ndarray:
    """Vertices of the edges that have one triangle only."""
    edges = np.sort(np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    return np.unique(edges[count == 1])


def _old_pieces(
    points: np.ndarray, triangles: np.ndarray, shape: np.ndarray, piece: np.ndarray
) -> np.ndarray:
    """The old piece [k] that each new point belongs to: the one that most of its new piece are near."""
    near = piece[cKDTree(shape).query(points)[1]]
    new_piece = _pieces(triangles, len(points))
    most = [np.bincount(near[new_piece == number]).argmax() for number in range(new_piece.max() + 1)]
    return np.array(most)[new_piece]


def _places(
    shape: np.ndarray, triangles: np.ndarray, piece: np.ndarray, points: np.ndarray, of_piece: np.ndarray
) -> Places:
    """The nearest place on the old mesh for each point [k, 3], on the piece that it belongs to."""
    chosen, shares = np.zeros(len(points), int), np.zeros((len(points), 3))
    for number in np.unique(of_piece):
        rows, mine = np.flatnonzero(piece[triangles[:, 0]] == number), np.flatnonzero(of_piece == number)
        centres = shape[triangles[rows]].mean(axis=1)
        near = rows[cKDTree(centres).query(points[mine], min(CANDIDATES, len(rows)))[1]]  # [mine, candidates]
        inside = _barycentrics(shape[triangles[near]], points[mine][:, None]).clip(0)
        inside /= inside.sum(axis=-1, keepdims=True)
        gaps = np.einsum("mck,mckd->mcd", inside, shape[triangles[near]]) - points[mine][:, None]
        best = np.linalg.norm(gaps, axis=-1).argmin(axis=1)
        row = np.arange(len(mine))
        chosen[mine], shares[mine] = near[row, best], inside[row, best]
    return Places(chosen, shares)


def _barycentrics(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Shares [..., 3] of corners [..., 3, 3] in the points [..., 3], laid onto the triangle's plane."""
    u, v = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    w = points - corners[..., 0, :]
    uu, uv, vv, uw, vw = ((a * b).sum(axis=-1) for a, b in ((u, u), (u, v), (v, v), (u, w), (v, w)))
    scale = np.maximum(uu * vv - uv**2, 1e-12)
    second, third = (vv * uw - uv * vw) / scale, (uu * vw - uv * uw) / scale
    return np.stack([1 - second - third, second, third], axis=-1)


def _nearest_unlike(points: np.ndarray, mirror: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For each wanted point [k, 3] a vertex of its own: the nearest on its side, or on the middle line."""
    side = np.where(mirror == np.arange(len(points)), 0, np.sign(points[:, 0]))
    found: list[int] = []
    for point in wanted:
        own_side = 0 if abs(point[0]) < MIDDLE else np.sign(point[0])
        gaps = np.linalg.norm(points - point, axis=1)
        gaps[side != own_side] = np.inf
        gaps[found] = np.inf
        found.append(int(gaps.argmin()))
    return np.array(found)


def _rows(weights: sp.csr_matrix, values: jnp.ndarray) -> jnp.ndarray:
    """What new vertices have of values [n, ...] of the old ones."""
    flat = np.asarray(values).reshape(len(values), -1)
    return jnp.asarray(weights @ flat, jnp.float32).reshape(-1, *values.shape[1:])


def _blend(weights: sp.csr_matrix, around: np.ndarray, values: jnp.ndarray) -> jnp.ndarray:
    """Means of the old values around each new vertex; those of its place where it has none around."""
    count = np.bincount(around, minlength=weights.shape[0])
    sums = sp.csr_matrix((np.ones(len(around)), (around, np.arange(len(around)))), weights.shape)
    mean = sp.diags(1 / np.maximum(count, 1)) @ sums + sp.diags((count == 0) * 1.0) @ weights
    return _rows(mean.tocsr(), values)


def _texture(
    model: MorphableModel,
    shape: np.ndarray,
    piece: np.ndarray,
    places: Places,
    points: np.ndarray,
    triangles: np.ndarray,
    of_piece: np.ndarray,
) -> dict[str, jnp.ndarray]:
    """Fields `uv` and `uv_triangles` of the new triangles.

    A new triangle lies in the chart of the old one below its middle. Corners that lie on triangles of
    another chart, beyond a seam, take their coordinates from that one's plane.
    """
    if model.uv is None or model.uv_triangles is None:
        return {}
    old, uv, old_uv = np.asarray(model.triangles), np.asarray(model.uv), np.asarray(model.uv_triangles)
    chart = _pieces(old_uv, len(uv))[old_uv[:, 0]]
    below = _places(shape, old, piece, points[triangles].mean(axis=1), of_piece[triangles[:, 0]]).triangles
    own = np.einsum("kc,kcd->kd", places.shares, uv[old_uv[places.triangles]])[triangles]
    beyond = _barycentrics(shape[old[below]][:, None], points[triangles])
    extended = np.einsum("fkc,fcd->fkd", beyond, uv[old_uv[below]])
    in_chart = chart[places.triangles][triangles] == chart[below][:, None]
    corners = np.where(in_chart[..., None], own, extended).clip(0, 1).astype(np.float32)
    found, rows = np.unique(corners.reshape(-1, 2), axis=0, return_inverse=True)
    return {"uv": jnp.asarray(found), "uv_triangles": jnp.asarray(rows.reshape(-1, 3), jnp.int32)}
