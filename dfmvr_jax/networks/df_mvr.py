"""The reconstruction network: three photos and their part labels to coefficients (paper, section 3.1)."""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.networks.rednet import RedNet
from dfmvr_jax.networks.tri_unet import TriUNet
from render.array_types import Array, Float, Int


class CoefficientHeads(nn.Module):
    """One linear layer per kind of coefficient.

    They start at the mean face under even white light, each view turned by its initial yaw, so that the
    first renderings already show the face to every camera.
    """

    dimensions: tuple[int, int, int]  # identity, expression, albedo
    initial_yaw: tuple[float, float, float]  # radians, per view

    @nn.compact
    def __call__(self, features: Float[Array, "b features"]) -> Coefficients:
        def head(size: int, name: str, bias=nn.initializers.zeros) -> Float[Array, "b size"]:
            return nn.Dense(size, kernel_init=nn.initializers.zeros, bias_init=bias, name=name)(features)

        identity, expression, albedo = self.dimensions
        pose = nn.initializers.constant(jnp.array([[0.0, yaw, 0.0] for yaw in self.initial_yaw]).ravel())
        return Coefficients(
            identity=head(identity, "identity"),
            expression=head(expression, "expression"),
            albedo=head(albedo, "albedo"),
            light=head(27, "light").reshape(-1, 3, 9),
            rotation=head(9, "rotation", pose).reshape(-1, 3, 3),
            translation=head(9, "translation").reshape(-1, 3, 3),
        )


class DFMVR(nn.Module):
    """The reconstruction network. Sides of the photos must be multiples of 16."""

    dimensions: tuple[int, int, int]  # identity, expression, albedo: `MorphableModel.dimensions`
    width: int = 64  # channels of the first level, all others scale with it: 8, 16 or a multiple of 32
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)  # bottlenecks of RedNet's stages
    fused_features: str = "released"  # or "paper", see `TriUNet`
    initial_yaw: tuple[float, float, float] = (-math.pi / 6, 0.0, math.pi / 6)  # of the views, radians
    axis_name: str | None = None  # pmap axis of the batch norms
    dtype: Any = jnp.float32  # of computations; parameters and coefficients are float32

    @nn.compact
    def __call__(
        self, photos: Float[Array, "b 3 h w 3"], labels: Int[Array, "b 3 h w"], train: bool
    ) -> Coefficients:
        """Coefficients of each subject from photos in [0, 1] (left, front, right) and part labels 0..9."""
        norm = {"axis_name": self.axis_name, "dtype": self.dtype}
        views = jnp.concatenate([2 * photos - 1, labels[..., None].astype(photos.dtype)], axis=-1)
        fused = TriUNet(self.width, self.fused_features, **norm, name="tri_unet")(views, train)
        features = RedNet(self.width, self.stage_sizes, **norm, name="rednet")(fused, train)
        return CoefficientHeads(self.dimensions, self.initial_yaw, name="heads")(features.astype(jnp.float32))
