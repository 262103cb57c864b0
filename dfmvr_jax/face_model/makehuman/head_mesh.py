"""The head mesh in two densities, as constant matrices over the cage vertices of the base mesh.

    level one  = refine @ cage          one Catmull-Clark step of head, neck, mouth cavity, teeth and tongue
    fine       = fine   @ level one     a second step in the face; on the limit surface, cut at the collar
    coarse     = coarse @ level one     level one in face and ears, else the cage; likewise

Eyeballs are not subdivided: each is a polar grid around the gaze axis, which follows its cage affinely.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.interpolate import CubicSpline
from scipy.sparse.csgraph import connected_components

from dfmvr_jax.face_model.makehuman.sources import MakeHuman
from dfmvr_jax.face_model.makehuman.subdivision import (
    catmull_clark,
    clip,
    limit_positions,
    subdivide_corners,
    triangulate_mixed,
)

SKIN, CAVITY, UPPER_TEETH, LOWER_TEETH, TONGUE, LEFT_EYE, RIGHT_EYE = range(7)  # pieces
CHIN_TIP = 5225  # a vertex of the face skin
CAVITY_QUADS = 398
# The collar: skin below y = COLLAR_HEIGHT - COLLAR_SLOPE * z is cut off, dm; it is lower in front.
COLLAR_HEIGHT, COLLAR_SLOPE = 5.84, 0.35
BODY_WIDTH, BODY_BOTTOM = 1.2, 5.0  # dm; of the body only |x| below and y above these are looked at

# The outline of the face: from a centre inside the head, the largest angle from the forward axis that
# belongs to it, by the direction in the frontal plane (0 = to the subject's left, 90 = up), both in degrees.
OUTLINE_CENTRE = np.array([0.0, 7.05, 0.40])
OUTLINE = {-90: 60, -70: 61, -50: 70, -30: 72, -10: 68, 10: 68, 30: 66, 50: 57, 70: 48, 90: 45}
BEYOND_OUTLINE = 0.1  # radians; so far around the face its mesh is as dense
EAR_CENTRE, EAR_RADIUS = np.array([0.80, 7.05, 0.17]), 0.42  # dm; a ball around the left ear

# Rings of an eyeball: degrees from the gaze axis, and how many vertices. The coarse ones are among the fine.
PUPIL_ANGLE, IRIS_ANGLE = 7.5, 23.0
FINE_RINGS = [(2.3, 6), (4.6, 12), (6.9, 24), (8.1, 48), (11.0, 48), (14.0, 48), (17.0, 48), (20.0, 48)]
FINE_RINGS += [(22.3, 48), (23.7, 48), (26.0, 48), (30.0, 48), (34.0, 48), (39.0, 48), (45.0, 48)]
FINE_RINGS += [(52.0, 48), (60.0, 48), (70.0, 48)]
COARSE_RINGS = [(2.3, 6), (6.9, 12), (11.0, 24), (17.0, 24), (22.3, 24), (26.0, 24), (34.0, 24), (45.0, 24)]
COARSE_RINGS += [(60.0, 24), (70.0, 24)]


@dataclasses.dataclass(frozen=True)
class FaceMesh:
    """One density of the head."""

    matrix: sp.csr_matrix  # [vertices, level-one vertices]
    triangles: np.ndarray  # [triangles, 3]
    piece: np.ndarray  # [vertices], SKIN ... RIGHT_EYE
    uv: np.ndarray  # [vertices, 2] of the base mesh; on an eyeball the angles from its axis and around it
    shared: np.ndarray  # [vertices] number that the same point has in both densities, -1 where it has none
    patch: np.ndarray  # [triangles] the patch of the texture, see `HeadQuads`; the eyeballs' are the last two
    patch_uv: np.ndarray  # [patches, vertices, 2] of the base mesh, where the patch has the vertex


@dataclasses.dataclass(frozen=True)
class HeadMesh:
    cage: np.ndarray  # [cage] indices in the base mesh
    named: np.ndarray  # [named] base mesh index of the shared points 0, 1, 2, ...
    refine: sp.csr_matrix  # [level one, cage]
    fine: FaceMesh
    coarse: FaceMesh


class HeadQuads(NamedTuple):
    """The head's part of the base mesh."""

    quads: np.ndarray  # [n, 4] vertices
    corner_uv: np.ndarray  # [n, 4, 2] of the base mesh
    piece: np.ndarray  # [n]
    patch: np.ndarray  # [n] number of a part of the surface without a seam of the texture

    def subdivided(self, quads: np.ndarray) -> "HeadQuads":
        """The same of four quads in the place of each."""
        corner_uv = subdivide_corners(self.corner_uv)
        return HeadQuads(quads, corner_uv, np.repeat(self.piece, 4), np.repeat(self.patch, 4))


def head_mesh(data: MakeHuman) -> HeadMesh:
    """Cut the head out of the base mesh."""
    head = head_quads(data)
    surface, compact = np.unique(head.quads, return_inverse=True)
    head = head._replace(quads=compact.reshape(-1, 4))
    eyes = [np.unique(data.quads[f"helper-{side}-eye"]) for side in "lr"]
    cage = np.concatenate([surface, *eyes])

    one, quads_one = catmull_clark(head.quads, len(surface))
    two, quads_two = catmull_clark(quads_one, one.shape[0])
    head_one = head.subdivided(quads_one)
    head_two = head_one.subdivided(quads_two)
    refine = sp.block_diag([one, sp.identity(len(cage) - len(surface))]).tocsr()
    positions_one = one @ data.vertices[surface]

    skin, centre = head.piece == SKIN, data.vertices[surface][head.quads].mean(axis=1)
    near_face = skin & (outline_value(centre) > -BEYOND_OUTLINE)
    near_ears = skin & (ear_distance(centre) < EAR_RADIUS)
    levels = [
        (head, head_one, near_face | near_ears, sp.identity(one.shape[0], format="csr"), COARSE_RINGS),
        (head_one, head_two, np.repeat(near_face, 4), two, FINE_RINGS),
    ]
    coarse, fine = (
        _with_eyes(
            _density(parents, children, refined, matrix, positions_one),
            [data.vertices[eye] for eye in eyes],
            one.shape[0] + np.arange(len(eyes[0]) * 2).reshape(2, -1),
            refine.shape[0],
            rings,
        )
        for parents, children, refined, matrix, rings in levels
    )
    return _prune(HeadMesh(cage, surface, refine, fine, coarse))


def _density(
    parents: HeadQuads,
    children: HeadQuads,
    refined: np.ndarray,
    matrix: sp.csr_matrix,
    positions_one: np.ndarray,
) -> FaceMesh:
    """The surface with the children of the `refined` [n] parents, on the limit surface, cut at the collar.

    `matrix` gives the vertices of the children from those of level one, `positions_one`.
    """
    matrix = limit_positions(children.quads, matrix.shape[0]) @ matrix
    positions = matrix @ positions_one
    triangles, parent = triangulate_mixed(parents.quads, children.quads, refined, positions)
    uv, piece, patch_uv = _vertex_attributes(children, matrix.shape[0])
    above_collar = positions[:, 1] - COLLAR_HEIGHT + COLLAR_SLOPE * positions[:, 2]
    cut, triangles, source = clip(triangles, np.where(piece == SKIN, above_collar, 1.0))
    level_one = len(positions_one)
    shared = np.where(np.arange(matrix.shape[0]) < level_one, np.arange(matrix.shape[0]), -1)
    return FaceMesh(
        matrix=cut @ matrix,
        triangles=triangles,
        piece=_nearest(cut, piece),
        uv=cut @ uv,
        shared=np.where(cut.max(axis=1).toarray().ravel() == 1, _nearest(cut, shared), -1),
        patch=parents.patch[parent[source]],
        patch_uv=np.stack([cut @ one for one in patch_uv]),
    )


def head_quads(data: MakeHuman) -> HeadQuads:
    """Skin of head and neck, mouth cavity, teeth and tongue.

    Patches: head and neck, each of the left and of the right half, then one for each other piece.
    """
    body, body_uv = data.quads["body"], data.uv_quads["body"]
    links = sp.csr_matrix(
        (np.ones(body_uv.size), (np.repeat(body_uv[:, 0], 4), body_uv.ravel())), (len(data.uv),) * 2
    )
    island = connected_components(links, directed=False)[1][body_uv[:, 0]]
    centre = data.vertices[body].mean(axis=1)
    right = centre[:, 0] < 0
    head = island == island[(body == CHIN_TIP).any(axis=1)][0]
    (cavity,) = np.flatnonzero(np.bincount(island) == CAVITY_QUADS)
    largest = np.bincount(island).argmax()
    neck = (island == largest) & (np.abs(centre[:, 0]) < BODY_WIDTH) & (centre[:, 1] > BODY_BOTTOM)
    groups = [
        *((body[mine], body_uv[mine], SKIN) for mine in (head & ~right, head & right)),
        *((body[mine], body_uv[mine], SKIN) for mine in (neck & ~right, neck & right)),
        (body[island == cavity], body_uv[island == cavity], CAVITY),
        *(
            (data.quads[f"helper-{name}"], data.uv_quads[f"helper-{name}"], piece)
            for name, piece in (
                ("upper-teeth", UPPER_TEETH),
                ("lower-teeth", LOWER_TEETH),
                ("tongue", TONGUE),
            )
        ),
    ]
    return HeadQuads(
        quads=np.concatenate([quads for quads, _, _ in groups]),
        corner_uv=np.concatenate([data.uv[uv] for _, uv, _ in groups]),
        piece=np.concatenate([np.full(len(quads), piece) for quads, _, piece in groups]),
        patch=np.concatenate([np.full(len(quads), number) for number, (quads, _, _) in enumerate(groups)]),
    )


def _vertex_attributes(head: HeadQuads, num_vertices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """UV [n, 2] and piece [n] of vertices, the skin's where pieces meet; UVs [patches, n, 2]."""
    uv, vertex_piece = np.zeros((num_vertices, 2)), np.zeros(num_vertices, int)
    for kind in (TONGUE, LOWER_TEETH, UPPER_TEETH, CAVITY, SKIN):
        mine = head.quads[head.piece == kind]
        uv[mine.ravel()] = head.corner_uv[head.piece == kind].reshape(-1, 2)
        vertex_piece[mine.ravel()] = kind
    patch_uv = np.zeros((head.patch.max() + 1, num_vertices, 2))
    for number, own in enumerate(patch_uv):
        own[head.quads[head.patch == number].ravel()] = head.corner_uv[head.patch == number].reshape(-1, 2)
    return uv, vertex_piece, patch_uv


def in_face(mesh: FaceMesh, positions: np.ndarray) -> np.ndarray:
    """Whether each vertex [n], at `positions` on the base mesh, is skin within the outline of the face."""
    return (mesh.piece == SKIN) & (outline_value(positions) > 0)


def ear_distance(positions: np.ndarray) -> np.ndarray:
    """Distance [n] of positions [n, 3] on the base mesh from the middle of the nearer ear, dm."""
    on_left = np.concatenate([np.abs(positions[:, :1]), positions[:, 1:]], axis=1)
    return np.linalg.norm(on_left - EAR_CENTRE, axis=1)


def outline_value(positions: np.ndarray) -> np.ndarray:
    """Positive inside the outline of the face, in radians from it."""
    x, y, z = (positions - OUTLINE_CENTRE).T
    half = np.array(list(OUTLINE))
    angles = np.concatenate([half, 180 - half[-2::-1]])
    limits = np.array(list(OUTLINE.values()), float)
    spline = CubicSpline(angles, np.concatenate([limits, limits[-2::-1]]), bc_type="periodic")
    direction = (np.degrees(np.arctan2(y, np.abs(x))) + 90) % 360 - 90
    return np.radians(spline(direction)) - np.arctan2(np.hypot(x, y), z)


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
    flat = polar[:, :1] / polar[:, 0].max() * np.stack([np.cos(around), np.sin(around)], axis=-1)
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
            patch=np.concatenate([mesh.patch, np.full(len(triangles), len(mesh.patch_uv))]),
            patch_uv=_add_patch(mesh.patch_uv, flat),
        )
    return mesh


def _add_patch(patch_uv: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """UVs [patches + 1, n + k, 2] of [patches, n, 2] and of k vertices [k, 2] of a new patch."""
    patches, old, _ = patch_uv.shape
    added = np.zeros((patches + 1, old + len(uv), 2))
    added[:-1, :old] = patch_uv
    added[-1, old:] = uv
    return added


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
