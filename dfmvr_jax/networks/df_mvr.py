"""The reconstruction network: three photos and their part labels to coefficients (paper, section 3.1)."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.networks.rednet import RedNet
from dfmvr_jax.networks.remat import Remat
from dfmvr_jax.networks.shared_encoders import SharedCNN, SharedUNet
from dfmvr_jax.networks.tri_unet import TriUNet
from dfmvr_jax.render.array_types import Array, Float, Int

# what `NetworkConfig` names; checkpoints hold the modules' own names
FUSIONS: dict[str, Callable[..., nn.Module]] = {
    "tri-unet": partial(TriUNet, name="tri_unet"),
    "shared-unet": partial(SharedUNet, name="shared_unet"),
    "cnn": partial(SharedCNN, name="cnn"),
}
BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "rednet50": partial(RedNet, name="rednet"),
    "resnet50": partial(RedNet, convolutions=True, name="resnet"),
}


class CoefficientHeads(nn.Module):
    """One linear layer per kind of coefficient.

    They start at the mean face under even white light, each view turned by its initial yaw, so that the
    first renderings already show the face to every camera.
    """

    dimensions: tuple[int, int, int]  # identity, expression, albedo
    initial_yaw: tuple[float, float, float]  # radians, per view
    initial_depth: float = 0.0  # z of the translations, model units

    @nn.compact
    def __call__(self, features: Float[Array, "b features"]) -> Coefficients:
        def head(size: int, name: str, bias=nn.initializers.zeros) -> Float[Array, "b size"]:
            if size == 0:  # the face model has none, and no checkpoint takes empty arrays
                return features[:, :0]
            return nn.Dense(size, kernel_init=nn.initializers.zeros, bias_init=bias, name=name)(features)

        identity, expression, albedo = self.dimensions
        rotation = nn.initializers.constant(jnp.array([[0.0, yaw, 0.0] for yaw in self.initial_yaw]).ravel())
        translation = nn.initializers.constant(jnp.array([0.0, 0.0, self.initial_depth] * 3))
        return Coefficients(
            identity=head(identity, "identity"),
            expression=head(expression, "expression"),
            albedo=head(albedo, "albedo"),
            light=head(27, "light").reshape(-1, 3, 9),
            rotation=head(9, "rotation", rotation).reshape(-1, 3, 3),
            translation=head(9, "translation", translation).reshape(-1, 3, 3),
        )


class DFMVR(nn.Module):
    """The reconstruction network. Sides of the photos must be multiples of 16."""

    dimensions: tuple[int, int, int]  # identity, expression, albedo: `MorphableModel.dimensions`
    width: int = 64  # channels of the first level, all others scale with it: 8, 16 or a multiple of 32
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)  # bottlenecks of RedNet's stages
    fusion: str = "tri-unet"  # one of `FUSIONS`
    fused_features: str = "released"  # or "paper", which `TriUNet` alone has
    backbone: str = "rednet50"  # one of `BACKBONES`
    face_mask: bool = True  # whether the network sees the labels (v4: no)
    initial_yaw: tuple[float, float, float] = (-math.pi / 6, 0.0, math.pi / 6)  # of the views, radians
    initial_depth: float = 0.0  # z of the translations, model units
    axis_name: str | None = None  # pmap axis of the batch norms
    dtype: Any = jnp.float32  # of computations; parameters and coefficients are float32
    remat: Remat = "none"  # what the gradient computes again

    @nn.compact
    def __call__(
        self, photos: Float[Array, "b 3 h w 3"], labels: Int[Array, "b 3 h w"], train: bool
    ) -> Coefficients:
        """Coefficients of each subject from photos in [0, 1] (left, front, right) and part labels 0..9."""
        settings = {"axis_name": self.axis_name, "dtype": self.dtype, "remat": self.remat}
        views = 2 * photos - 1
        if self.face_mask:
            views = jnp.concatenate([views, labels[..., None].astype(photos.dtype)], axis=-1)
        fused = FUSIONS[self.fusion](self.width, self.fused_features, **settings)(views, train)
        features = BACKBONES[self.backbone](self.width, self.stage_sizes, **settings)(fused, train)
        heads = CoefficientHeads(self.dimensions, self.initial_yaw, self.initial_depth, name="heads")
        return heads(features.astype(jnp.float32))
