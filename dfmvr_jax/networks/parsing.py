"""What the frozen parse net sees in photos, and what the reconstruction network is shown of that."""

from typing import Any

import jax
import jax.numpy as jnp

from dfmvr_jax.celebamask import fold_logits
from dfmvr_jax.conventions import PARTS
from dfmvr_jax.networks.bisenet import BiSeNet, ParseLogits, normalize_photos
from dfmvr_jax.render.array_types import Array, Bool, Float, Int


def parse_logits(
    parse_net: BiSeNet, variables: Any, photos: Float[Array, "*views h w 3"]
) -> Float[Array, "*views h w parts"]:
    """The frozen parse net's main head for every photo. Gradients reach the photos, never the net.

    The 19 CelebAMask-HQ classes of an imported net are folded into the ten parts (`dfmvr_jax.celebamask`).
    """
    variables = jax.lax.stop_gradient(variables)
    flat = normalize_photos(photos.reshape(-1, *photos.shape[-3:]))
    heads = parse_net.apply(variables, flat, False)
    assert isinstance(heads, ParseLogits)  # what its call returns, as no collection is mutable
    logits = heads.main
    if parse_net.num_classes != len(PARTS):
        logits = fold_logits(logits)
    return logits.reshape(*photos.shape[:-3], *logits.shape[1:])


def parse_labels(
    parse_net: BiSeNet, variables: Any, photos: Float[Array, "*views h w 3"]
) -> Int[Array, "*views h w"]:
    """Each pixel's likeliest part."""
    return jnp.argmax(parse_logits(parse_net, variables, photos), axis=-1).astype(jnp.int32)


def network_inputs(
    photos: Float[Array, "b views h w 3"], labels: Int[Array, "b views h w"], given: Bool[Array, "b views"]
) -> tuple[Float[Array, "b views h w 3"], Int[Array, "b views h w"]]:
    """Photos and part labels as the reconstruction network sees them.

    A view that is not given is black and all background (paper, section 5.3).
    """
    return photos * given[:, :, None, None, None], labels * given[:, :, None, None]
