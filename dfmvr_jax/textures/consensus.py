"""Which photo is believed at each coarse texel: those that agree with each other and look like the head."""

from typing import NamedTuple

import cv2
import numpy as np

from dfmvr_jax.render.array_types import Float, Int

TINY = 0.02  # added to colours before their logarithm
AGREEING = 0.25  # difference of logarithms beyond which a photo is hardly believed
ROUNDS = 4
MODEL_COUNTS = 0.05  # weight of the model's colour among the photos'
LIKE_SKIN = 0.2  # the same for what may be hair, at least
KNOWN = 0.02  # weight from which on a photo colours a texel
SMOOTH = 1.2  # coarse texels
GAIN_SMOOTH = 12.0  # coarse texels, of the difference of a photo's light from the others
OVERLAP = 0.002  # weight of no difference


class Consensus(NamedTuple):
    """What photos tell of coarse texels."""

    weight: Float[np.ndarray, "photos size size"]  # how much each photo is believed
    source: Int[np.ndarray, "size size"]  # the best photo's number; -1: none
    tone: Float[np.ndarray, "size size 3"]  # logarithm of what photos show, divided by the model
    known: Float[np.ndarray, "size size"]  # how surely, 0 to 1
    usual: Float[np.ndarray, "3"]  # the skin's tone
    gain: Float[np.ndarray, "photos size size 3"]  # logarithm: how much brighter a photo is than all of them


def agree(
    albedo: Float[np.ndarray, "photos size size 3"],
    weight: Float[np.ndarray, "photos size size"],
    inside: Float[np.ndarray, "photos size size"],
    model: Float[np.ndarray, "size size 3"],
    skin: Float[np.ndarray, "size size"],
    doubt: Float[np.ndarray, "size size"],
) -> Consensus:
    """Find where photos show the skin of the head.

    Args:
      albedo: what each photo shows, without its light.
      weight: how well it shows it.
      inside: 1 within the face, 0 outside.
      model: colours of the head model.
      skin: 1 on plain skin, whose tone is known best.
      doubt: 1 where hair may lie on the skin, 0 in the midst of the face.
    """
    ratio = np.log((albedo + TINY) / (model + TINY)).astype(np.float32)
    usual, spread = usual_tone(ratio, weight, skin)
    strange = (((ratio - usual) / np.maximum(3 * spread, LIKE_SKIN)) ** 2).mean(axis=-1)
    like_skin = 1 / (1 + doubt * blur(strange, SMOOTH)) ** 2
    weight = weight * like_skin
    believed = weight
    for _ in range(ROUNDS):
        total = believed.sum(axis=0)[..., None] + MODEL_COUNTS
        tone = ((believed[..., None] * ratio).sum(axis=0) + MODEL_COUNTS * usual) / total
        gap = ((ratio - tone) ** 2).mean(axis=-1)
        least = np.where(weight > KNOWN, gap, np.inf).min(axis=0)  # the best one is always believed
        gap = np.maximum(gap - np.where(np.isfinite(least), least, 0), 0)
        believed = weight / (1 + gap / AGREEING**2) ** 2
    total = believed.sum(axis=0)[..., None]
    tone = (believed[..., None] * ratio).sum(axis=0) / np.maximum(total, 1e-6)
    smooth = blur(believed, SMOOTH) * (weight > 0)
    source = np.where(smooth.max(axis=0) > KNOWN, smooth.argmax(axis=0), -1)
    best = np.take_along_axis(inside * like_skin, np.maximum(source, 0)[None], axis=0)[0]
    known = np.where(source >= 0, best, 0)
    shared = (smooth * (source >= 0))[..., None]
    layers = blur(np.concatenate([shared * (ratio - tone), shared], axis=-1), GAIN_SMOOTH)
    gain = layers[..., :3] / (layers[..., 3:] + OVERLAP)
    return Consensus(smooth, source, tone.astype(np.float32), known.astype(np.float32), usual, gain)


def blur(
    pictures: Float[np.ndarray, "photos h w *c"], deviation: float
) -> Float[np.ndarray, "photos h w *c"]:
    """Blur each of several pictures, outside of which there is nothing."""
    pictures, outside = pictures.astype(np.float32), cv2.BORDER_CONSTANT
    return np.stack([cv2.GaussianBlur(one, (0, 0), deviation, borderType=outside) for one in pictures])


def usual_tone(
    ratio: Float[np.ndarray, "photos size size 3"],
    weight: Float[np.ndarray, "photos size size"],
    skin: Float[np.ndarray, "size size"],
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """The usual tone of the skin, and how it scatters."""
    seen = ratio[(weight > 0.1 * weight.max()) & (skin > 0.5)]
    if not len(seen):
        return np.zeros(3, np.float32), np.ones(3, np.float32)
    usual = np.median(seen, axis=0)
    return usual, 1.48 * np.median(np.abs(seen - usual), axis=0)
