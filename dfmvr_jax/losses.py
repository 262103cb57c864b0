"""The weak supervision (paper, section 4): one function per term, all of one subject, all without weights.

`face_losses` and `image_losses` gather them in dicts whose keys are the weight fields of `LossConfig`;
`counted` picks those that count, `weighted_sum` applies the weights. Where the paper and the released code
differ: docs/method.md, section 4.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.config import LossConfig
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.prior import prior_loss
from dfmvr_jax.face_rendering import Face, Rendering, landmark_pixels
from dfmvr_jax.geometry import align_similarity
from dfmvr_jax.landmarks import COUNT, INNER_MOUTH, LEFT_EYE, NOSE, NOSE_BRIDGE, REGISTRATION, RIGHT_EYE
from dfmvr_jax.render.array_types import Array, Float, Int
from dfmvr_jax.render.camera import Camera

REFERENCE_SIZE = 224  # pixel distances count in pixels of this image size, whatever the image's own
HARD_PROBABILITY = 0.7  # of a pixel's label: below it the parse net has yet to learn the pixel

EMPHASIZED_LANDMARKS = {
    "paper": (*NOSE, *INNER_MOUTH),
    "released": (*NOSE_BRIDGE[1:], *RIGHT_EYE, *LEFT_EYE, *INNER_MOUTH),
}


class Observation(NamedTuple):
    """What is known of one subject (or of a batch, with leading axes)."""

    landmarks: Float[Array, "*batch views 68 2"]  # pixels
    landmark_weights: Float[Array, "*batch views 68"]  # 0: the point is not known
    landmarks_3d: Float[Array, "*batch points 3"]  # model units, in any frame; NaN: not known
    photos: Float[Array, "*batch views height width 3"] | None = None  # None: they do not count
    labels: Int[Array, "*batch views height width"] | None = None  # parts in the photos, where these are


def face_losses(
    model: MorphableModel,
    cameras: Camera,
    coefficients: Coefficients,
    face: Face,
    observed: Observation,
) -> dict[str, Float[Array, ""]]:
    """Compute the terms that need no rendering, of one subject, without their weights.

    `face` is that of `coefficients`, `cameras` have a leading axis of views.
    """
    predicted = landmark_pixels(model, cameras, face.posed)
    distance = landmark_loss(predicted, observed.landmarks, observed.landmark_weights)
    return {
        "landmarks_2d": distance * _pixel_scale(cameras.image_size[0]),
        "landmarks_3d": aligned_landmark_loss(face.vertices[model.landmarks_3d], observed.landmarks_3d),
        "identity_prior": prior_loss(coefficients.identity),
        "expression_prior": prior_loss(coefficients.expression, model.expression_prior),
        "albedo_prior": prior_loss(coefficients.albedo),
        "white_light": white_light_loss(coefficients.light),
        "flat_albedo": flat_albedo_loss(face.albedo, model.skin_mask),
    }


def image_losses(
    config: LossConfig,
    rendering: Rendering,
    observed: Observation,
    render_logits: Float[Array, "views height width parts"] | None,
) -> dict[str, Float[Array, ""]]:
    """Compute the terms that compare renderings with photos, of one subject, without their weights.

    `render_logits` is the parse net's answer to the rendered images; without it there is no mask loss.
    """
    photos, labels = observed.photos, observed.labels
    assert photos is not None and labels is not None  # there is no loss of images without them
    weights = photo_weights(config, labels)
    if rendering.photo_weight is not None:
        weights = weights * rendering.photo_weight
    terms = {"photo": photo_loss(rendering.images, photos, rendering.coverage, weights)}
    if render_logits is not None:
        terms["mask"] = cross_entropy(render_logits, labels)
    return terms


def photo_weights(
    config: LossConfig, labels: Int[Array, "views height width"]
) -> Float[Array, "views height width"]:
    """Weight of each pixel in the photo loss, from the parts of the photo."""
    return weight_map(labels, config.photo_levels, round(config.dilation / _pixel_scale(labels.shape[1])))


def _pixel_scale(image_size: int) -> float:
    return REFERENCE_SIZE / image_size


def counted(config: LossConfig, terms: dict[str, Float[Array, ""]]) -> dict[str, Float[Array, ""]]:
    """Leave out the terms whose weight is 0: they may be NaN; compiled, what led to them is left out too.

    What has no weight is only reported, and stays.
    """
    return {name: term for name, term in terms.items() if getattr(config, name, True)}


def weighted_sum(
    config: LossConfig, terms: dict[str, Float[Array, ""]], progress: float | Float[Array, ""]
) -> Float[Array, ""]:
    """The loss that is minimised; `progress` is the share of the training done, for `mask_start`."""
    weights = {name: getattr(config, name) for name in terms if hasattr(config, name)}
    if "mask" in weights:
        weights["mask"] *= progress >= config.mask_start
    return sum(weight * terms[name] for name, weight in weights.items())


def photo_loss(
    images: Float[Array, "views height width 3"],
    photos: Float[Array, "views height width 3"],
    coverage: Float[Array, "views height width"],
    weights: Float[Array, "views height width"],
) -> Float[Array, ""]:
    """Equation 2: weighted mean colour distance over the rendered pixels of a view; mean over views.

    `images` are black where the face is not, and a pixel that it covers in part (`coverage`) counts in part.
    A view that shows no face counts as 0.
    """
    distance = safe_norm(images - coverage[..., None] * photos)
    total = jnp.sum(weights * coverage, axis=(1, 2))
    return jnp.mean(jnp.sum(weights * distance, axis=(1, 2)) / jnp.where(total > 0, total, 1.0))


def weight_map(
    labels: Int[Array, "views height width"], levels: tuple[float, float, float], dilation: int
) -> Float[Array, "views height width"]:
    """Section 4.1: levels of facial features, other face and background, after a square dilation.

    `dilation` is the side of the dilation window in pixels (the nearest odd number is used).
    """
    features, face, background = levels
    level = jnp.where(labels >= 2, features, jnp.where(labels == 1, face, background))
    side = 2 * (dilation // 2) + 1
    return jax.lax.reduce_window(level, -jnp.inf, jax.lax.max, (1, side, side), (1, 1, 1), "SAME")


def cross_entropy(logits: Float[Array, "*pixels parts"], labels: Int[Array, "*pixels"]) -> Float[Array, ""]:
    """Mean cross entropy over all pixels (equation 3)."""
    return jnp.mean(pixel_cross_entropy(logits, labels))


def pixel_cross_entropy(
    logits: Float[Array, "*pixels parts"], labels: Int[Array, "*pixels"]
) -> Float[Array, "*pixels"]:
    """Minus the logarithm of the probability of each pixel's label."""
    log_probability = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probability, labels[..., None], axis=-1)[..., 0]


def hard_pixel_cross_entropy(
    logits: Float[Array, "*pixels parts"], labels: Int[Array, "*pixels"], least_share: float
) -> Float[Array, ""]:
    """Mean cross entropy over the hard pixels: online hard example mining, as BiSeNet is trained.

    Hard are the pixels whose label has a probability below `HARD_PROBABILITY`, and in any case the hardest
    `least_share` of all, so that 1 gives `cross_entropy`.
    """
    if least_share == 1:
        return cross_entropy(logits, labels)
    losses = pixel_cross_entropy(logits, labels).ravel()
    least = max(1, round(least_share * len(losses)))
    hardest = jax.lax.stop_gradient(jnp.sort(losses)[-least])
    hard = losses >= jnp.minimum(hardest, -math.log(HARD_PROBABILITY))
    return jnp.sum(losses * hard) / jnp.sum(hard)


def landmark_weights(emphasis: str) -> Float[Array, "68"]:
    """Section 4.3: 20 on the emphasized points, 1 on the others."""
    weights = np.ones(COUNT, np.float32)
    weights[list(EMPHASIZED_LANDMARKS[emphasis])] = 20
    return jnp.asarray(weights)


def landmark_loss(
    predicted: Float[Array, "views 68 2"],
    target: Float[Array, "views 68 2"],
    weights: Float[Array, "views 68"],
) -> Float[Array, ""]:
    """Equation 4: weighted distance, mean over points and views, in pixels of the image.

    A point of weight 0 counts nothing, wherever it is said to be; NaN too.
    """
    target = jnp.where(weights[..., None] > 0, target, 0.0)
    return jnp.mean(weights * safe_norm(predicted - target))


def aligned_landmark_loss(
    predicted: Float[Array, "points 3"], target: Float[Array, "points 3"]
) -> Float[Array, ""]:
    """Equations 5 and 6: mean distance after aligning the prediction on seven points, in target units.

    The first 68 points are iBUG's, `landmarks.REGISTRATION` the seven. Target points that are not known are
    NaN and do not count; if one of the seven is, the loss is 0.
    """
    seven = jnp.asarray(REGISTRATION)
    known = jnp.isfinite(target).all(axis=-1)
    known &= known[seven].all()
    target = jnp.where(known[:, None], target, 0.0)
    align = align_similarity(predicted[seven], target[seven])
    distances = jnp.where(known, safe_norm(align(predicted) - target), 0.0)
    return jnp.sum(distances) / jnp.maximum(jnp.sum(known), 1)


def white_light_loss(light: Float[Array, "*views 3 9"]) -> Float[Array, ""]:
    """Mean squared deviation of the colour channels' light from their mean (docs/method.md, section 4)."""
    return jnp.mean((light - light.mean(axis=-2, keepdims=True)) ** 2)


def flat_albedo_loss(
    albedo: Float[Array, "vertices 3"], skin_mask: Float[Array, "vertices"]
) -> Float[Array, ""]:
    """Variance of the albedo over plain skin, mean over colour channels (docs/method.md, section 4)."""
    weights = skin_mask[:, None] / jnp.sum(skin_mask)
    mean = jnp.sum(weights * albedo, axis=0)
    return jnp.mean(jnp.sum(weights * (albedo - mean) ** 2, axis=0))


def safe_norm(vectors: Float[Array, "*n c"]) -> Float[Array, "*n"]:
    """Euclidean norm over the last axis with gradient 0 at 0 (`jnp.linalg.norm` gives NaN there)."""
    squared = jnp.sum(vectors**2, axis=-1)
    is_zero = squared == 0
    return jnp.where(is_zero, 0.0, jnp.sqrt(jnp.where(is_zero, 1.0, squared)))
