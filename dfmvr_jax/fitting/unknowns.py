"""What a fit looks for, where each unknown stands in the vector of all, and its prior."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.prior import BOUND_WEIGHT, Prior
from dfmvr_jax.render.array_types import Array, Float, Int

POSE = 6  # unknowns of a pose: a turn about the axes of the camera, then a shift
FROZEN_DEVIATION = 1e-2  # of modes that stay at 0
TURN_DEVIATION, SHIFT_DEVIATION = 1.0, 20.0  # of poses, radians and model units: hardly a prior


class Head(NamedTuple):
    """A head before the cameras of its photos. Poses: posed = points @ rotation.T + translation.

    The camera stands in the origin and looks along -z (docs/conventions.md, with distance 0).
    """

    identity: Float[Array, "identity"]  # standard deviations
    expression: Float[Array, "photos expression"]
    rotation: Float[Array, "photos 3 3"]
    translation: Float[Array, "photos 3"]  # model units
    log_focal: Float[Array, "photos"]  # logarithm of the focal length in longer sides of the photo


class Layout(NamedTuple):
    """Where the unknowns of each photo stand in the vector of all, and their priors.

    A photo's own unknowns are identity, expression, pose and focal length, in this order; photos share
    identity, and may share expression and focal length.
    """

    places: Int[np.ndarray, "photos own"]  # in the vector of all
    precision: Float[np.ndarray, "unknowns"]  # one over the prior's variance
    focal_mean: Float[np.ndarray, "photos"]  # of `log_focal`
    lowest: Float[np.ndarray, "expression"]
    highest: Float[np.ndarray, "expression"]

    @property
    def size(self) -> int:
        return len(self.precision)


def make_layout(
    model: MorphableModel,
    cameras: Int[np.ndarray, "photos"],
    focal_mean: Float[np.ndarray, "photos"],
    focal_deviation: Float[np.ndarray, "photos"],
    same_expression: bool,
    frozen_modes: int = 0,
) -> Layout:
    """Number the unknowns of a head in photos.

    Args:
      model: of the head.
      cameras: which camera took each photo, from 0 on.
      focal_mean: of the focal lengths' logarithms.
      focal_deviation: of the same.
      same_expression: in all photos.
      frozen_modes: how many of the last identity modes stay where they are.
    """
    identities, expressions, _ = model.dimensions
    photos, prior = len(cameras), expression_prior(model)
    faces = np.zeros(photos, int) if same_expression else np.arange(photos)
    expression_at = identities
    pose_at = expression_at + expressions * (faces.max() + 1)
    focal_at = pose_at + POSE * photos
    places = np.concatenate(
        [
            np.broadcast_to(np.arange(identities), (photos, identities)),
            expression_at + expressions * faces[:, None] + np.arange(expressions),
            pose_at + POSE * np.arange(photos)[:, None] + np.arange(POSE),
            focal_at + cameras[:, None],
        ],
        axis=1,
    )
    identity = np.where(np.arange(identities) < identities - frozen_modes, 1.0, FROZEN_DEVIATION)
    pose = [TURN_DEVIATION] * 3 + [SHIFT_DEVIATION] * 3
    deviation = np.empty(focal_at + cameras.max() + 1)
    deviation[places] = np.concatenate(
        [
            np.broadcast_to(identity, (photos, identities)),
            np.broadcast_to(np.asarray(prior.scale), (photos, expressions)),
            np.broadcast_to(pose, (photos, POSE)),
            np.reshape(focal_deviation, (photos, 1)),
        ],
        axis=1,
    )
    return Layout(places, deviation**-2.0, focal_mean, np.asarray(prior.lowest), np.asarray(prior.highest))


def expression_prior(model: MorphableModel) -> Prior:
    """The model's prior of expressions, spelled out."""
    if model.expression_prior is not None:
        return model.expression_prior
    count = model.dimensions[1]
    return Prior(jnp.ones(count), jnp.full(count, -jnp.inf), jnp.full(count, jnp.inf))


def move_head(head: Head, layout: Layout, step: Float[np.ndarray, "unknowns"]) -> Head:
    """The head after a step of all unknowns."""
    own = np.asarray(step)[layout.places].astype(np.float32)
    identities, expressions = head.identity.shape[0], head.expression.shape[1]
    shapes, pose, focal = np.split(own, [identities + expressions, -1], axis=1)
    return Head(
        identity=head.identity + shapes[0, :identities],
        expression=head.expression + shapes[:, identities:],
        rotation=jnp.asarray(turns(pose[:, :3]) @ np.asarray(head.rotation), jnp.float32),
        translation=head.translation + pose[:, 3:],
        log_focal=head.log_focal + focal[:, 0],
    )


def turns(vectors: Float[np.ndarray, "photos 3"]) -> Float[np.ndarray, "photos 3 3"]:
    """Rotation matrices of rotation vectors, radians."""
    return Rotation.from_rotvec(vectors).as_matrix()


def prior_system(
    head: Head, layout: Layout
) -> tuple[Float[Array, ""], Float[Array, "unknowns"], Float[Array, "unknowns"]]:
    """Half of the squares of the unknowns in deviations, its gradient, and the diagonal of its Hessian.

    What lies outside of the bounds of an expression counts as `prior_loss` counts it.
    """
    photos = len(head.translation)
    value = (
        jnp.zeros(layout.size)
        .at[layout.places]
        .set(
            jnp.concatenate(
                [
                    jnp.broadcast_to(head.identity, (photos, len(head.identity))),
                    head.expression,
                    jnp.zeros((photos, POSE)),
                    (head.log_focal - layout.focal_mean)[:, None],
                ],
                axis=1,
            )
        )
    )
    outside = head.expression - jnp.clip(head.expression, layout.lowest, layout.highest)
    first = len(head.identity)
    beyond = jnp.zeros(layout.size).at[layout.places[:, first : first + outside.shape[1]]].set(outside)
    precision = jnp.asarray(layout.precision)
    gradient = precision * (value + BOUND_WEIGHT * beyond)
    cost = 0.5 * jnp.sum(precision * (value**2 + BOUND_WEIGHT * beyond**2))
    return cost, gradient, precision * (1 + BOUND_WEIGHT * (beyond != 0))
