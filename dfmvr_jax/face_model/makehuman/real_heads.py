"""How real heads differ, in terms of MakeHuman's sliders: what `commands.measure_real_heads` computes.

ICT-FaceKit holds the mean and the 100 main modes of scanned people. The base mesh is laid onto its mean,
each of its modes is carried over to the base mesh, and least squares say which mixture of sliders comes
nearest to it. What is kept are mixtures of sliders only (ICT-FaceKit: MIT licence, USC Institute for Creative
Technologies; Li et al., "Learning formation of physically-based face attributes", CVPR 2020).
"""

from importlib import resources
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from rich.progress import track
from scipy.sparse.linalg import spsolve
from scipy.spatial.transform import Rotation

from dfmvr_jax.closest_points import closest_points
from dfmvr_jax.face_model.ict_facekit import FaceKit
from dfmvr_jax.face_model.makehuman.occlusion import surface_normals
from dfmvr_jax.face_model.makehuman.sliders import rigid_motions
from dfmvr_jax.landmarks import JAW

REAL_HEADS = resources.files("dfmvr_jax.face_model") / "assets" / "real_heads.npz"
SKIN = ("narrow face", "face", "head and neck")  # pieces
STIFFNESS = (3, 3, 1, 1, *(0.3,) * 4, *(0.1,) * 4, *(0.03,) * 8)  # of the sliders, in each round
LANDMARKS_ONLY = 4  # of these rounds
LANDMARK_WEIGHT = 5.0  # of a landmark, against a vertex of the face
MARK_WEIGHT = 20.0  # the same, where sliders are mixed
SMOOTHNESS = (3.0, 1.0, 0.5, 0.2, 0.1, 0.1)  # of what bends beyond the sliders, in each round
LARGEST_GAP = 0.2  # dm between surfaces that belong together
SMALLEST_COSINE = 0.5  # between their normals
SLIDER_COST = 2e-2  # of a slider's full use, against one square dm that the vertices are missed by


class Surface(NamedTuple):
    """A density of the base mesh."""

    base: np.ndarray  # [n, 3] with all sliders at zero, dm
    sliders: np.ndarray  # [sliders, n, 3] dm
    triangles: np.ndarray  # [f, 3]
    weights: np.ndarray  # [n] how much a vertex counts; 0 inside of the head
    landmarks: dict[int, int]  # vertices, by the number of the iBUG point
    mirror: np.ndarray  # [n] the same vertex on the other side


class RealHeads(NamedTuple):
    """A normal distribution of slider settings."""

    mean: np.ndarray  # [sliders]
    modes: np.ndarray  # [sliders, modes]; coefficient 1 is one standard deviation


def measure_real_heads(surface: Surface, kit: FaceKit, modes: int) -> RealHeads:
    """Find the slider settings of the mean head and of its main `modes`, alike for left and right."""
    laid = lay_onto(surface, kit)
    mean, moved, seen = carry_over(bend_onto(laid, surface, kit), surface, kit)
    corners, places = _pairs(surface, kit)
    mean[corners], seen[corners] = places, 1.0
    moved[:, corners] = kit.identity[:, kit.landmarks[_inner(surface)]]
    turn, shift = _nearest_motion(mean, surface.base + laid.displacement(surface), seen)
    mean, moved = mean @ turn + shift, moved @ turn
    flip = np.array([-1, 1, 1])
    mean = (mean + mean[surface.mirror] * flip) / 2
    moved = np.concatenate([moved, moved[:, surface.mirror] * flip]) / np.sqrt(2)
    weights = surface.weights * seen * seen[surface.mirror]
    weights[corners] = MARK_WEIGHT
    settings = mix(surface.sliders, mean, (mean - surface.base)[None], weights)[:, 0]
    mixtures = mix(surface.sliders, mean, moved, weights)
    made = np.tensordot(mixtures.T, surface.sliders, 1) * np.sqrt(weights)[:, None]
    made = made.reshape(len(made), -1)
    _, turned = np.linalg.eigh(made @ made.T)
    main = mixtures @ turned[:, ::-1][:, :modes]
    main *= np.sign(main[np.abs(main).argmax(axis=0), np.arange(modes)])
    return RealHeads(settings, main)


class Laid(NamedTuple):
    """The sliders and the rigid motion that bring the base mesh onto another head."""

    settings: np.ndarray  # [sliders]
    turn: np.ndarray  # [3, 3]
    shift: np.ndarray  # [3]

    def displacement(self, surface: Surface) -> np.ndarray:
        return np.tensordot(self.settings, surface.sliders, 1)

    def positions(self, surface: Surface) -> np.ndarray:
        return (surface.base + self.displacement(surface)) @ self.turn.T + self.shift


def lay_onto(surface: Surface, kit: FaceKit) -> Laid:
    """Move the sliders and the whole until the surfaces lie on each other (point to plane, Gauss-Newton)."""
    skin = kit.triangles_of(*SKIN)
    corners, target = _pairs(surface, kit)
    used = np.flatnonzero(surface.weights)[::2]
    shift = target.mean(axis=0) - surface.base[corners].mean(axis=0)
    laid = Laid(np.zeros(len(surface.sliders)), np.eye(3), shift)
    for number, stiffness in enumerate(track(STIFFNESS, "laying heads onto each other", transient=True)):
        positions = laid.positions(surface)
        rows = _motions(surface, laid, corners).reshape(-1, len(laid.settings) + 6) * LANDMARK_WEIGHT**0.5
        gaps = (target - positions[corners]).ravel() * LANDMARK_WEIGHT**0.5
        if number >= LANDMARKS_ONLY:
            there = closest_points(kit.neutral, skin, positions[used])
            offset = there.points - positions[used]
            belongs = _belongs(offset, there.normals, surface_normals(positions, surface.triangles)[used])
            weight = np.sqrt(surface.weights[used] * belongs)
            plane = np.einsum("ni,nik->nk", there.normals, _motions(surface, laid, used))
            rows = np.concatenate([rows, weight[:, None] * plane])
            gaps = np.concatenate([gaps, weight * (offset * there.normals).sum(axis=1)])
        cost = np.concatenate([np.full(len(laid.settings), stiffness), np.full(6, 1e-9)])
        now = np.concatenate([laid.settings, np.zeros(6)])
        step = np.linalg.solve(rows.T @ rows + np.diag(cost), rows.T @ gaps - cost * now)
        turn = Rotation.from_rotvec(step[-6:-3]).as_matrix()
        laid = Laid(laid.settings + step[:-6], turn @ laid.turn, laid.shift + step[-3:])
    return laid


def bend_onto(laid: Laid, surface: Surface, kit: FaceKit) -> np.ndarray:
    """Positions [n, 3] on the other head's surface: what the sliders cannot reach is bent smoothly."""
    skin = kit.triangles_of(*SKIN)
    start = laid.positions(surface)
    corners, target = _pairs(surface, kit)
    edges = surface.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    difference = sp.csr_matrix(
        (np.tile([1.0, -1.0], len(edges)), (np.repeat(np.arange(len(edges)), 2), edges.ravel())),
        (len(edges), len(start)),
    )
    laplacian = difference.T @ difference
    wanted, marked = np.zeros_like(start), np.zeros(len(start))
    wanted[corners] = target - start[corners]
    marked[corners] = 1.0
    bent = np.zeros_like(start)
    for smoothness in SMOOTHNESS:
        positions = start + bent
        there = closest_points(kit.neutral, skin, positions)
        normals = surface_normals(positions, surface.triangles)
        belongs = _belongs(there.points - positions, there.normals, normals) * (surface.weights > 0)
        matrix = sp.diags(belongs + marked + 1e-6) + smoothness * (laplacian.T @ laplacian)
        goal = belongs[:, None] * (there.points - start) + marked[:, None] * wanted
        bent = spsolve(matrix.tocsc(), goal)
    return start + bent


def carry_over(
    positions: np.ndarray, surface: Surface, kit: FaceKit
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean [n, 3] and modes [100, n, 3] of the other head at its points nearest to `positions` [n, 3].

    The last, [n], is 1 where the surfaces belong together there, else 0.
    """
    skin = kit.triangles_of(*SKIN)
    there = closest_points(kit.neutral, skin, positions)
    normals = surface_normals(positions, surface.triangles)
    seen = _belongs(there.points - positions, there.normals, normals)
    corners = skin[there.triangle_ids]
    moved = np.einsum("nk,mnkd->mnd", there.barycentrics, kit.identity[:, corners])
    return there.points, moved, seen


def mix(sliders: np.ndarray, mean: np.ndarray, moved: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Settings [sliders, k] that come nearest to displacements `moved` [k, n, 3] of the `mean` [n, 3].

    A rigid motion is free for each.
    """
    root = np.sqrt(weights)[:, None]
    columns = [(direction * root).ravel() for direction in (*sliders, *rigid_motions(mean))]
    matrix = np.stack(columns, axis=1)
    goal = (moved * root).reshape(len(moved), -1).T
    cost = np.concatenate([np.full(len(sliders), SLIDER_COST), np.full(6, 1e-9)])
    return np.linalg.solve(matrix.T @ matrix + np.diag(cost), matrix.T @ goal)[: len(sliders)]


def _motions(surface: Surface, laid: Laid, chosen: np.ndarray) -> np.ndarray:
    """How the chosen vertices move with each slider, turn and shift: [chosen, 3, sliders + 6]."""
    by_slider = np.einsum("ij,knj->nik", laid.turn, surface.sliders[:, chosen])
    rigid = np.moveaxis(rigid_motions(laid.positions(surface)[chosen] - laid.shift), 0, -1)
    return np.concatenate([by_slider, rigid], axis=-1)


def _nearest_motion(
    moving: np.ndarray, goal: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Turn [3, 3] and shift [3] that bring points onto others: moving @ turn + shift."""
    share = weights[:, None] / weights.sum()
    centre, goal_centre = (moving * share).sum(axis=0), (goal * share).sum(axis=0)
    turn = Rotation.align_vectors(goal - goal_centre, moving - centre, weights=weights)[0].as_matrix().T
    return turn, goal_centre - centre @ turn


def _pairs(surface: Surface, kit: FaceKit) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [k] of marks on the base mesh, not the jaw's, and their places [k, 3] on the other head."""
    inner = _inner(surface)
    return np.array([surface.landmarks[number] for number in inner]), kit.neutral[kit.landmarks[inner]]


def _inner(surface: Surface) -> list[int]:
    """Numbers of the marks that are no jaw's."""
    return [number for number in surface.landmarks if number not in JAW]


def _belongs(offset: np.ndarray, normals: np.ndarray, own_normals: np.ndarray) -> np.ndarray:
    """1 where the other surface is near and faces the same way, else 0: [n]."""
    near = np.linalg.norm(offset, axis=1) < LARGEST_GAP
    return (near & ((normals * own_normals).sum(axis=1) > SMALLEST_COSINE)).astype(float)
