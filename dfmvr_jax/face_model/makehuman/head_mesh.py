"""The face mesh in two densities, as constant matrices over the cage vertices of the base mesh.

    level one  = refine @ cage          one Catmull-Clark step of head, mouth cavity and teeth
    fine       = fine   @ level one     a second step, moved to the limit surface, cropped
    coarse     = coarse @ level one     moved to the limit surface, cropped

Eyeballs are not subdivided: each is a polar grid around the gaze axis, which follows its cage affinely.
"""

import dataclasses

import numpy as np
import scipy.sparse as sp
from scipy.interpolate import CubicSpline
from scipy.sparse.csgraph import connected_components

from dfmvr_jax.face_model.makehuman.sources import MakeHuman
from dfmvr_jax.face_model.makehuman.subdivision import catmull_clark, clip, limit_positions, triangulate

SKIN, CAVITY, UPPER_TEETH, LOWER_TEETH, LEFT_EYE, RIGHT_EYE = range(6)  # pieces
CHIN_TIP = 5225  # a vertex of the face skin
CAVITY_QUADS = 398
THROAT_Z = 1.1  # dm; the mouth cavity ends here with a wall

# The outline of the face: from a centre inside the head, the largest angle from the forward axis that is
# kept, by the direction in the frontal plane (0 = to the subject's left, 90 = up), both in degrees.
OUTLINE_CENTRE = np.array([0.0, 7.05, 0.40])
OUTLINE = {-90: 60, -70: 61, -50: 70, -30: 72, -10: 68, 10: 68, 30: 66, 50: 57, 70: 48, 90: 45}

# Rings of an eyeball: degrees from the gaze axis, and how many vertices. The coarse ones are among the fine.
PUPIL_ANGLE, IRIS_ANGLE = 7.5, 23.0
FINE_RINGS = [(2.3, 6), (4.6, 12), (6.9, 24), (8.1, 48), (11.0, 48), (14.0, 48), (17.0, 48), (20.0, 48)]
FINE_RINGS += [(22.3, 48), (23.7, 48), (26.0, 48), (30.0, 48), (34.0, 48), (39.0, 48), (45.0, 48)]
FINE_RINGS += [(52.0, 48), (60.0, 48), (70.0, 48)]
COARSE_RINGS = [(2.3, 6), (6.9, 12), (11.0, 24), (17.0, 24), (22.3, 24), (26.0, 24), (34.0, 24), (45.0, 24)]
COARSE_RINGS += [(60.0, 24), (70.0, 24)]


@dataclasses.dataclass(frozen=True)
class FaceMesh:
    """One density of the face."""

    matrix: sp.csr_matrix  # [vertices, level-one vertices]
    triangles: np.ndarray  # [triangles, 3]
    piece: np.ndarray  # [vertices], SKIN ... RIGHT_EYE
    uv: np.ndarray  # [vertices, 2]; on an eyeball the polar angles (from the gaze axis, around it)
    shared: np.ndarray  # [vertices] number that the same point has in both densities, -1 where it has none


@dataclasses.dataclass(frozen=True)
class HeadMesh:
    cage: np.ndarray  # [cage] indices in the base mesh
    named: np.ndarray  # [named] base mesh index of the shared points 0, 1, 2, ...
    refine: sp.csr_matrix  # [level one, cage]
    fine: FaceMesh
    coarse: FaceMesh


def head_mesh(data: MakeHuman) -> HeadMesh:
    """Cut the face out of the base mesh."""
    quads, corner_uv, piece = face_quads(data)
    surface, compact = np.unique(quads, return_inverse=True)
    quads = compact.reshape(-1, 4)
    eyes = [np.unique(data.quads[f"helper-{side}-eye"]) for side in "lr"]
    cage = np.concatenate([surface, *eyes])

    one, quads_one = catmull_clark(quads, len(surface))
    two, quads_two = catmull_clark(quads_one, one.shape[0])
    refine = sp.block_diag([one, sp.identity(len(cage) - len(surface))]).tocsr()
    positions_one = one @ data.vertices[surface]

    densities = []
    for level, level_quads, matrix in [
        (1, quads_one, sp.identity(one.shape[0], format="csr")),
        (2, quads_two, two),
    ]:
        matrix = limit_positions(level_quads, matrix.shape[0]) @ matrix
        uv, vertex_piece = _corner_attributes(level_quads, corner_uv, piece, level, matrix.shape[0])
        shared = np.where(np.arange(matrix.shape[0]) < one.shape[0], np.arange(matrix.shape[0]), -1)
        positions = matrix @ positions_one
        triangles = triangulate(level_quads, positions)
        value = np.where(vertex_piece == SKIN, _outline_value(positions), 1.0)
        value = np.where(vertex_piece == CAVITY, positions[:, 2] - THROAT_Z, value)
        cut, triangles = clip(triangles, value)
        kept_piece = _nearest(cut, vertex_piece)
        triangles = np.concatenate([triangles, _throat_wall(triangles, kept_piece, cut @ positions)])
        eye_columns = one.shape[0] + np.arange(len(eyes[0]) * 2).reshape(2, -1)
        mesh = _with_eyes(
            FaceMesh(
                matrix=cut @ matrix,
                triangles=triangles,
                piece=kept_piece,
                uv=cut @ uv,
                shared=np.where(cut.max(axis=1).toarray().ravel() == 1, _nearest(cut, shared), -1),
            ),
            [data.vertices[eye] for eye in eyes],
            eye_columns,
            refine.shape[0],
            COARSE_RINGS if level == 1 else FINE_RINGS,
        )
        densities.append(mesh)
    coarse, fine = densities
    return _prune(HeadMesh(cage, surface, refine, fine, coarse))


def face_quads(data: MakeHuman) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quads [n, 4] of head skin, mouth cavity and teeth, the UVs of their corners [n, 4, 2], pieces [n]."""
    body, body_uv = data.quads["body"], data.uv_quads["body"]
    links = sp.csr_matrix(
        (np.ones(body_uv.size), (np.repeat(body_uv[:, 0], 4), body_uv.ravel())), (len(data.uv),) * 2
    )
    island = connected_components(links, directed=False)[1][body_uv[:, 0]]
    skin = island[(body == CHIN_TIP).any(axis=1)][0]
    (cavity,) = np.flatnonzero(np.bincount(island) == CAVITY_QUADS)
    groups = [
        (body[island == skin], body_uv[island == skin], SKIN),
        (body[island == cavity], body_uv[island == cavity], CAVITY),
        (data.quads["helper-upper-teeth"], data.uv_quads["helper-upper-teeth"], UPPER_TEETH),
        (data.quads["helper-lower-teeth"], data.uv_quads["helper-lower-teeth"], LOWER_TEETH),
    ]
    return (
        np.concatenate([quads for quads, _, _ in groups]),
        np.concatenate([data.uv[uv] for _, uv, _ in groups]),
        np.concatenate([np.full(len(quads), piece) for quads, _, piece in groups]),
    )


def _corner_attributes(
    quads: np.ndarray, corner_uv: np.ndarray, piece: np.ndarray, level: int, num_vertices: int
) -> tuple[np.ndarray, np.ndarray]:
    """UV [n, 2] and piece [n] of every vertex after `level` steps; where pieces meet, the skin's count."""
    for _ in range(level):
        middle, centre = (corner_uv + np.roll(corner_uv, -1, axis=1)) / 2, corner_uv.mean(axis=1)
        corner_uv = np.stack(
            [np.stack([corner_uv[:, k], middle[:, k], centre, middle[:, k - 1]], 1) for k in range(4)], 1
        ).reshape(-1, 4, 2)
        piece = np.repeat(piece, 4)
    uv, vertex_piece = np.zeros((num_vertices, 2)), np.zeros(num_vertices, int)
    for kind in (LOWER_TEETH, UPPER_TEETH, CAVITY, SKIN):
        mine = quads[piece == kind]
        uv[mine.ravel()] = corner_uv[piece == kind].reshape(-1, 2)
        vertex_piece[mine.ravel()] = kind
    return uv, vertex_piece


def _outline_value(positions: np.ndarray) -> np.ndarray:
    """Positive inside the outline of the face, in radians from it."""
    x, y, z = (positions - OUTLINE_CENTRE).T
    half = np.array(list(OUTLINE))
    angles = np.concatenate([half, 180 - half[-2::-1]])
    limits = np.array(list(OUTLINE.values()), float)
    spline = CubicSpline(angles, np.concatenate([limits, limits[-2::-1]]), bc_type="periodic")
    direction = (np.degrees(np.arctan2(y, np.abs(x))) + 90) % 360 - 90
    return np.radians(spline(direction)) - np.arctan2(np.hypot(x, y), z)


def _throat_wall(triangles: np.ndarray, piece: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Triangles that close the hole where the mouth cavity was cut: a zigzag between its two sides."""
    sides = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, index, count = np.unique(np.sort(sides, axis=1), axis=0, return_inverse=True, return_counts=True)
    rim = np.unique(sides[count[index] == 1])
    loop = rim[piece[rim] == CAVITY]
    x, y = (positions[loop, :2] - positions[loop, :2].mean(axis=0)).T
    loop = loop[np.argsort(np.arctan2(y, x))]
    low, high, wall = 0, len(loop) - 1, []
    while high - low > 1:
        wall.append((loop[low], loop[low + 1], loop[high]))
        if high - low > 2:
            wall.append((loop[low + 1], loop[high - 1], loop[high]))
        low, high = low + 1, high - 1
    return np.array(wall)


def _nearest(cut: sp.csr_matrix, values: np.ndarray) -> np.ndarray:
    return values[np.asarray(cut.argmax(axis=1)).ravel()]


def _with_eyes(
    mesh: FaceMesh,
    eyes: list[np.ndarray],
    eye_columns: np.ndarray,
    width: int,
    rings: list[tuple[float, int]],
) -> FaceMesh:
    """Append both eyeballs to a mesh, as polar grids of `rings`.

    `eyes` are the two balls [k, 3] of the base mesh, `eye_columns` [2, k] their level-one vertices, of which
    there are `width` in all.
    """
    polar, triangles = _polar_grid(rings)
    away, around = polar.T
    direction = np.stack([np.sin(away) * np.cos(around), np.sin(away) * np.sin(around), np.cos(away)], -1)
    matrix = sp.hstack([mesh.matrix, sp.csr_matrix((mesh.matrix.shape[0], width - mesh.matrix.shape[1]))])
    mesh = dataclasses.replace(mesh, matrix=matrix)
    for eye, own_columns, piece in zip(eyes, eye_columns, (LEFT_EYE, RIGHT_EYE)):
        weights = sp.coo_matrix(_affine_weights(eye, direction))
        block = sp.csr_matrix((weights.data, (weights.row, own_columns[weights.col])), (len(polar), width))
        mesh = FaceMesh(
            matrix=sp.vstack([mesh.matrix, block]).tocsr(),
            triangles=np.concatenate([mesh.triangles, triangles + len(mesh.piece)]),
            piece=np.concatenate([mesh.piece, np.full(len(polar), piece)]),
            uv=np.concatenate([mesh.uv, polar]),
            shared=np.concatenate([mesh.shared, np.full(len(polar), -1)]),
        )
    return mesh


def _polar_grid(rings: list[tuple[float, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Points (angle from the axis, angle around it) in radians [n, 2] of a pole and rings, and triangles.

    A ring has as many vertices as the one inside it, or twice as many; the first has any number.
    """
    points, triangles = [(0.0, 0.0)], []
    start, count = 0, 1
    for degrees, columns in rings:
        outer = len(points)
        points += [(np.radians(degrees), 2 * np.pi * k / columns) for k in range(columns)]
        for k in range(columns):
            here, there = outer + k, outer + (k + 1) % columns
            ratio = columns // count
            inner, inner_next = start + k // ratio, start + (k + 1) // ratio % count
            triangles.append((inner, here, there))
            if inner != inner_next:
                triangles.append((inner, there, inner_next))
        start, count = outer, columns
    return np.array(points), np.array(triangles)


def _affine_weights(ball: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Weights [points, vertices of the ball] that give centre + radius * direction for this ball.

    Only 16 vertices carry weight; they follow every affine motion of the ball exactly.
    """
    centre = ball.mean(axis=0)
    radius = np.linalg.norm(ball - centre, axis=1).mean()
    offset = ball - centre
    chosen = np.argsort(np.abs(offset[:, 2] - 0.0), kind="stable")[:8]  # the equator
    chosen = np.concatenate([chosen, np.argsort(-offset[:, 2], kind="stable")[:8]])  # and the front ring
    system = np.concatenate([ball[chosen], np.ones((16, 1))], axis=1)  # [16, 4]
    points = np.concatenate([centre + radius * direction, np.ones((len(direction), 1))], axis=1)
    weights = np.zeros((len(direction), len(ball)))
    weights[:, chosen] = points @ np.linalg.pinv(system)
    return weights


def _prune(head: HeadMesh) -> HeadMesh:
    """Drop the level-one and cage vertices that no vertex of the face depends on."""
    both = sp.vstack([head.fine.matrix, head.coarse.matrix]).tocsc()
    level_one = np.flatnonzero(np.diff(both.indptr))
    refine = head.refine[level_one]
    cage = np.flatnonzero(np.diff(refine.tocsc().indptr))
    fine, coarse = (
        dataclasses.replace(mesh, matrix=mesh.matrix.tocsc()[:, level_one].tocsr())
        for mesh in (head.fine, head.coarse)
    )
    return HeadMesh(head.cage[cage], head.named, refine.tocsc()[:, cage].tocsr(), fine, coarse)
