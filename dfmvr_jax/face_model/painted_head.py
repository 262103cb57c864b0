"""A head that has no colours of its own, in the built-in head's colours and with its parts."""

import functools

import jax.numpy as jnp
import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from dfmvr_jax.conventions import HEAD_PARTS, PARSED_AS
from dfmvr_jax.face_model.builtin import load_builtin
from dfmvr_jax.face_model.eyeballs import gaze_directions
from dfmvr_jax.face_model.farthest_points import SPREAD_POINTS, farthest_points
from dfmvr_jax.face_model.height import check_height
from dfmvr_jax.face_model.makehuman.albedo import neighbour_mean
from dfmvr_jax.face_model.makehuman.occlusion import ambient_occlusion, crevice_shade
from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_rings
from dfmvr_jax.landmarks import WITHOUT_BROWS, WITHOUT_JAW

NEIGHBOURS = 4  # vertices whose colours are averaged
REACH = 0.3  # dm around a landmark within which the spline bends the head; heads agree elsewhere
BEYOND = 0.15  # dm from the other surface; further away, colours are those of a whole neighbourhood
NEIGHBOURHOOD = 400  # vertices
BACKGROUND, SKIN, NOSE, MOUTH, TEETH = (
    HEAD_PARTS.index(name) for name in ("background", "face skin", "nose", "mouth", "teeth")
)
BESIDE_THE_FACE = tuple(HEAD_PARTS.index(name) for name in ("ears", "scalp"))
EYES = (HEAD_PARTS.index("left eye"), HEAD_PARTS.index("right eye"))


def painted_head(
    name: str,
    mean: np.ndarray,
    identity_basis: np.ndarray,
    expression_basis: np.ndarray,
    triangles: np.ndarray,
    landmarks: np.ndarray,
    inner: dict[int, np.ndarray],
    face: np.ndarray | None = None,
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
      inner: which vertices [n] are of the eyes, the mouth and the teeth, by part, and, as background, which
        are of no part of a face; all others are skin.
      face: which vertices [n] are of the face or the throat, not of ears or scalp, where that is known.

    Raises `InputError` where the head is no head's height.
    """
    check_height(f"face model {name}", mean)
    source = load_builtin("fine")
    goal = np.asarray(source.mean_shape)[np.asarray(source.landmarks)[WITHOUT_JAW]].mean(axis=0)
    mean = mean + goal - mean[landmarks[WITHOUT_JAW]].mean(axis=0)
    colours, labels = carry_over(source, mean, triangles, landmarks, inner)
    if face is not None:
        labels[face & np.isin(labels, BESIDE_THE_FACE)] = SKIN
    plain_skin = np.isin(labels, (SKIN, NOSE))
    candidates = np.flatnonzero(plain_skin)
    return MorphableModel(
        mean_shape=jnp.asarray(mean, jnp.float32),
        identity_basis=jnp.asarray(np.moveaxis(identity_basis, 0, -1), jnp.float32),
        expression_basis=jnp.asarray(np.moveaxis(expression_basis, 0, -1), jnp.float32),
        mean_albedo=jnp.asarray(colours[..., 0], jnp.float32),
        albedo_basis=jnp.asarray(colours[..., 1:], jnp.float32),
        triangles=jnp.asarray(triangles, jnp.int32),
        vertex_triangles=jnp.asarray(vertex_rings(triangles, len(mean))),
        landmarks=jnp.asarray(landmarks, jnp.int32),
        landmarks_3d=jnp.asarray(farthest_points(mean, landmarks, candidates, SPREAD_POINTS)),
        part_labels=jnp.asarray(labels, jnp.int32),
        skin_mask=jnp.asarray(plain_skin, jnp.float32),
        name=name,
        photo_weight=jnp.asarray(np.array(PARSED_AS)[labels] > 0, jnp.float32),
        albedo_examples=source.albedo_examples,
    )


def carry_over(
    source: MorphableModel,
    positions: np.ndarray,
    triangles: np.ndarray,
    landmarks: np.ndarray,
    inner: dict[int, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Colours [n, 3, 1 + albedo], mean first, and part labels [n] of a head at `positions` [n, 3].

    Skin is bent onto the source's by a thin-plate spline through the landmarks of eyes, nose and mouth, and
    takes the colours of the nearest vertices, darker where this head is more hollow than the source's
    (nostrils). Brows are hair: they come from the source, and lie above the eyes as they do there; through
    landmarks of brows, whose makers have them here or there, they would look sad. The parts within the head
    take the colours of the same part.
    """
    shape, labels = np.asarray(source.mean_shape), np.asarray(source.part_labels)
    colours = np.concatenate([np.asarray(source.mean_albedo)[..., None], np.asarray(source.albedo_basis)], 2)
    marks = landmarks[WITHOUT_BROWS]
    goal = shape[np.asarray(source.landmarks)[WITHOUT_BROWS]]
    bend = RBFInterpolator(positions[marks], goal - positions[marks])(positions)
    away = cKDTree(positions[marks]).query(positions)[0] / REACH
    bent = positions + bend * np.exp(-0.5 * away**2)[:, None]

    skin = np.flatnonzero(~np.isin(labels, (*EYES, MOUTH, TEETH)))
    distance, nearest, share = _nearest(shape[skin], bent)
    carried = np.einsum("nk,nkca->nca", share, colours[skin[nearest]])
    found = labels[skin[nearest[:, 0]]]

    far = np.flatnonzero(distance > BEYOND)
    if len(far):
        around = cKDTree(shape[skin]).query(bent[far], NEIGHBOURHOOD)[1]
        smooth = np.stack([colours[skin[rows]].mean(axis=0) for rows in around])
        blend = np.clip((distance[far] - BEYOND) / BEYOND, 0, 1)[:, None, None]
        carried[far] += blend * (smooth - carried[far])
    there = _builtin_shade()[skin]
    here = crevice_shade(ambient_occlusion(positions, triangles))
    darker = np.minimum(1, here / np.einsum("nk,nkc->nc", share, there[nearest]))
    carried *= (neighbour_mean(triangles, len(positions)) @ darker)[..., None]
    for part, mine in inner.items():
        found[mine] = part
        if mine.any() and part != BACKGROUND:
            carried[mine] = _lookalikes(source, colours, part, positions[mine])
    return carried, found


@functools.cache
def _builtin_shade() -> np.ndarray:
    """How much the built-in head's skin [n, 3] is darkened where it is hollow; takes some seconds."""
    head = load_builtin("fine")
    return crevice_shade(ambient_occlusion(np.asarray(head.mean_shape), np.asarray(head.triangles)))


def _lookalikes(source: MorphableModel, colours: np.ndarray, part: int, positions: np.ndarray) -> np.ndarray:
    """For vertices of an inner part at `positions` [k, 3], the source's colours [k, 3, 1 + albedo].

    Eyes are compared by their directions from the gaze; all else by its place within the part.
    """
    mine = np.flatnonzero(np.asarray(source.part_labels) == part)
    place = gaze_directions if part in EYES else _places_within
    _, nearest, share = _nearest(place(np.asarray(source.mean_shape)[mine]), place(positions))
    return np.einsum("nk,nkca->nca", share, colours[mine[nearest]])


def _nearest(points: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each wanted point [n, 3] the nearest few: distance of the nearest [n], rows and shares [n, few]."""
    distance, rows = cKDTree(points).query(wanted, NEIGHBOURS)
    share = 1 / (distance + 1e-3)
    return distance[:, 0], rows, share / share.sum(axis=1, keepdims=True)


def _places_within(part: np.ndarray) -> np.ndarray:
    """Points [k, 3] of a part by their offset from its middle, in deviations."""
    return (part - part.mean(axis=0)) / part.std(axis=0)
