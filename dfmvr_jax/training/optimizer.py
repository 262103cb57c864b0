"""Adam with the paper's learning-rate schedules (SPEC section 5)."""

import optax


def learning_rate_schedule(
    peak: float, total_steps: int, constant_steps: int = 0, final: float = 0.0
) -> optax.Schedule:
    """`peak` for `constant_steps`, then a cosine down to `final` at `total_steps`."""
    decay = optax.cosine_decay_schedule(peak, max(total_steps - constant_steps, 1), alpha=final / peak)
    return optax.join_schedules([optax.constant_schedule(peak), decay], [constant_steps])


def adam(schedule: optax.Schedule, gradient_clip: float) -> optax.GradientTransformation:
    """Adam after clipping the gradient's global norm."""
    return optax.chain(optax.clip_by_global_norm(gradient_clip), optax.adam(schedule))
