"""The two networks of a config."""

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.config import Config
from dfmvr_jax.conventions import FACE_DISTANCE
from dfmvr_jax.networks.bisenet import BiSeNet
from dfmvr_jax.networks.df_mvr import DFMVR


def make_networks(
    config: Config, dimensions: tuple[int, int, int], axis_name: str | None = None
) -> tuple[DFMVR, BiSeNet]:
    """Reconstruction network for a face model of the given dimensions, and parse net.

    With `axis_name` batch norms share their statistics over that pmap axis.
    """
    dtype = jnp.dtype(config.network.precision)
    network = DFMVR(
        dimensions=dimensions,
        width=config.network.width,
        fusion=config.network.fusion,
        backbone=config.network.backbone,
        stage_sizes=config.network.stage_sizes,
        face_mask=config.network.face_mask,
        fused_features=config.network.fused_features,
        initial_yaw=tuple(np.radians(config.network.initial_yaw_degrees)),
        initial_depth=config.camera_distance - FACE_DISTANCE,
        axis_name=axis_name,
        dtype=dtype,
        remat=config.network.remat,
    )
    parse_net = BiSeNet(
        num_classes=config.parse.num_classes,
        width=config.parse.width,
        enlarge=config.parse.enlarge,
        axis_name=axis_name,
        dtype=dtype,
    )
    return network, parse_net
