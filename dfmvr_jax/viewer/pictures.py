"""Pictures for pages, as small as they must be."""

import base64
import io
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
)


def encode(picture: UInt8[np.ndarray, "h w *channels"], largest: int, quality: int) -> dict[str, str]:
    """Give a picture, shrunk to `largest` pixels, as `pictureUrl` of the page takes it."""
    image = Image.fromarray(picture)
    image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=quality, optimize=True)
    return {"type": "image/jpeg", "base64": base64.b64encode(jpeg.getvalue()).decode()}
