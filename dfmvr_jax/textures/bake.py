"""The texture of a head out of the photos that it was fitted to: the door of this room (docs/textures.md)."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.pieces import SKIN, triangles_of_pieces
from dfmvr_jax.render.array_types import Bool, Float, UInt8
from dfmvr_jax.textures.beard import beside_face
from dfmvr_jax.textures.consensus import TINY, Consensus, agree, log_ratio
from dfmvr_jax.textures.eyes import ELSEWHERE, eye_tone, find_eyes
from dfmvr_jax.textures.hair import Hair, hair_on_scalp, may_be_hair, scalp, without_hair
from dfmvr_jax.textures.head_texture import HeadTexture
from dfmvr_jax.textures.layers import lay_mirrored_over, lay_photos_over
from dfmvr_jax.textures.lookup import look_up_points
from dfmvr_jax.textures.mirror import Mirrored, mirror_face, vertex_uv
from dfmvr_jax.textures.sizes import check_size
from dfmvr_jax.textures.surface import Surface, TexturePhoto
from dfmvr_jax.textures.texels import fill_gutters, find_texels, nearest_texels
from dfmvr_jax.textures.tone import areas, smoothed, spread_tone
from dfmvr_jax.textures.views import DARK, View, view_photo

COARSE = 512  # side of the texture in which photos are compared
SQUARELY = 2.0  # photos seen squarely: a confidence of 1 - 1/e
MIRRORED = 0.5  # how surely the tone of mirrored skin is known
PLAIN, PLAIN_MM = ("face skin", "neck"), 8.0
NO_SKIN = ("background", "left eye", "right eye", "mouth", "teeth")


class Baked(NamedTuple):
    """A texture, and what it came from."""

    texture: HeadTexture
    consensus: Consensus
    views: list[View]


def bake_texture(surface: Surface, photos: Sequence[TexturePhoto], size: int = 2048) -> HeadTexture:
    """Make the texture of a head from one photo or more.

    Args:
      surface: the head.
      photos: that it was fitted to.
      size: side of the texture, texels, one of `sizes.SIZES`.

    Raises:
      InputError: the texture cannot have that size, or the head model has no texture coordinates.
    """
    return bake(surface, photos, size).texture


def bake(surface: Surface, photos: Sequence[TexturePhoto], size: int) -> Baked:
    """Make a texture, and keep what it came from."""
    check_size(size)
    model = surface.model
    if model.uv is None:
        raise InputError(f"face model {model.name}: has no texture coordinates; give it some by `with_atlas`")
    step = max(1, size // COARSE)
    texels = find_texels(model, size)
    coarse = texels.thinned(step)
    per_mm = texels_per_mm(surface, size)
    surface = surface._replace(colors=_plain_beyond_face(surface))
    of_scalp, beyond, apart = scalp(surface), beside_face(surface), pieces_apart(model)
    eyes = find_eyes(surface, apart)
    shown = surface._replace(face=surface.face * ~apart * (1 - eyes.lids))
    views = [view_photo(photo, shown, beyond, coarse, per_mm, step) for photo in photos]
    of_vertices = np.column_stack([surface.colors, model.skin_mask, may_be_hair(surface), of_scalp, beyond])
    features = coarse.spread(of_vertices).clip(0, 1)
    by_model, skin, doubt, on_scalp, beside = features[..., :3], *np.moveaxis(features[..., 3:], -1, 0)
    shading = [np.maximum(coarse.spread(view.shading), DARK) for view in views]
    best = max(float(view.weight.max()) for view in views)
    found = agree(
        np.stack([log_ratio(view.color, light, by_model) for view, light in zip(views, shading)]),
        np.stack([view.weight for view in views]) / max(best, DARK),
        np.stack([view.inside for view in views]),
        skin,
        doubt,
        beside,
    )
    mirrored = mirror_face(model, coarse, found)
    tone = _tone_of_all(surface, found, mirrored)
    balls = eyes.angles.min(axis=0) < ELSEWHERE
    tone[balls] = eye_tone(surface, eyes, coarse, views, shading, by_model)[balls]
    hair = hair_on_scalp(surface, on_scalp, views, shading, found.usual)

    albedo = texels.spread(_matched(surface, tone, hair, of_scalp))
    nearest = nearest_texels(texels)
    fill_gutters(albedo, nearest)
    lay_photos_over(albedo, texels, views, found, step)
    if mirrored is not None:
        lay_mirrored_over(albedo, texels, model, mirrored, step)
    light = texels.spread(_light_of_all(surface, views))
    pictures = _eight_bits(albedo * light), _eight_bits(albedo)
    for picture in pictures:
        fill_gutters(picture, nearest)
    confidence = _confidence(views, found, size)
    return Baked(HeadTexture(*pictures, confidence, _unseen(surface, found)), found, views)


def _eight_bits(picture: Float[np.ndarray, "size size 3"]) -> UInt8[np.ndarray, "size size 3"]:
    """Colours from [0, 1], clipped, to 0..255, in a tenth of NumPy's time."""
    return cv2.multiply(picture, np.full(4, 255.0), dtype=cv2.CV_8U)


def texels_per_mm(surface: Surface, size: int) -> float:
    """How fine a texture of that size is on the face."""
    model = surface.model
    triangles = np.asarray(model.triangles)
    chosen = surface.face[triangles].min(axis=1) > 0
    a, b, c = np.asarray(model.uv)[np.asarray(model.uv_triangles)[chosen]].transpose(1, 0, 2)
    u, v = b - a, c - a
    of_texture = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum() / 2
    return float(size * np.sqrt(of_texture / max(areas(surface.vertices_mm, triangles[chosen]).sum(), 1e-6)))


def _plain_beyond_face(surface: Surface) -> Float[np.ndarray, "vertices 3"]:
    """The model's colours; beyond the face its skin has no stubble or freckles, which are nobody's there."""
    plain = np.isin(surface.model.part_labels, [HEAD_PARTS.index(part) for part in PLAIN])
    triangles = np.asarray(surface.model.triangles)
    there = triangles[(plain & (surface.face < 1))[triangles].all(axis=1)]
    smooth = smoothed(surface.vertices_mm, there, surface.colors, PLAIN_MM)
    return smooth + surface.face[:, None] * (surface.colors - smooth)


def _matched(
    surface: Surface,
    tone: Float[np.ndarray, "vertices 3"],
    hair: Hair,
    of_scalp: Float[np.ndarray, "vertices"],
) -> Float[np.ndarray, "vertices 3"]:
    """The model's colours in the tone of the photos, with their hair on its scalp, or none."""
    bare = hair.bald or hair.color is not None
    colors = without_hair(surface, of_scalp) if bare else surface.colors
    colors = (colors + TINY) * np.exp(tone) - TINY
    return colors if hair.color is None else colors + of_scalp[:, None] * (hair.color - colors)


def _tone_of_all(
    surface: Surface, found: Consensus, mirrored: Mirrored | None
) -> Float[np.ndarray, "vertices 3"]:
    """Logarithm of what the model's colours are to be multiplied by, over the whole head."""
    known, tone = found.known, found.tone * found.known[..., None]
    if mirrored is not None:
        share = MIRRORED * mirrored.share
        known, tone = known + share, tone + share[..., None] * mirrored.tone
    layers = cv2.GaussianBlur(np.dstack([tone, known]), (0, 0), 1.0)
    there = look_up_points(layers, vertex_uv(surface.model))
    tone = there[:, :3] / np.maximum(there[:, 3:], 1e-3)
    usual = np.tile(found.usual, (len(tone), 1))
    usual[~_is_skin(surface.model)] = found.usual.mean()
    return spread_tone(surface.vertices_mm, np.asarray(surface.model.triangles), tone, there[:, 3], usual)


def _light_of_all(surface: Surface, views: Sequence[View]) -> Float[np.ndarray, "vertices 3"]:
    """Brightness of a white surface in the most frontal photo's light; where that shows nothing, as usual."""
    view = max(views, key=lambda view: view.squarely.sum())
    seen = look_up_points(view.squarely, vertex_uv(surface.model))
    logarithm = np.log(np.maximum(view.shading, DARK))
    chosen = (surface.face > 0.5) & (seen > 0.3)
    usual = np.median(logarithm[chosen], axis=0) if chosen.any() else np.zeros(3)
    triangles = np.asarray(surface.model.triangles)
    known = np.clip(2 * seen, 0, 1)
    smooth = spread_tone(surface.vertices_mm, triangles, logarithm, known, np.tile(usual, (len(seen), 1)))
    return np.exp(smooth + known[:, None] * (logarithm - smooth))


def pieces_apart(model: MorphableModel) -> Bool[np.ndarray, "vertices"]:
    """Vertices of eyeballs, teeth and tongue, where they are pieces of their own."""
    triangles, apart = np.asarray(model.triangles), np.zeros(model.num_vertices, bool)
    for name, chosen in triangles_of_pieces(model).items():
        apart[triangles[chosen]] = name != SKIN
    return apart


def _is_skin(model: MorphableModel) -> Bool[np.ndarray, "vertices"]:
    return ~np.isin(model.part_labels, [HEAD_PARTS.index(part) for part in NO_SKIN])


def _confidence(views: Sequence[View], found: Consensus, size: int) -> UInt8[np.ndarray, "size size"]:
    squarely = sum(view.squarely for view in views) * found.known
    confidence = cv2.resize((1 - np.exp(-SQUARELY * squarely)).astype(np.float32), (size, size))
    return np.round(255 * np.clip(confidence, 0, 1)).astype(np.uint8)


def _unseen(surface: Surface, found: Consensus) -> float:
    """Share of the skin's area that no photo colours."""
    seen = look_up_points(found.known, vertex_uv(surface.model))
    area = areas(surface.vertices_mm, np.asarray(surface.model.triangles)) * _is_skin(surface.model)
    return float(1 - (area * seen.clip(0, 1)).sum() / max(area.sum(), 1e-6))
