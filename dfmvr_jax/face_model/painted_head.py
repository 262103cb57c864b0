"""A head that has no colours of its own, in the built-in head's colours and with its parts."""

import jax.numpy as jnp
import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.face_model.builtin import load_builtin
from dfmvr_jax.face_model.farthest_points import farthest_points
from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_rings
from dfmvr_jax.landmarks import WITHOUT_JAW

NEIGHBOURS = 4  # vertices whose colours are averaged
REACH = 0.3  # dm around a landmark within which the spline bends the head; heads agree elsewhere
BEYOND = 0.15  # dm from the other surface; further away, colours are those of a whole neighbourhood
NEIGHBOURHOOD = 400  # vertices
SPREAD_POINTS = 33  # with the 68 landmarks they make 101
SKIN, NOSE, MOUTH, EARS, TEETH = (
    HEAD_PARTS.index(name) for name in ("face skin", "nose", "mouth", "ears", "teeth")
)
EYES = (HEAD_PARTS.index("left eye"), HEAD_PARTS.index("right eye"))


def painted_head(
    name: str,
    mean: np.ndarray,
    identity_basis: np.ndarray,
    expression_basis: np.ndarray,
    triangles: np.ndarray,
    landmarks: np.ndarray,
    inner: dict[int, np.ndarray],
) -> MorphableModel:
    """Make a model of a head's shapes, with the built-in head's colours; what else it has may be added.

    The origin is moved to where the built-in head has it: the means of the 51 inner landmarks are the same.

    Args:
      name: of the model.
      mean: shape [n, 3], dm, upright, +z forward.
      identity_basis: [modes, n, 3], of one standard deviation each.
      expression_basis: [modes, n, 3].
      triangles: [f, 3], counter-clockwise seen from outside.
      landmarks: vertices of the 68 iBUG points.
      inner: which vertices [n] are of the eyes, the mouth and the teeth, by part; all others are skin.
    """
    source = load_builtin("fine")
    goal = np.asarray(source.mean_shape)[np.asarray(source.landmarks)[WITHOUT_JAW]].mean(axis=0)
    mean = mean + goal - mean[landmarks[WITHOUT_JAW]].mean(axis=0)
    colours, labels = carry_over(source, mean, landmarks, inner)
    face = np.flatnonzero(np.isin(labels, (SKIN, NOSE)))
    return MorphableModel(
        mean_shape=jnp.asarray(mean, jnp.float32),
        identity_basis=jnp.asarray(np.moveaxis(identity_basis, 0, -1), jnp.float32),
        expression_basis=jnp.asarray(np.moveaxis(expression_basis, 0, -1), jnp.float32),
        mean_albedo=jnp.asarray(colours[..., 0], jnp.float32),
        albedo_basis=jnp.asarray(colours[..., 1:], jnp.float32),
        triangles=jnp.asarray(triangles, jnp.int32),
        vertex_triangles=jnp.asarray(vertex_rings(triangles, len(mean))),
        landmarks=jnp.asarray(landmarks, jnp.int32),
        landmarks_3d=jnp.asarray(farthest_points(mean, landmarks, face, SPREAD_POINTS)),
        part_labels=jnp.asarray(labels, jnp.int32),
        skin_mask=jnp.asarray(np.isin(labels, (SKIN, NOSE)), jnp.float32),
        name=name,
        photo_weight=jnp.asarray(labels < EARS, jnp.float32),
    )


def carry_over(
    source: MorphableModel, positions: np.ndarray, landmarks: np.ndarray, inner: dict[int, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Colours [n, 3, 1 + albedo], mean first, and part labels [n] of a head at `positions` [n, 3].

    Skin is bent onto the source's by a thin-plate spline through the landmarks, and takes the colours of the
    nearest vertices. The parts within the head take those of the same part.
    """
    shape, labels = np.asarray(source.mean_shape), np.asarray(source.part_labels)
    colours = np.concatenate([np.asarray(source.mean_albedo)[..., None], np.asarray(source.albedo_basis)], 2)
    marks = landmarks[WITHOUT_JAW]
    goal = shape[np.asarray(source.landmarks)[WITHOUT_JAW]]
    bend = RBFInterpolator(positions[marks], goal - positions[marks])(positions)
    away = cKDTree(positions[marks]).query(positions)[0] / REACH
    bent = positions + bend * np.exp(-0.5 * away**2)[:, None]

    skin = np.flatnonzero(~np.isin(labels, (*EYES, MOUTH, TEETH)))
    distance, nearest = cKDTree(shape[skin]).query(bent, NEIGHBOURS)
    share = 1 / (distance + 1e-3)
    share /= share.sum(axis=1, keepdims=True)
    carried = np.einsum("nk,nkca->nca", share, colours[skin[nearest]])
    found = labels[skin[nearest[:, 0]]]

    far = np.flatnonzero(distance[:, 0] > BEYOND)
    if len(far):
        around = cKDTree(shape[skin]).query(bent[far], NEIGHBOURHOOD)[1]
        smooth = np.stack([colours[skin[rows]].mean(axis=0) for rows in around])
        blend = np.clip((distance[far, 0] - BEYOND) / BEYOND, 0, 1)[:, None, None]
        carried[far] += blend * (smooth - carried[far])
    for part, mine in inner.items():
        if mine.any():
            carried[mine] = colours[_lookalikes(source, part, positions[mine])]
            found[mine] = part
    return carried, found


def _lookalikes(source: MorphableModel, part: int, positions: np.ndarray) -> np.ndarray:
    """For vertices of an inner part at `positions` [k, 3], vertices [k] of the source's same part.

    Eyes are compared by their directions from the gaze; all else by its place within the part.
    """
    mine = np.flatnonzero(np.asarray(source.part_labels) == part)
    theirs = np.asarray(source.mean_shape)[mine]
    if part in EYES:
        return mine[cKDTree(_gaze_directions(theirs)).query(_gaze_directions(positions))[1]]
    scaled = (positions - positions.mean(axis=0)) / positions.std(axis=0)
    return mine[cKDTree((theirs - theirs.mean(axis=0)) / theirs.std(axis=0)).query(scaled)[1]]


def _gaze_directions(ball: np.ndarray) -> np.ndarray:
    """Unit vectors [k, 3] from the centre of an eyeball to its points, z along the gaze."""
    system = np.concatenate([2 * ball, np.ones((len(ball), 1))], axis=1)  # of the sphere through the points
    centre = np.linalg.lstsq(system, (ball**2).sum(axis=1), rcond=None)[0][:3]
    offset = ball - centre
    directions = offset / np.linalg.norm(offset, axis=1, keepdims=True)
    gaze = offset[np.argsort(-offset[:, 2])[:4]].sum(axis=0)  # to the cornea's apex
    gaze /= np.linalg.norm(gaze)
    side = np.cross([0.0, 1.0, 0.0], gaze)
    side /= np.linalg.norm(side)
    return directions @ np.stack([side, np.cross(gaze, side), gaze], axis=1)
