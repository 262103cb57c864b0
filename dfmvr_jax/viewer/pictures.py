"""Pictures for pages, as small as they must be."""

import base64
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from dfmvr_jax.render.array_types import UInt8


class Fineness(NamedTuple):
    """How large pictures are at most, and how good as JPEG."""

    photo_px: int  # of the longer side
    texture_px: int
    quality: int


# the first that fits is taken
FINENESSES = (
    Fineness(1024, 2048, 90),
    Fineness(1024, 2048, 82),
    Fineness(1024, 2048, 75),
    Fineness(800, 2048, 75),
    Fineness(640, 1024, 75),
    Fineness(480, 1024, 60),
    Fineness(320, 1024, 60),
)
FEWER = 0.8  # of the photos, if they are still too many


def ways_to_show(photos: int, first: int | None) -> Iterator[tuple[list[int], Fineness]]:
    """Give, the best first, numbers of the photos that a page shows, and how fine its pictures are.

    The photo whose number is `first` is always among them.
    """
    everything = list(range(photos))
    yield from ((everything, fineness) for fineness in FINENESSES)
    count = photos
    while count > 1:
        count = int(FEWER * count)
        chosen = np.linspace(0, photos - 1, count).round().astype(int).tolist()
        yield sorted({*chosen, *([] if first is None else [first])}), FINENESSES[-1]


def describe_way(photos: int, shown: Sequence[int], fineness: Fineness) -> str:
    """Say what a page leaves out of so many photos; nothing where that is nothing."""
    if len(shown) < photos:
        return f"The page has room for {len(shown)} of them, in small."
    return "The page shows them in small." if fineness.photo_px < FINENESSES[0].photo_px else ""


def shrink(picture: UInt8[np.ndarray, "h w *channels"], largest: int) -> UInt8[np.ndarray, "h2 w2 *channels"]:
    """Shrink a picture to at most so many pixels."""
    if max(picture.shape[:2]) <= largest:
        return picture
    image = Image.fromarray(picture)
    image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    return np.asarray(image)


def encode(picture: UInt8[np.ndarray, "h w *channels"], quality: int) -> dict[str, str]:
    """Give a picture as `pictureUrl` of the page takes it."""
    jpeg = io.BytesIO()
    Image.fromarray(picture).save(jpeg, "JPEG", quality=quality, optimize=True)
    return {"type": "image/jpeg", "base64": base64.b64encode(jpeg.getvalue()).decode()}
