"""What photos show, laid over the colours of a head model in its texture."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.array_types import Bool, Float
from dfmvr_jax.textures.blend import blend
from dfmvr_jax.textures.consensus import Consensus
from dfmvr_jax.textures.lookup import look_up, look_up_uv
from dfmvr_jax.textures.mirror import Mirrored, mirrored_uv
from dfmvr_jax.textures.texels import Texels, TexelsWithin, Window
from dfmvr_jax.textures.views import DARK, View

ROOM = 16  # coarse texels around what is laid over, so that coarse features have room to go over
SOFT = 1.5  # coarse texels, of the border where two photos meet
BELIEVED = 0.005  # weight from which on a photo shows a texel at all
Layer = tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]


def lay_photos_over(
    picture: Float[np.ndarray, "size size 3"],
    texels: Texels,
    views: Sequence[View],
    found: Consensus,
    step: int,
) -> None:
    """Blend what photos show into a texture, each photo where it is the best one."""
    for window in windows(found.source >= 0, step):
        picture[window.pixels] = blend(_layers(picture, texels.within(window), views, found, step))


def _layers(
    picture: Float[np.ndarray, "size size 3"],
    texels: TexelsWithin,
    views: Sequence[View],
    found: Consensus,
    step: int,
) -> Iterator[Layer]:
    """What lies behind, where no photo is better, then each photo without its light."""
    window = texels.window
    behind, small = picture[window.pixels], window.shrunk(step).pixels
    source, known = found.source[small], found.known[small]
    yield behind, _enlarge(1 - known, window, SOFT)
    for number, view in enumerate(views):
        best = source == number
        if not best.any():
            continue
        at = texels.spread(np.column_stack([view.places, view.shading]))
        seen = look_up(view.pixels, at[..., 0], at[..., 1])
        light = np.maximum(at[..., 2:], DARK) * _enlarge(np.exp(found.gain[number][small]), window)
        shows = _enlarge(found.weight[number][small] > BELIEVED, window)[..., None]
        yield (
            behind + shows * (seen * np.float32(1 / 255) / light - behind),
            _enlarge(known * best, window, SOFT),
        )


def lay_mirrored_over(
    picture: Float[np.ndarray, "size size 3"],
    texels: Texels,
    model: MorphableModel,
    mirrored: Mirrored,
    step: int,
) -> None:
    """Blend the other half of the face into a texture where that half alone is known."""
    before, uv = picture.copy(), mirrored_uv(model)
    for window in windows(mirrored.share > 0, step):
        other = look_up_uv(before, texels.within(window).spread(uv))
        mask = _enlarge(mirrored.share[window.shrunk(step).pixels], window)
        behind = before[window.pixels]
        other = behind + (mask > 0)[..., None] * (other - behind)
        picture[window.pixels] = blend([(behind, 1 - mask), (other, mask)])


def windows(chosen: Bool[np.ndarray, "size size"], step: int) -> Iterator[Window]:
    """Rectangles of the texture around chosen coarse texels, one for each part that hangs together."""
    around = cv2.dilate(chosen.astype(np.uint8), np.ones((2 * ROOM + 1,) * 2, np.uint8))
    _, _, boxes, _ = cv2.connectedComponentsWithStats(around)
    for left, top, width, height, _ in boxes[1:].tolist():
        yield Window(step * top, step * (top + height), step * left, step * (left + width))


def _enlarge(values: np.ndarray, window: Window, soft: float = 0.0) -> np.ndarray:
    """Values of coarse texels, softened by so many of them if so, for all texels of a window."""
    if soft:
        values = cv2.GaussianBlur(values.astype(np.float32), (0, 0), soft)
    return cv2.resize(
        values.astype(np.float32), (window.width, window.height), interpolation=cv2.INTER_LINEAR
    )
