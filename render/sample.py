"""Colours out of a texture."""

import jax
from jax.scipy.ndimage import map_coordinates

from dfmvr_jax.render.array_types import Array, Float, check_shape


def sample_texture(texture: Float[Array, "rows columns c"], uv: Float[Array, "*n 2"]) -> Float[Array, "*n c"]:
    """Look colours up in a texture, between the centres of its texels (bilinear).

    (u, v) is (0, 0) at the lower left corner of the texture and (1, 1) at the upper right one; row 0 is on
    top, as in a picture (docs/conventions.md). Beyond the outermost centres the colour stays that of the
    border. Differentiable in the texture and in `uv`, along which it has kinks at the texels' centres.
    Raises `ValueError` for arrays of another shape.
    """
    check_shape("texture", texture, "rows", "columns", "c")
    check_shape("uv", uv, *uv.shape[:-1], 2)
    rows, columns, _ = texture.shape
    row, column = (1 - uv[..., 1]) * rows - 0.5, uv[..., 0] * columns - 0.5
    look_up = jax.vmap(
        lambda channel: map_coordinates(channel, [row, column], order=1, mode="nearest"), -1, -1
    )
    return look_up(texture)
