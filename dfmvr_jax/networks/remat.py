"""What the backward pass keeps of the forward pass, and what it computes again (rematerialization)."""

import functools
import inspect
from typing import Literal

import flax.linen as nn
import jax

CONVOLUTION = "convolution"  # name of the outputs of convolutions and dense layers (`ConvNorm`)
Remat = Literal["none", "norms", "blocks"]


@functools.cache
def as_block(layers: type[nn.Module], remat: Remat) -> type[nn.Module]:
    """The class of some layers whose call ends in `train`, as the policy wants its gradient.

    Of the inside of the block "none" keeps everything; "norms" what convolutions give: batch norms,
    activations and involutions are computed again; "blocks" nothing: all of it is computed again.
    Blocks of the same layers and shapes are traced only once.
    """
    train = list(inspect.signature(layers.__call__).parameters).index("train")
    if remat != "none":
        policies = jax.checkpoint_policies
        keep = {
            "norms": policies.save_only_these_names(CONVOLUTION),
            "blocks": policies.nothing_saveable,
        }[remat]
        layers = nn.remat(layers, policy=keep, static_argnums=(train,))
    return nn.jit(layers, static_argnums=(train,))
