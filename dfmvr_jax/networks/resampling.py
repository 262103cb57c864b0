"""Pooling and up-sampling of images `[b, h, w, c]`, written the way XLA runs them fast on a CPU."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.networks.initialization import HE_NORMAL
from dfmvr_jax.render.array_types import Array, Float


def check_multiples_of_16(height: int, width: int) -> None:
    """Raise `InputError` unless both sides are multiples of 16, which every network here needs."""
    if height % 16 or width % 16:
        raise InputError(
            f"photos have {height} x {width} pixels: resize them so that both sides are multiples of 16"
        )


def max_pool_2x2(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Maximum of 2x2 pixels, stride 2; sides must be even.

    Forward and backward take a fifteenth of `nn.max_pool`'s time on a CPU (2 x 224 x 224 x 64). Pixels that
    tie for the maximum share the gradient (PyTorch gives it to one of them); after a ReLU, where ties happen
    at 0, no gradient passes anyway.
    """
    x = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(x[:, :, ::2], x[:, :, 1::2])


def max_pool_3x3(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Maximum of 3x3 pixels around every second pixel, padded with -inf; sides must be even.

    Gradients as in `max_pool_2x2`, a quarter of `nn.max_pool`'s time.
    """

    def pool_rows(x):
        even, odd = x[:, ::2], x[:, 1::2]
        above = jnp.pad(odd[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)), constant_values=-jnp.inf)
        return jnp.maximum(jnp.maximum(above, even), odd)

    return pool_rows(pool_rows(x).swapaxes(1, 2)).swapaxes(1, 2)


def mean_pool(x: Float[Array, "b h w c"], stride: int) -> Float[Array, "b h2 w2 c"]:
    """Mean of stride x stride pixels; at an odd edge, of those that there are."""
    b, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (0, -h % stride), (0, -w % stride), (0, 0)), mode="edge")
    return x.reshape(b, -(-h // stride), stride, -(-w // stride), stride, c).mean((2, 4))


def repeat_to(x: Float[Array, "b h w c"], size: tuple[int, int]) -> Float[Array, "b h2 w2 c"]:
    """Nearest-neighbour up-sampling by two to `size`, which may be one short of it where it is odd."""
    return x.repeat(2, axis=1).repeat(2, axis=2)[:, : size[0], : size[1]]


def resize_bilinear_aligned(x: Float[Array, "b h w c"], size: tuple[int, int]) -> Float[Array, "b h2 w2 c"]:
    """Bilinear resize to `size` = (height, width) with aligned corners: first to first, last to last pixel.

    `jax.image.resize` aligns the pixels' outer edges instead.
    """
    rows, columns = (_resize_matrix(n, m) for n, m in zip(x.shape[1:3], size))
    x = jnp.einsum("Hh,bhwc->bHwc", jnp.asarray(rows, x.dtype), x)
    return jnp.einsum("Ww,bHwc->bHWc", jnp.asarray(columns, x.dtype), x)


def _resize_matrix(n: int, m: int) -> np.ndarray:
    """`[m, n]` weights that interpolate m samples from n, first and last ones equal."""
    position = np.linspace(0, n - 1, m)
    return np.maximum(0, 1 - abs(position[:, None] - np.arange(n)))


class UpConv2x2(nn.Module):
    """Transposed convolution 2x2 with stride 2: a dense layer turns each pixel into 2x2 pixels.

    XLA is slow at the transposed convolution as such. The kernel's columns are (row, column, feature).
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 features"]:
        b, h, w, c = x.shape
        kernel = self.param("kernel", HE_NORMAL, (c, 4 * self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x = (x @ kernel.astype(self.dtype)).reshape(b, h, w, 2, 2, self.features)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(b, 2 * h, 2 * w, self.features)
        return x + bias.astype(self.dtype)
