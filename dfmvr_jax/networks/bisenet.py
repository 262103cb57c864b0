"""Face parse net: BiSeNet with a ResNet-18 context path (Yu et al., ECCV 2018; docs/method.md, section 2)."""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from dfmvr_jax.networks.convolution import ConvNorm
from dfmvr_jax.networks.initialization import HE_NORMAL
from dfmvr_jax.networks.resampling import (
    check_multiples_of_16,
    max_pool_3x3,
    repeat_to,
    resize_bilinear_aligned,
)
from dfmvr_jax.render.array_types import Array, Float


class ParseLogits(NamedTuple):
    """Logits of every pixel's part, three times; the last two serve as auxiliary heads in training."""

    main: Float[Array, "b h w parts"]
    at_16: Float[Array, "b h w parts"]  # from features at 1/8 resolution that came up from 1/16
    at_32: Float[Array, "b h w parts"]  # from features at 1/16 resolution that came up from 1/32


def normalize_photos(photos: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3"]:
    """Photos in [0, 1] to the ImageNet-normalised colours that `BiSeNet` takes."""
    return (photos - jnp.array([0.485, 0.456, 0.406])) / jnp.array([0.229, 0.224, 0.225])


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, at first scaled to zero, beside a shortcut."""

    features: int
    stride: int = 1
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h2 w2 features"]:
        norm = {"axis_name": self.axis_name, "dtype": self.dtype}
        y = nn.relu(ConvNorm(self.features, stride=self.stride, **norm, name="first")(x, train))
        y = ConvNorm(self.features, initial_scale=0.0, **norm, name="second")(y, train)
        if x.shape != y.shape:
            x = ConvNorm(self.features, 1, self.stride, **norm, name="shortcut")(x, train)
        return nn.relu(x + y)


class ResNet18(nn.Module):
    """Features at 1/8, 1/16 and 1/32 resolution."""

    width: int
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"], train: bool) -> list[Float[Array, "b _ _ _"]]:
        norm = {"axis_name": self.axis_name, "dtype": self.dtype}
        x = max_pool_3x3(nn.relu(ConvNorm(self.width, 7, 2, **norm, name="stem")(x, train)))
        stages = []
        for stage in range(4):
            for block in range(2):
                stride = 2 if stage and not block else 1
                x = BasicBlock(self.width << stage, stride, **norm, name=f"stage_{stage}_block_{block}")(
                    x, train
                )
            stages.append(x)
        return stages[1:]


class AttentionRefinement(nn.Module):
    """3x3 convolution whose channels are scaled by what their global means say."""

    features: int
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h w features"]:
        norm = {"axis_name": self.axis_name, "dtype": self.dtype}
        x = nn.relu(ConvNorm(self.features, **norm, name="refine")(x, train))
        gate = ConvNorm(self.features, 1, **norm, name="gate")(x.mean((1, 2), keepdims=True), train)
        return x * nn.sigmoid(gate)


class ParseHead(nn.Module):
    """Features to logits at the image's resolution."""

    features: int
    num_classes: int
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], size: tuple[int, int], train: bool
    ) -> Float[Array, "b h2 w2 parts"]:
        x = nn.relu(
            ConvNorm(self.features, axis_name=self.axis_name, dtype=self.dtype, name="features")(x, train)
        )
        x = nn.Dense(self.num_classes, False, self.dtype, kernel_init=HE_NORMAL, name="logits")(x)
        return resize_bilinear_aligned(x.astype(jnp.float32), size)


class BiSeNet(nn.Module):
    """Part logits of every pixel, part numbers as in docs/conventions.md. Sides must be multiples of 16.

    Images are photos through `normalize_photos`. A frozen net is called with `train=False`.
    """

    num_classes: int = 10  # 19 for the common CelebAMask-HQ weights
    width: int = 64  # channels of the first ResNet-18 stage
    enlarge: int = 1  # times that images are enlarged first; logits keep the images' size
    axis_name: str | None = None  # pmap axis of the batch norms
    dtype: Any = jnp.float32  # of computations; parameters and logits are float32

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"], train: bool) -> ParseLogits:
        width, size = self.width, _size(images)
        check_multiples_of_16(*size)
        if self.enlarge > 1:
            images = resize_bilinear_aligned(images, (self.enlarge * size[0], self.enlarge * size[1]))
        norm = {"axis_name": self.axis_name, "dtype": self.dtype}

        def conv(x: Array, name: str, features: int = 2 * width, kernel_size: int = 3) -> Array:
            return nn.relu(ConvNorm(features, kernel_size, **norm, name=name)(x, train))

        at_8, at_16, at_32 = ResNet18(width, **norm, name="resnet")(images.astype(self.dtype), train)
        mean = conv(at_32.mean((1, 2), keepdims=True), "global_mean", kernel_size=1)
        up_32 = mean + AttentionRefinement(2 * width, **norm, name="refine_32")(at_32, train)
        up_32 = conv(repeat_to(up_32, _size(at_16)), "up_32")
        up_16 = up_32 + AttentionRefinement(2 * width, **norm, name="refine_16")(at_16, train)
        up_16 = conv(repeat_to(up_16, _size(at_8)), "up_16")

        fused = conv(jnp.concatenate([at_8, up_16], -1), "fuse", 4 * width, 1)
        dense = partial(nn.Dense, use_bias=False, dtype=self.dtype, kernel_init=HE_NORMAL)
        gate = dense(width, name="gate_reduce")(fused.mean((1, 2), keepdims=True))
        gate = dense(4 * width, name="gate_expand")(nn.relu(gate))
        fused += fused * nn.sigmoid(gate)

        def head(x: Array, features: int, name: str) -> Array:
            return ParseHead(features, self.num_classes, **norm, name=name)(x, size, train)

        return ParseLogits(
            head(fused, 4 * width, "head"), head(up_16, width, "head_16"), head(up_32, width, "head_32")
        )


def _size(images: Float[Array, "b h w c"]) -> tuple[int, int]:
    _, height, width, _ = images.shape
    return height, width
