"""Convolutions with batch norm as the released networks use them. Images are `[b, h, w, c]`."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from dfmvr_jax.networks.remat import CONVOLUTION
from render.array_types import Array, Float


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
    """Convolution and batch norm. Pads both sides alike as in PyTorch; XLA's "SAME" does not at stride 2."""

    features: int
    kernel_size: int = 3
    stride: int = 1
    use_bias: bool = False
    initial_scale: float = 1.0  # of the batch norm; 0 at the end of a residual branch
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h2 w2 features"]:
        if self.kernel_size == 1:
            x = x[:, :: self.stride, :: self.stride]
            x = nn.Dense(self.features, self.use_bias, self.dtype, name="conv")(x)
        else:
            pad = (self.kernel_size // 2,) * 2
            x = nn.Conv(
                self.features,
                (self.kernel_size, self.kernel_size),
                self.stride,
                padding=(pad, pad),
                use_bias=self.use_bias,
                dtype=self.dtype,
                name="conv",
            )(x)
        x = checkpoint_name(x, CONVOLUTION)
        return batch_norm(train, self.axis_name, self.dtype, "norm", self.initial_scale)(x)
