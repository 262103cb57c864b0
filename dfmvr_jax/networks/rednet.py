"""RedNet-50: a ResNet-50 with 7x7 involutions for its 3x3 convolutions (Li et al., CVPR 2021)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfmvr_jax.networks.convolution import ConvNorm, batch_norm
from dfmvr_jax.networks.involution import Involution
from dfmvr_jax.networks.remat import Remat, as_block
from dfmvr_jax.networks.resampling import check_multiples_of_16, max_pool_3x3
from dfmvr_jax.render.array_types import Array, Float


class Stem(nn.Module):
    """To half resolution: 3x3 convolution, 3x3 involution, 3x3 convolution."""

    width: int
    group_channels: int = 16
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"] | tuple[Float[Array, "b h w _"], ...], train: bool
    ) -> Float[Array, "b h2 w2 width"]:
        norm = {"axis_name": self.axis_name, "dtype": self.dtype}
        x = nn.relu(ConvNorm(self.width // 2, stride=2, **norm, name="first")(x, train))
        x = Involution(3, 1, self.group_channels, **norm, name="involution")(x, train)
        x = nn.relu(batch_norm(train, **norm, name="involution_norm")(x))
        return nn.relu(ConvNorm(self.width, **norm, name="second")(x, train))


class Bottleneck(nn.Module):
    """1x1 convolution, 7x7 involution, 1x1 convolution to four times the features, beside a shortcut.

    The branch starts at zero: so the network learns sooner, and a long chain of involutions, each quadratic
    in its input once trained, starts tame. With `convolutions`, a 3x3 convolution stands for the involution.
    """

    features: int
    stride: int = 1
    group_channels: int = 16
    convolutions: bool = False
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h2 w2 d"]:
        norm = {"axis_name": self.axis_name, "dtype": self.dtype}
        y = nn.relu(ConvNorm(self.features, 1, **norm, name="reduce")(x, train))
        if self.convolutions:
            y = nn.relu(ConvNorm(self.features, 3, self.stride, **norm, name="convolution")(y, train))
        else:
            y = Involution(7, self.stride, self.group_channels, **norm, name="involution")(y, train)
            y = nn.relu(batch_norm(train, **norm, name="involution_norm")(y))
        y = ConvNorm(4 * self.features, 1, initial_scale=0.0, **norm, name="expand")(y, train)
        if x.shape != y.shape:
            x = ConvNorm(4 * self.features, 1, self.stride, **norm, name="shortcut")(x, train)
        return nn.relu(x + y)


class RedNet(nn.Module):
    """Features at full resolution to one vector of 32 x width per image. Sides must be multiples of 16.

    With `convolutions` it is a ResNet-50 (He et al., CVPR 2016), the strides in the 3x3 convolutions, as has
    become usual: v3 of table 3.
    """

    width: int = 64  # channels of the first stage's bottlenecks: 8, 16 or a multiple of 32
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)  # bottlenecks of each stage
    group_channels: int = 16  # channels that share an involution kernel
    convolutions: bool = False  # in place of the involutions
    axis_name: str | None = None  # pmap axis of the batch norms
    dtype: Any = jnp.float32  # of computations; parameters are float32
    remat: Remat = "none"  # what the gradient computes again

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"] | tuple[Float[Array, "b h w _"], ...], train: bool
    ) -> Float[Array, "b features"]:
        check_multiples_of_16(*jax.tree.leaves(x)[0].shape[1:3])
        norm = {"axis_name": self.axis_name, "dtype": self.dtype}
        if self.convolutions:
            y = nn.relu(ConvNorm(self.width, 7, 2, **norm, name="stem")(x, train))
        else:
            y = as_block(Stem, self.remat)(self.width, self.group_channels, **norm, name="stem")(x, train)
        y = max_pool_3x3(y)
        bottleneck = as_block(Bottleneck, self.remat)
        for stage, size in enumerate(self.stage_sizes):
            for block in range(size):
                stride = 2 if stage and not block else 1
                name = f"stage_{stage}_block_{block}"
                features = self.width << stage
                y = bottleneck(features, stride, self.group_channels, self.convolutions, **norm, name=name)(
                    y, train
                )
        return y.mean((1, 2))
