"""What the backward pass keeps of the forward pass, and what it computes again (rematerialization)."""

import inspect
from typing import Literal

import flax.linen as nn
import jax

CONVOLUTION = "convolution"  # name of the outputs of convolutions and dense layers (`ConvNorm`)
Remat = Literal["none", "norms", "blocks"]


def rematerialized(block: type[nn.Module], remat: Remat) -> type[nn.Module]:
    """The class of a block of layers whose call ends in `train`, as the policy wants its gradient.

    Of the inside of the block "none" keeps everything; "norms" what convolutions give: batch norms,
    activations and involutions are computed again; "blocks" nothing: all of it is computed again.
    """
    if remat == "none":
        return block
    policies = jax.checkpoint_policies
    keep = {
        "norms": policies.save_only_these_names(CONVOLUTION),
        "blocks": policies.nothing_saveable,
    }[remat]
    train = list(inspect.signature(block.__call__).parameters).index("train")
    return nn.remat(block, policy=keep, static_argnums=(train,))
