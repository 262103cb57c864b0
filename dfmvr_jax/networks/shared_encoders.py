"""The fusions that the paper compares Tri-UNet with (table 3): the same network for every view, then stacked.

The paper names them (CNN, U-Net) and no more; what they are here is our choice.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from dfmvr_jax.networks.initialization import HE_NORMAL
from dfmvr_jax.networks.remat import Remat, as_block
from dfmvr_jax.networks.tri_unet import VIEW_KERNEL, DoubleConv, TriUNet
from dfmvr_jax.render.array_types import Array, Float


def _each_view(
    network: Callable[[Float[Array, "_ h w c"]], Float[Array, "_ h w d"]],
    views: Float[Array, "b views h w c"],
) -> Float[Array, "b h w views_d"]:
    """Apply one network to every view; its features stand side by side in the channels."""
    b, count, *image = views.shape
    features = network(views.reshape(b * count, *image))
    features = features.reshape(b, count, *features.shape[1:])
    return jnp.concatenate([features[:, i] for i in range(count)], axis=-1)


def _check_kind(fused_features: str) -> None:
    if fused_features != "released":
        raise ValueError(f"fused_features must be 'released' but for Tri-UNet, found {fused_features!r}")


class SharedUNet(nn.Module):
    """v2: one U-Net with attention gates, whose width features of each view meet at the end only."""

    width: int = 64  # channels of the first level
    fused_features: str = "released"  # the only kind, see `TriUNet`
    axis_name: str | None = None  # pmap axis of the batch norms
    dtype: Any = jnp.float32  # of computations; parameters are float32
    remat: Remat = "none"  # what the gradient computes again

    @nn.compact
    def __call__(self, views: Float[Array, "b views h w c"], train: bool) -> Float[Array, "b h w fused"]:
        _check_kind(self.fused_features)
        unet = TriUNet(self.width, "paper", ("any",), self.axis_name, self.dtype, self.remat, name="unet")

        def features(images: Array) -> Array:
            decoded = unet(images[:, None], train)
            assert not isinstance(decoded, tuple)  # as "released" features are
            return decoded

        return _each_view(features, views)


class SharedCNN(nn.Module):
    """v1: four 3x3 convolutions at full resolution; the width features of each view meet at the end only."""

    width: int = 64  # channels of every convolution
    fused_features: str = "released"  # the only kind, see `TriUNet`
    axis_name: str | None = None  # pmap axis of the batch norms
    dtype: Any = jnp.float32  # of computations; parameters are float32
    remat: Remat = "none"  # what the gradient computes again

    @nn.compact
    def __call__(self, views: Float[Array, "b views h w c"], train: bool) -> Float[Array, "b h w fused"]:
        _check_kind(self.fused_features)
        double_conv = as_block(DoubleConv, self.remat)
        first, second = (
            double_conv(self.width, self.axis_name, self.dtype, kernel, name=f"level_{level}")
            for level, kernel in enumerate((VIEW_KERNEL, HE_NORMAL))
        )
        return _each_view(lambda x: second(first(x.astype(self.dtype), train), train), views)
