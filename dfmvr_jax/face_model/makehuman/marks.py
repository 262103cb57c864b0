"""Part labels, the 68 landmarks and the 101 points of the built-in face."""

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.face_model.farthest_points import SPREAD_POINTS, farthest_points
from dfmvr_jax.face_model.makehuman.albedo import Regions, scalp_cover
from dfmvr_jax.face_model.makehuman.brows import BROW_LINE
from dfmvr_jax.face_model.makehuman.head_mesh import (
    LEFT_EYE,
    LOWER_TEETH,
    RIGHT_EYE,
    SKIN,
    UPPER_TEETH,
    FaceMesh,
    in_face,
    outline_value,
)
from dfmvr_jax.face_model.makehuman.occlusion import surface_normals

# vertices of the base mesh by iBUG number; the jaw (but for the chin) and the brows are found on the mean
IBUG = {
    8: 5225,
    **dict(zip(range(27, 31), (132, 131, 201, 297))),
    **dict(zip(range(31, 36), (358, 285, 343, 7054, 7119))),
    **dict(zip(range(36, 42), (21, 0, 54, 66, 47, 41))),
    **dict(zip(range(42, 48), (6850, 6838, 6784, 6805, 6825, 6831))),
    **dict(zip(range(48, 60), (422, 410, 456, 455, 7215, 7170, 7182, 7166, 7235, 492, 480, 406))),
    **dict(zip(range(60, 68), (499, 470, 474, 7226, 7248, 7236, 493, 481))),
}
# corners of eyes and mouth, where ICT-FaceKit has its marks: numbers of points that both densities share
CORNERS = {36: 6872, 45: 10736, 39: 72, 42: 2134, 48: 5357, 54: 9434}
EARS, NECK, SCALP, TEETH = (HEAD_PARTS.index(name) for name in ("ears", "neck", "scalp", "teeth"))
ON_THE_SKIN = tuple(HEAD_PARTS.index(name) for name in ("face skin", "left brow", "right brow", "nose"))
# dm on the base mesh: around the face, what lies below or behind is neck (behind the ears, the nape)
NECK_TOP, EARS_Z = 6.75, 0.55
EARS_Y = 7.2  # dm; the middle of the ears: above it, scalp lies behind the face


def lid_edges(quads: np.ndarray, positions: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Closed lines of base mesh vertices along the edges of the left and right lids, and the vertices within.

    `quads` are those of the skin alone; its borders at the eyeballs lie three rings inside the lid edges.
    """
    sides = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    edges, count = np.unique(sides, axis=0, return_counts=True)
    border = np.unique(edges[count == 1])
    loops, within = [], []
    for corner in (IBUG[45], IBUG[36]):  # the outer corners
        seen = border[np.linalg.norm(positions[border] - positions[corner], axis=1) < 0.4]
        for _ in range(3):
            grown = np.unique(edges[np.isin(edges, seen).any(axis=1)])
            inner, ring, seen = seen, np.setdiff1d(grown, seen), grown
        offset = positions[ring, :2] - positions[ring, :2].mean(axis=0)
        loops.append(ring[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]))])
        within.append(inner)
    return loops, np.concatenate(within)


def part_labels(fields: Regions, jaw: np.ndarray, nose: np.ndarray, ears: np.ndarray) -> np.ndarray:
    """Parts 1..13 (docs/conventions.md) of every vertex.

    `jaw` [n] is the downward motion with the fully open mouth in dm, `nose` [n] how much the sliders of the
    nose move a vertex, 0 to 1, `ears` [n] the mask of the ears.
    """
    piece = fields.mesh.piece
    labels = np.ones(len(piece), np.int32)
    outside = outline_value(fields.rest) < 0
    height, behind = fields.rest[:, 1], fields.rest[:, 2] < EARS_Z
    labels[outside & ((height < NECK_TOP) | behind)] = NECK
    labels[outside & (height > EARS_Y) & behind] = SCALP
    labels[scalp_cover(fields.rest, fields.mottle) > 0.5] = SCALP
    labels[ears > 0.5] = EARS
    labels[nose > 0.5] = 6
    brow = fields.brow_outline > 0.25
    labels[brow] = np.where(fields.rest[brow, 0] > 0, 2, 3)
    lips = fields.lips > 0.5
    labels[lips] = np.where(jaw[lips] > 0.15, 9, 8)
    labels[piece != SKIN] = 7
    labels[np.isin(piece, (UPPER_TEETH, LOWER_TEETH))] = TEETH
    labels[piece == LEFT_EYE] = 4
    labels[piece == RIGHT_EYE] = 5
    return labels


def landmark_points(
    mesh: FaceMesh, named: np.ndarray, mean: np.ndarray, rest: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Shared numbers [101] of the 68 iBUG points and of 33 more that spread over the skin.

    `mean` [n, 3] is the mean face, `rest` [n, 3] the same vertices on the base mesh, `labels` [n] their
    parts.
    """
    usable = np.flatnonzero(in_face(mesh, rest) & (mesh.shared >= 0) & np.isin(labels, ON_THE_SKIN))
    place = {number: vertex for vertex, number in enumerate(mesh.shared) if number >= 0}
    base_place = {base: number for number, base in enumerate(named)}
    points = {k: place[base_place[base]] for k, base in IBUG.items()}
    points |= {k: place[number] for k, number in CORNERS.items()}

    right, left = usable[mean[usable, 0] < -1e-4], usable[mean[usable, 0] > 1e-4]
    right_tree, left_tree = cKDTree(mean[right]), cKDTree(mean[left])
    facing_down = surface_normals(mean, mesh.triangles)[usable, 1] < -0.8  # under the chin
    for k, point in enumerate(_jaw_line(mean[usable[~facing_down]], mean[points[36], 1])[:8]):
        points[k] = right[right_tree.query(point)[1]]
    brow_tree = cKDTree(rest[right, :2])
    for k, point in zip(range(21, 16, -1), BROW_LINE):
        points[k] = right[brow_tree.query(point * [-1, 1])[1]]
    for k in (*range(8), *range(17, 22)):
        twin = 16 - k if k < 8 else 43 - k
        points[twin] = left[left_tree.query(mean[points[k]] * [-1, 1, 1])[1]]
    ibug = np.array([points[k] for k in range(68)])
    return mesh.shared[farthest_points(mean, ibug, usable, SPREAD_POINTS)]


def _jaw_line(points: np.ndarray, top: float) -> np.ndarray:
    """17 points [17, 3] at equal arc length on the frontal outline below the height `top`, right to left."""
    hull = points[ConvexHull(points[:, :2]).vertices]
    hull = hull[hull[:, 1] < top + 0.05]
    hull = hull[np.argsort(np.arctan2(hull[:, 0], -(hull[:, 1] - top - 0.1)))]
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(hull[:, :2], axis=0), axis=1))])
    wanted = np.linspace(0, length[-1], 17)
    return np.stack([np.interp(wanted, length, axis) for axis in hull.T], axis=-1)
