"""Adam with the paper's learning-rate schedules (docs/method.md, section 5)."""

import optax


def learning_rate_schedule(
    peak: float, total_steps: int, warmup_steps: int = 0, constant_steps: int = 0, final: float = 0.0
) -> optax.Schedule:
    """Rise to `peak`, stay there for `constant_steps`, go down a cosine to `final` at `total_steps`."""
    decay_start = warmup_steps + constant_steps
    decay = optax.cosine_decay_schedule(peak, max(total_steps - decay_start, 1), alpha=final / peak)
    return optax.join_schedules(
        [optax.linear_schedule(0.0, peak, warmup_steps), optax.constant_schedule(peak), decay],
        [warmup_steps, decay_start],
    )


def adam(schedule: optax.Schedule, gradient_clip: float) -> optax.GradientTransformation:
    """Adam after clipping the gradient's global norm."""
    return optax.chain(optax.clip_by_global_norm(gradient_clip), optax.adam(schedule))
