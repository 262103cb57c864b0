"""Values out of pictures, quickly."""

import cv2
import numpy as np

from dfmvr_jax.render.array_types import Float, Num

MOST_ROWS = 32000  # that OpenCV takes at once


def look_up(
    picture: Num[np.ndarray, "rows columns *c"],
    x: Float[np.ndarray, "h w"],
    y: Float[np.ndarray, "h w"],
) -> Num[np.ndarray, "h w *c"]:
    """Bilinear values of a picture at pixels whose centres lie at halves; beyond its border as at it."""
    x, y = (x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32)
    strips = [slice(start, start + MOST_ROWS) for start in range(0, len(x), MOST_ROWS)]
    parts = [
        cv2.remap(picture, x[part], y[part], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for part in strips
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def look_up_uv(
    texture: Float[np.ndarray, "size size *c"], uv: Float[np.ndarray, "h w 2"]
) -> Float[np.ndarray, "h w *c"]:
    """Values of a texture, as `render.sample_texture` gives them."""
    size = len(texture)
    return look_up(texture, size * uv[..., 0], size * (1 - uv[..., 1]))


def look_up_points(
    texture: Float[np.ndarray, "size size *c"], uv: Float[np.ndarray, "points 2"]
) -> Float[np.ndarray, "points *c"]:
    """The same for points in a row."""
    return look_up_uv(texture, uv[:, None])[:, 0]
