"""The colours of a fitted head's skin without light: what the photos show, else the model's."""

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.conventions import AMBIENT
from dfmvr_jax.face_model.morphable_model import MorphableModel, face_albedo
from dfmvr_jax.fitting.colours import EDGE_ON, FAR, HIDDEN, Look, PhotoColours, head_shapes, sample_image
from dfmvr_jax.fitting.unknowns import Head
from dfmvr_jax.head_sight import look_at_head, outline_share
from dfmvr_jax.render.array_types import Array, Float
from dfmvr_jax.render.camera import Camera, project
from dfmvr_jax.render.precision import full_precision
from dfmvr_jax.render.shade import shade
from dfmvr_jax.render.visible import visible

DARKEST = 0.08  # shading below which a photo tells nothing of the albedo
PLAIN, FADED = 0.85, 1.0  # shares of the outline within which photos colour the head fully, and at all
COLOR_DEVIATION, ALBEDO_DEVIATION = 0.05, 0.12  # of a photo from the lit head, of a vertex from the model
STRANGE_COLOR = 0.26  # difference from the model beyond which a colour is hardly believed: hair
PRIOR = 0.1  # measurements that the model's albedo counts at a vertex
TINY = 1e-9
SQUARELY = 2.0  # photos seen squarely: a confidence of 1 - 1/e


def on_face(model: MorphableModel, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "vertices"]:
    """1 within the outline of the detector's points, seen from the front, falling to 0 at a little more."""
    shape = np.asarray(model.mean_shape)
    weight = np.ones(len(shape)) if model.photo_weight is None else np.asarray(model.photo_weight)
    share = outline_share(points[:, :2], shape[:, :2])
    return weight * np.clip((FADED - share) / (FADED - PLAIN), 0, 1)


@jax.jit
@full_precision
def paint_head(
    model: MorphableModel,
    head: Head,
    look: Look,
    colours: PhotoColours,
    face: Float[Array, "vertices"],
) -> tuple[Float[Array, "vertices 3"], Float[Array, "vertices"]]:
    """Albedo of each vertex, and how often and how squarely it is seen: 0 to 1.

    Args:
      model: of the head.
      head: fitted.
      look: whose light is taken out.
      colours: of the photos, as sharp as wanted.
      face: 1 where photos may colour the head, 0 where they show hair or clothes before it (`on_face`).
    """
    size = colours.images.shape[1]
    by_model = face_albedo(model, look.albedo)

    def in_photo(photo):
        shape, rotation, translation, log_focal, image, inside, centre, longer_side, counts, light = photo
        camera = Camera(jnp.exp(log_focal) * longer_side, (centre[0], centre[1]), 0.0, (size, size), far=FAR)
        sight = look_at_head(model, camera, shape, rotation, translation)
        layers = jnp.concatenate([image, inside[..., None]], axis=-1)
        found = sample_image(layers, project(camera, sight.posed))
        there = visible(camera, sight.posed, sight.fragments, HIDDEN) & (found[:, 3] > 0.99)
        squarely = counts * there * jnp.clip(sight.facing - EDGE_ON, 0, None) / (1 - EDGE_ON)
        shading = shade(jnp.ones_like(sight.normals), sight.normals, light, AMBIENT)
        residual = jnp.sum((found[:, :3] - shading * by_model) ** 2, axis=-1)
        believed = 1 / (1 + residual / (3 * STRANGE_COLOR**2))
        weight = squarely * believed * (shading.min(axis=-1) > DARKEST)
        return found[:, :3], shading, squarely, weight

    photos = (head_shapes(model, head), *head[2:], *colours, look.light)
    seen, shading, squarely, weight = jax.lax.map(in_photo, photos)
    weight = (weight**2)[..., None] * face[:, None] / COLOR_DEVIATION**2
    known, told = jnp.sum(weight * shading**2, axis=0), jnp.sum(weight * shading * seen, axis=0)
    # what no photo shows has the tone of what they show
    by_model = by_model * jnp.sum(told * by_model, axis=0) / (jnp.sum(known * by_model**2, axis=0) + TINY)
    prior = PRIOR / ALBEDO_DEVIATION**2
    albedo = (told + prior * by_model) / (known + prior)
    return albedo, face * (1 - jnp.exp(-SQUARELY * squarely.sum(axis=0)))
