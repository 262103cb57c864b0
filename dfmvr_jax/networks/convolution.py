"""Convolutions with batch norm as the released networks use them. Images are `[b, h, w, c]`."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from dfmvr_jax.networks.initialization import HE_NORMAL, HeNormal
from dfmvr_jax.networks.remat import CONVOLUTION
from dfmvr_jax.render.array_types import Array, Float

LARGE = 10_000  # pixels of an output from which XLA's gradients are slow on a CPU
FEW = 16  # pixels of all outputs, per channel, up to which XLA's gradient of the input is slow on a CPU
LAYOUT = ("NHWC", "HWIO", "NHWC")
CHUNK = 1_800  # pixels of the output whose patches stay in the processor's cache


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k c d"], stride: int = 1
) -> Float[Array, "b h2 w2 d"]:
    """Convolution, k odd, with k // 2 zeros on every side, as in PyTorch; XLA's "SAME" differs at stride 2.

    On a CPU the gradients at 3x3 kernels are computed as the functions below do, where XLA's take up to twice
    as long (docs/performance.md). There is no forward-mode derivative.
    """
    return convolve_by_xla(x, kernel, stride)


def convolve_by_xla(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k c d"], stride: int = 1
) -> Float[Array, "b h2 w2 d"]:
    """`convolve` with XLA's gradients."""
    pad = (kernel.shape[0] // 2,) * 2
    return lax.conv_general_dilated(x, kernel, (stride, stride), (pad, pad), dimension_numbers=LAYOUT)


def _forward(x, kernel, stride):
    return convolve(x, kernel, stride), (x, kernel)


def _backward(stride, inputs, gradient):
    x, kernel = inputs
    _, transposed = jax.vjp(lambda x, kernel: convolve_by_xla(x, kernel, stride), x, kernel)
    images, rows, columns, features = gradient.shape
    even = not (x.shape[1] % stride or x.shape[2] % stride)
    large = even and rows * columns >= LARGE and x.shape[-1] >= 16
    few = stride == 1 and images * rows * columns <= FEW * features
    if kernel.shape[0] != 3 or not (large or few):
        return transposed(gradient)

    def on_cpu(gradient):
        x_gradient, weight_gradient = transposed(gradient)
        if few:
            x_gradient = input_gradient_of_few(x, kernel, gradient)
        elif stride == 2:
            x_gradient = strided_input_gradient(x, kernel, gradient)
        if large and stride == 1:
            weight_gradient = kernel_gradient(x, gradient).astype(kernel.dtype)
        return x_gradient, weight_gradient

    return lax.platform_dependent(gradient, cpu=on_cpu, default=transposed)


convolve.defvjp(_forward, _backward)


def kernel_gradient(x: Float[Array, "b h w c"], gradient: Float[Array, "b h w d"]) -> Float[Array, "3 3 c d"]:
    """Gradient of `convolve`'s 3x3 kernel at stride 1: a sum of matrix products over a few rows at a time.

    The patches of these rows stay in the cache. XLA's matrix products are twice as fast where the sum is over
    the last axis of the left side, so the output's gradient is transposed first.
    """
    b, rows, width, d = gradient.shape
    c = x.shape[-1]
    at_once = max(n for n in range(1, rows + 1) if rows % n == 0 and (n == 1 or n * width <= CHUNK))
    per_image = rows // at_once
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    gradient = lax.optimization_barrier(gradient.transpose(0, 3, 1, 2))

    def add_rows(sums, chunk):
        image, first = chunk // per_image, chunk % per_image * at_once
        pixels = lax.dynamic_slice(x, (image, first, 0, 0), (1, at_once + 2, x.shape[2], c))[0]
        outputs = lax.dynamic_slice(gradient, (image, 0, first, 0), (1, d, at_once, width)).reshape(d, -1)
        columns = [pixels[:, j : j + width] for j in range(3)]
        patches = jnp.concatenate(columns, axis=-1)
        products = [
            jnp.matmul(
                outputs,
                patches[i : i + at_once].reshape(-1, 3 * c),
                preferred_element_type=jnp.float32,
            )
            for i in range(3)
        ]
        return [total + product for total, product in zip(sums, products)], None

    sums, _ = lax.scan(add_rows, [jnp.zeros((d, 3 * c), jnp.float32)] * 3, jnp.arange(b * per_image))
    return jnp.stack(sums).reshape(3, d, 3, c).transpose(0, 2, 3, 1)


def strided_input_gradient(
    x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c d"], gradient: Float[Array, "b h2 w2 d"]
) -> Float[Array, "b h w c"]:
    """Gradient of `convolve`'s input at stride 2, sides even: each parity of rows and columns by itself."""

    def by_parity(x):
        total = 0
        for i in (0, 1):
            for j in (0, 1):
                taps = (kernel[1:2], kernel[0::2])[i]
                taps = (taps[:, 1:2], taps[:, 0::2])[j]
                total += lax.conv_general_dilated(
                    x[:, i::2, j::2],
                    taps,
                    (1, 1),
                    ((i, 0), (j, 0)),
                    dimension_numbers=LAYOUT,
                )
        return total

    return jax.linear_transpose(by_parity, x)(gradient)[0]


def input_gradient_of_few(
    x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c d"], gradient: Float[Array, "b h w d"]
) -> Float[Array, "b h w c"]:
    """Gradient of `convolve`'s input at stride 1: a matrix product for all taps, then each pixel's sum.

    XLA's own transposes the kernel first, which takes long where it is larger than the images.
    """
    h, w, c = x.shape[1:]

    def patches(x):
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return jnp.concatenate([x[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], axis=-1)

    products = jnp.einsum(
        "bhwd,td->bhwt", gradient, kernel.reshape(9 * c, -1), preferred_element_type=jnp.float32
    )
    return jax.linear_transpose(patches, x.astype(jnp.float32))(products)[0].astype(x.dtype)


class Conv(nn.Module):
    """`convolve` with its parameters. Several inputs stand for one of all their channels, in this order."""

    features: int
    kernel_size: int
    stride: int = 1
    use_bias: bool = True
    dtype: Any = jnp.float32
    kernel_init: HeNormal = HE_NORMAL

    @nn.compact
    def __call__(self, *parts: Float[Array, "b h w _"]) -> Float[Array, "b h2 w2 features"]:
        channels = [part.shape[-1] for part in parts]
        shape = (self.kernel_size, self.kernel_size, sum(channels), self.features)
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        kernels = jnp.split(kernel, [sum(channels[:i]) for i in range(1, len(parts))], axis=2)
        y = sum(convolve(part.astype(self.dtype), k, self.stride) for part, k in zip(parts, kernels))
        assert not isinstance(y, int)  # the sum of nothing: there is one input or more
        if self.use_bias:
            y += self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return y


def batch_norm(
    train: bool, axis_name: str | None, dtype: Any, name: str, initial_scale: float = 1.0
) -> nn.BatchNorm:
    """Batch norm with float32 statistics, over the `pmap` axis `axis_name` too where one is given.

    PyTorch's momentum 0.1 is Flax's 0.9. The running variance is the biased one (PyTorch keeps the unbiased
    one, n / (n - 1) times as large): the same for imported weights, hardly different after training.
    """
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        scale_init=nn.initializers.constant(initial_scale),
        axis_name=axis_name,
        dtype=dtype,
        name=name,
    )


class ConvNorm(nn.Module):
    """Convolution and batch norm. Several inputs, in a tuple, stand for one of all their channels."""

    features: int
    kernel_size: int = 3
    stride: int = 1
    use_bias: bool = False
    initial_scale: float = 1.0  # of the batch norm; 0 at the end of a residual branch
    axis_name: str | None = None
    dtype: Any = jnp.float32
    kernel_init: HeNormal = HE_NORMAL

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"] | tuple[Float[Array, "b h w _"], ...], train: bool
    ) -> Float[Array, "b h2 w2 features"]:
        settings = {"use_bias": self.use_bias, "dtype": self.dtype, "kernel_init": self.kernel_init}
        if self.kernel_size == 1:
            assert not isinstance(x, tuple)  # `nn.Dense` takes one array
            x = x[:, :: self.stride, :: self.stride]
            x = nn.Dense(self.features, **settings, name="conv")(x)
        else:
            conv = Conv(self.features, self.kernel_size, self.stride, **settings, name="conv")
            x = conv(*(x if isinstance(x, tuple) else (x,)))
        x = checkpoint_name(x, CONVOLUTION)
        return batch_norm(train, self.axis_name, self.dtype, "norm", self.initial_scale)(x)
