"""The pmapped update functions of the two networks.

Both are data parallel over `DEVICES`: every device works on its share of the batch, batch norms use
the statistics of the whole batch, gradients and metrics are averaged over the devices. State and
frozen inputs carry a leading device axis (`training.state.replicate`), batches too (`shard`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.config import Config
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.losses import Observation, hard_pixel_cross_entropy, landmark_weights, weighted_sum
from dfmvr_jax.networks.bisenet import BiSeNet, normalize_photos
from dfmvr_jax.networks.parsing import network_inputs, parse_labels, parse_logits
from dfmvr_jax.objective import objective
from dfmvr_jax.render import MeshEdges, mesh_edges
from dfmvr_jax.render.array_types import Array, Float, Int, Num
from dfmvr_jax.training.not_finite import MUST_BE_FINITE
from dfmvr_jax.training.optimizer import Optimizer, pack
from dfmvr_jax.training.state import DEVICES, TrainState

Batch = dict[str, Array]
Metrics = dict[str, Float[Array, "*devices"]]


class Frozen(NamedTuple):
    """What the reconstruction training uses and never changes."""

    model: MorphableModel
    parse_variables: Any
    edges: MeshEdges | None  # of the model's mesh, for `Config.antialias`


def freeze(config: Config, model: MorphableModel, parse_variables: Any) -> Frozen:
    """What the reconstruction training of this config needs, for one device."""
    return Frozen(model, parse_variables, mesh_edges(model.triangles) if config.antialias else None)


def rendered_subjects(config: Config, subjects: int) -> int:
    """How many of a device's subjects are rendered in a training step."""
    return max(1, round(config.rendered_share * subjects))


def mean_terms(
    compare: Callable[[Coefficients, Observation], dict[str, Array]],
    coefficients: Coefficients,
    observed: Observation,
    rendered: int,
) -> dict[str, Float[Array, ""]]:
    """Mean terms over the subjects of a batch; those of images over the first `rendered` only."""
    first, others = (
        jax.tree.map(lambda leaf: leaf[part], (coefficients, observed))  # noqa: B023
        for part in (slice(rendered), slice(rendered, None))
    )
    terms = jax.vmap(compare)(*first)
    if rendered < len(observed.landmarks):
        unrendered = jax.vmap(compare)(others[0], others[1]._replace(photos=None, labels=None))
        terms |= {name: jnp.concatenate([terms[name], values]) for name, values in unrendered.items()}
    return jax.tree.map(jnp.mean, terms)


def make_reconstruction_update(
    config: Config,
    network: nn.Module,
    parse_net: BiSeNet,
    optimizer: Optimizer,
    total_steps: int,
) -> tuple[Callable, Callable]:
    """`update(state, frozen, batch) -> (state, metrics)` and `validate(state, frozen, batch) -> metrics`."""
    cameras = face_cameras(len(VIEWS), config.image_size, config.camera_distance)
    emphasis = landmark_weights(config.loss.landmark_emphasis)

    def supervise(params, state: TrainState, frozen: Frozen, batch: Batch, train: bool):
        """The weighted loss of a batch; its terms and the new batch statistics beside it."""
        photos, labels = batch["photos"], batch["labels"]
        if not (train and config.parse.once):
            labels = parse_labels(parse_net, frozen.parse_variables, photos)
        coefficients, changed = network.apply(
            {"params": params, "batch_stats": state.batch_stats},
            *network_inputs(photos, labels, batch["given"]),
            train,
            mutable=["batch_stats"],
        )
        point_weights = jnp.broadcast_to(emphasis, batch["landmarks"].shape[:-1])
        observed = Observation(batch["landmarks"], point_weights, batch["landmarks_3d"], photos, labels)

        def compare(coefficients: Coefficients, observed: Observation) -> dict[str, Array]:
            parse = partial(parse_logits, parse_net, frozen.parse_variables)
            inputs = frozen.model, cameras, coefficients, observed, parse, frozen.edges, config.rasterizer
            return objective(config.loss, *inputs)[1]

        rendered = rendered_subjects(config, len(photos)) if train else len(photos)
        terms = mean_terms(compare, coefficients, observed, rendered)
        # checkpoints compare by the loss of the whole training
        loss = weighted_sum(config.loss, terms, state.step / total_steps if train else 1.0)
        return loss, (terms, changed["batch_stats"])

    def update(state: TrainState, frozen: Frozen, batch: Batch) -> tuple[TrainState, Metrics]:
        (loss, (terms, batch_stats)), gradient = jax.value_and_grad(supervise, has_aux=True)(
            state.params, state, frozen, batch, True
        )
        return apply_gradient(optimizer, state, gradient, batch_stats, {"loss": loss, **terms})

    def validate(state: TrainState, frozen: Frozen, batch: Batch) -> Metrics:
        loss, (terms, _) = supervise(state.params, state, frozen, batch, False)
        return jax.lax.pmean({"loss": loss, **terms}, DEVICES)

    return (
        jax.pmap(update, axis_name=DEVICES, donate_argnums=0),
        jax.pmap(validate, axis_name=DEVICES),
    )


def make_parse_update(
    parse_net: BiSeNet, optimizer: Optimizer, hard_pixels: float
) -> tuple[Callable, Callable]:
    """`update(state, batch) -> (state, metrics)` and `validate(state, batch) -> metrics` of the parse net.

    The loss is the sum of the three heads' cross entropies over the hard pixels of each device
    (`hard_pixel_cross_entropy`; docs/method.md, section 2). `validate` takes all pixels, and reports the main
    head's confusion matrix too, from which `mean_iou` comes.
    """

    def supervise(params, state: TrainState, batch: Batch, train: bool):
        logits, changed = parse_net.apply(
            {"params": params, "batch_stats": state.batch_stats},
            normalize_photos(_merge_views(batch["photos"])),
            train,
            mutable=["batch_stats"],
        )
        labels = _merge_views(batch["labels"])
        share = hard_pixels if train else 1.0
        loss = sum(hard_pixel_cross_entropy(head, labels, share) for head in logits)
        confusion = confusion_matrix(labels, jnp.argmax(logits.main, axis=-1), logits.main.shape[-1])
        return loss, (confusion, changed["batch_stats"])

    def update(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        (loss, (_, batch_stats)), gradient = jax.value_and_grad(supervise, has_aux=True)(
            state.params, state, batch, True
        )
        return apply_gradient(optimizer, state, gradient, batch_stats, {"loss": loss})

    def validate(state: TrainState, batch: Batch) -> Metrics:
        loss, (confusion, _) = supervise(state.params, state, batch, False)
        return jax.lax.pmean({"loss": loss, "confusion": confusion}, DEVICES)

    return (
        jax.pmap(update, axis_name=DEVICES, donate_argnums=0),
        jax.pmap(validate, axis_name=DEVICES),
    )


def apply_gradient(
    optimizer: Optimizer, state: TrainState, gradient, batch_stats, metrics: Metrics
) -> tuple[TrainState, Metrics]:
    """Average gradient and metrics over the devices and take the optimiser's step.

    Where the loss, the gradient or a batch statistic is not finite, only the step is counted: all else stays
    as it was, and the metric `skipped` is 1.
    """
    packed, metrics = jax.lax.pmean((pack(gradient), metrics), DEVICES)
    norm = optax.tree.norm(packed)
    metrics |= {"gradient_norm": norm, "batch_stats_norm": optax.tree.norm(pack(batch_stats))}
    finite = jnp.all(jnp.isfinite(jnp.stack([metrics[name] for name in MUST_BE_FINITE])))
    scales = optimizer.scales(norm, state.step)  # once, not for each array

    def take() -> TrainState:
        params, moments = optimizer.step(scales, packed, state.moments, state.params)
        return TrainState(state.step + 1, params, batch_stats, moments)

    state = jax.lax.cond(finite, take, lambda: state._replace(step=state.step + 1))
    parts = {f"gradient_norm_{name}": optax.tree.norm(part) for name, part in packed.items()}
    return state, {**metrics, **parts, "skipped": 1.0 - finite}


def _merge_views(views: Num[Array, "b views *rest"]) -> Num[Array, "b_views *rest"]:
    return views.reshape(-1, *views.shape[2:])


def confusion_matrix(
    labels: Int[Array, "*pixels"], predicted: Int[Array, "*pixels"], parts: int
) -> Float[Array, "parts parts"]:
    """Share of all pixels with a true label (row) and a predicted one (column)."""
    counts = jnp.zeros((parts, parts)).at[labels.ravel(), predicted.ravel()].add(1.0)
    return counts / labels.size


def mean_iou(confusion: Float[Array, "parts parts"]) -> tuple[Float[Array, ""], Float[Array, "parts"]]:
    """Mean intersection over union, and that of each part (NaN where a part occurs nowhere)."""
    hit = jnp.diagonal(confusion)
    per_part = hit / (confusion.sum(axis=0) + confusion.sum(axis=1) - hit)
    return jnp.nanmean(per_part), per_part
