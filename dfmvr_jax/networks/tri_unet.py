"""Tri-UNet: three encoders, one decoder with attention gates (paper, section 3.1; docs/method.md 2)."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.networks.convolution import ConvNorm
from dfmvr_jax.networks.initialization import HE_NORMAL, HeNormal
from dfmvr_jax.networks.remat import Remat, as_block
from dfmvr_jax.networks.resampling import UpConv2x2, check_multiples_of_16, max_pool_2x2
from dfmvr_jax.render.array_types import Array, Float

# The first kernel: part labels, a view's fourth channel, count to 9 and photos to 1. With equal weights the
# network sees outlines of parts, but no colours.
VIEW_KERNEL = HeNormal(channel_scales=(1.0, 1.0, 1.0, 0.2))


class DoubleConv(nn.Module):
    """(3x3 convolution, batch norm, ReLU) twice."""

    features: int
    axis_name: str | None = None
    dtype: Any = jnp.float32
    first_kernel: HeNormal = HE_NORMAL

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"] | tuple[Float[Array, "b h w _"], ...], train: bool
    ) -> Float[Array, "b h w features"]:
        conv = partial(ConvNorm, self.features, use_bias=True, axis_name=self.axis_name, dtype=self.dtype)
        x = nn.relu(conv(kernel_init=self.first_kernel, name="first")(x, train))
        return nn.relu(conv(name="second")(x, train))


class Encoder(nn.Module):
    """U-Net encoder; returns its features from full to 1/16 resolution."""

    width: int
    axis_name: str | None = None
    dtype: Any = jnp.float32
    remat: Remat = "none"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> list[Float[Array, "b _ _ _"]]:
        double_conv = as_block(DoubleConv, self.remat)
        features = []
        for level in range(5):
            if level:
                x = max_pool_2x2(x)
            kernel = HE_NORMAL if level else VIEW_KERNEL
            x = double_conv(self.width << level, self.axis_name, self.dtype, kernel, name=f"level_{level}")(
                x, train
            )
            features.append(x)
        return features


class AttentionGate(nn.Module):
    """Additive attention: scales a view's features, pixel by pixel, as the decoder's features ask for."""

    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, decoded: Float[Array, "b h w c"], skip: Float[Array, "b h w c"], train: bool
    ) -> Float[Array, "b h w c"]:
        norm = {"axis_name": self.axis_name, "dtype": self.dtype}

        def project(features: int, name: str) -> ConvNorm:
            return ConvNorm(features, 1, use_bias=True, **norm, name=name)

        half = skip.shape[-1] // 2
        sum_of_both = project(half, "of_decoded")(decoded, train) + project(half, "of_skip")(skip, train)
        return skip * nn.sigmoid(project(1, "attention")(nn.relu(sum_of_both), train))


class TriUNet(nn.Module):
    """Fuses the views to features at full resolution. Sides must be multiples of 16.

    The encoders share no weights. (They stand in a Python loop: `nn.vmap` over stacked weights makes XLA
    use grouped convolutions, 5 to 7 times slower on a CPU; the gradient of `nn.scan` is 40 times slower.)
    """

    width: int = 64  # channels of the first level
    fused_features: str = (
        "released"  # "released": decoder and gated views, 4 x width; "paper": convolved to width
    )
    views: tuple[str, ...] = VIEWS  # names of the views' encoders
    axis_name: str | None = None  # pmap axis of the batch norms
    dtype: Any = jnp.float32  # of computations; parameters are float32
    remat: Remat = "none"  # what the gradient computes again

    @nn.compact
    def __call__(
        self, views: Float[Array, "b views h w c"], train: bool
    ) -> Float[Array, "b h w width"] | tuple[Float[Array, "b h w width"], ...]:
        """The channels are a photo in [-1, 1] and, but in v4, its part labels.

        "released" features are a tuple, which stands for one array of all channels.
        """
        if self.fused_features not in ("released", "paper"):
            raise ValueError(f"fused_features must be 'released' or 'paper', found {self.fused_features!r}")
        check_multiples_of_16(*views.shape[2:4])
        norm = {"axis_name": self.axis_name, "dtype": self.dtype}
        double_conv, gate = (as_block(block, self.remat) for block in (DoubleConv, AttentionGate))
        views = views.astype(self.dtype)
        encoded = [
            Encoder(self.width, **norm, remat=self.remat, name=f"encoder_{v}")(views[:, i], train)
            for i, v in enumerate(self.views)
        ]
        *skips, deepest = zip(*encoded)
        x = jnp.concatenate(deepest, axis=-1)
        for level in reversed(range(4)):
            features = self.width << level
            up = UpConv2x2(features, self.dtype, name=f"up_{level}")(x)
            gated = [
                gate(**norm, name=f"gate_{level}_{v}")(up, skip, train)
                for v, skip in zip(self.views, skips[level])
            ]
            parts: Array | tuple[Array, ...] = (up, *gated)
            if level > 1:  # at high resolution, copying them into one array takes longer than it saves
                parts = jnp.concatenate(parts, axis=-1)
            # The released weights have the last convolutions too, unused: keep their parameters.
            if level or self.fused_features == "paper" or self.is_initializing():
                merged = double_conv(features, **norm, name=f"merge_{level}")(parts, train)
            if level or self.fused_features == "paper":
                x = merged
        return x if self.fused_features == "paper" else parts
