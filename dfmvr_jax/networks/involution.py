"""Involution: a convolution whose kernels are predicted, one per pixel and group of channels.

Li et al., "Involution: Inverting the Inherence of Convolution for Visual Recognition", CVPR 2021.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfmvr_jax.networks.convolution import ConvNorm
from dfmvr_jax.networks.resampling import mean_pool
from dfmvr_jax.render.array_types import Array, Float


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def involution(
    x: Float[Array, "b h w c"], kernels: Float[Array, "b h2 w2 groups k k"], stride: int = 1
) -> Float[Array, "b h2 w2 c"]:
    """Weigh each pixel's k x k neighbourhood (zeros outside the image) by the pixel's own kernels.

    `out[i, j, c] = sum over y, x of kernels[i, j, group of c, y, x] * padded[stride i + y, stride j + x, c]`
    with h2 = ceil(h / stride), k odd; neighbouring channels form a group. Forward and gradients are sums of
    shifted products: explicit patches are slower by far and need k x k times the memory. The gradient that
    automatic differentiation makes of the sum takes several times as long, and twice as long to compile.
    """
    b, h2, w2, groups, k, _ = kernels.shape
    x = _pad(x, k)

    def add_row(total, i):
        x_row, kernel_row = _row(x, i, stride, h2), jax.lax.dynamic_index_in_dim(kernels, i, 4, False)
        for j in range(k):
            shifted = _every(stride, x_row[:, :, j:], h2, w2)
            total += shifted.reshape(total.shape) * kernel_row[..., j, None]
        return total, None

    zeros = jnp.zeros((b, h2, w2, groups, x.shape[-1] // groups), jnp.result_type(x, kernels))
    # XLA on a CPU computes an unrolled sum again in each use of it; elsewhere each row moves the data again
    unroll = 1 if jax.default_backend() == "cpu" else k
    return jax.lax.scan(add_row, zeros, jnp.arange(k), unroll=unroll)[0].reshape(b, h2, w2, -1)


def _forward(x, kernels, stride):
    return involution(x, kernels, stride), (x, kernels)


def _backward(stride, inputs, gradient):
    x, kernels = inputs
    return _x_gradient(gradient, kernels, stride, x.shape), _kernel_gradient(
        x, gradient, kernels.shape, stride
    )


def _x_gradient(gradient, kernels, stride, x_shape):
    """Gather at each input pixel from the k x k outputs that it went into.

    Of the padded image, pixels with the same remainders of row and column divided by the stride get theirs
    from the same kernel entries: each such plane is a sum of shifted products by itself.
    """
    b, h, w, c = x_shape
    h2, w2, groups, k = kernels.shape[1:5]
    reach = -(-k // stride)  # outputs in a row that a pixel goes into
    rows, columns = (-(-(k // 2 + n) // stride) for n in (h, w))  # of a plane
    sides = [(reach - 1, rows - h2), (reach - 1, columns - w2)]
    gradient, kernels = (_pad_by(y, sides) for y in (gradient, kernels))

    def plane(first_i, first_j):
        total = jnp.zeros((b, rows, columns, groups, c // groups), gradient.dtype)
        for i in range(first_i, k, stride):
            for j in range(first_j, k, stride):
                top, left = reach - 1 - i // stride, reach - 1 - j // stride
                at = (slice(None), slice(top, top + rows), slice(left, left + columns))
                total += gradient[at].reshape(total.shape) * kernels[at][..., i, j, None]
        return total

    planes = [jnp.stack([plane(i, j) for j in range(stride)], axis=3) for i in range(stride)]
    padded = jnp.stack(planes, axis=2).reshape(b, stride * rows, stride * columns, c)
    return padded[:, k // 2 : k // 2 + h, k // 2 : k // 2 + w]


def _kernel_gradient(x, gradient, kernels_shape, stride):
    b, h2, w2, groups, k, _ = kernels_shape
    x = _pad(x, k)

    def kernel_row(i):  # a loop over the rows: unrolled, they take 4 times as long
        x_row = _row(x, i, stride, h2)
        products = [_every(stride, x_row[:, :, j:], h2, w2) * gradient for j in range(k)]
        return jnp.stack([p.reshape(b, h2, w2, groups, -1).sum(-1) for p in products], -1)

    return jnp.moveaxis(jax.lax.map(kernel_row, jnp.arange(k)), 0, -2)


def _pad(x, k):
    return _pad_by(x, [(k // 2, k // 2)] * 2)


def _pad_by(x, sides):
    """Zeros before and after the rows and the columns."""
    return jnp.pad(x, [(0, 0), *sides] + [(0, 0)] * (x.ndim - 3))


def _row(x, i, stride, rows):
    """Of the padded image, what row i of the kernels of all `rows` rows of outputs meets."""
    return jax.lax.dynamic_slice_in_dim(x, i, stride * (rows - 1) + 1, axis=1)


def _every(stride, x, rows, columns):
    """Every stride-th pixel, `rows` x `columns` of them."""
    return x[:, : stride * (rows - 1) + 1 : stride, : stride * (columns - 1) + 1 : stride]


involution.defvjp(_forward, _backward)


class Involution(nn.Module):
    """Involution with its kernel generator: two 1x1 convolutions of the mean-pooled input.

    It starts as a box blur (k x k times 1 / k, which keeps the variance of noise): with random kernels, which
    are quadratic in the input, networks learn more slowly and may overflow before their batch norms settle.
    """

    kernel_size: int = 7
    stride: int = 1
    group_channels: int = 16  # channels that share a kernel; where there are fewer, all do
    reduction: int = 4  # of channels inside the kernel generator
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h2 w2 c"]:
        channels, k = x.shape[-1], self.kernel_size
        group_channels = min(self.group_channels, channels)
        if channels % group_channels or channels % self.reduction:
            raise ValueError(
                f"involution of {channels} channels: group_channels = {group_channels} and "
                f"reduction = {self.reduction} must divide them"
            )
        groups = channels // group_channels
        y = ConvNorm(
            channels // self.reduction, 1, axis_name=self.axis_name, dtype=self.dtype, name="reduce"
        )(mean_pool(x, self.stride), train)
        kernels = nn.Dense(
            k * k * groups,
            dtype=self.dtype,
            kernel_init=nn.initializers.zeros,
            bias_init=nn.initializers.constant(1 / k),
            name="span",
        )(nn.relu(y))
        kernels = kernels.reshape(*kernels.shape[:3], groups, k, k)
        x, kernels = x.astype(jnp.float32), kernels.astype(jnp.float32)  # k x k products are summed
        return involution(x, kernels, self.stride).astype(self.dtype)
