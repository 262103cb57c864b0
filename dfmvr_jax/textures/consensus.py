"""Which photo is believed at each coarse texel: those that agree with each other and look like the head."""

from typing import NamedTuple

import cv2
import numpy as np

from dfmvr_jax.render.array_types import Float, Int, UInt8
from dfmvr_jax.textures.beard import like_its_border

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
    ratio: Float[np.ndarray, "photos size size 3"],
    weight: Float[np.ndarray, "photos size size"],
    inside: Float[np.ndarray, "photos size size"],
    skin: Float[np.ndarray, "size size"],
    doubt: Float[np.ndarray, "size size"],
    beyond: Float[np.ndarray, "size size"],
) -> Consensus:
    """Find where photos show the skin of the head.

    Args:
      ratio: logarithm of what each photo shows, without its light, divided by the model.
      weight: how well it shows it.
      inside: 1 within the face, 0 outside.
      skin: 1 on plain skin, whose tone is known best.
      doubt: 1 where hair may lie on the skin, 0 in the midst of the face.
      beyond: above 0 where the face goes on outside, if it looks as at its border.
    """
    usual, spread = usual_tone(ratio, weight * (inside > 0), skin)
    scale = np.maximum(3 * spread, LIKE_SKIN)
    strange = np.stack([(((one - usual) / scale) ** 2).mean(axis=-1) for one in ratio])
    like_skin = 1 / (1 + doubt * blur(strange, SMOOTH)) ** 2
    weight = weight * like_skin
    believed = weight
    for _ in range(ROUNDS):
        total = believed.sum(axis=0)[..., None] + MODEL_COUNTS
        tone = (_weighted_sum(believed, ratio) + MODEL_COUNTS * usual) / total
        gap = np.stack([((one - tone) ** 2).mean(axis=-1) for one in ratio])
        least = np.where(weight > KNOWN, gap, np.inf).min(axis=0)  # the best one is always believed
        gap = np.maximum(gap - np.where(np.isfinite(least), least, 0), 0)
        believed = weight / (1 + gap / AGREEING**2) ** 2
    total = believed.sum(axis=0)[..., None]
    tone = _weighted_sum(believed, ratio) / np.maximum(total, 1e-6)
    smooth = blur(believed, SMOOTH) * (weight > 0)
    source = np.where(smooth.max(axis=0) > KNOWN, smooth.argmax(axis=0), -1)
    best = np.take_along_axis(inside * like_skin, np.maximum(source, 0)[None], axis=0)[0]
    known = np.where(source >= 0, best, 0).astype(np.float32)
    if beyond.any():
        known = np.maximum(known, (source >= 0) * beyond * like_its_border(tone, known))
    gain = np.stack([_gain(one - tone, of * (source >= 0)) for one, of in zip(ratio, smooth)])
    return Consensus(smooth, source, tone.astype(np.float32), known.astype(np.float32), usual, gain)


def log_ratio(
    color: UInt8[np.ndarray, "*n 3"], light: Float[np.ndarray, "*n 3"], model: Float[np.ndarray, "*n 3"]
) -> Float[np.ndarray, "*n 3"]:
    """Logarithm of a photo's colours, without its light, divided by the model's."""
    albedo = color * np.float32(1 / 255) / light
    return np.log((albedo + TINY) / (model + TINY)).astype(np.float32)


def _weighted_sum(
    weight: Float[np.ndarray, "photos h w"], pictures: Float[np.ndarray, "photos h w 3"]
) -> Float[np.ndarray, "h w 3"]:
    return np.einsum("nhw,nhwc->hwc", weight, pictures)


def _gain(
    brighter: Float[np.ndarray, "size size 3"], weight: Float[np.ndarray, "size size"]
) -> Float[np.ndarray, "size size 3"]:
    """The smooth part of how much brighter a photo is than all of them; nothing far from what it shows."""
    layers = blur(np.dstack([weight[..., None] * brighter, weight])[None], GAIN_SMOOTH)[0]
    return layers[..., :3] / (layers[..., 3:] + OVERLAP)


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
