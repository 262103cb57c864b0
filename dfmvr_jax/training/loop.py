"""The loop around an update function: progress line, logs, validation, pictures, checkpoints, resume."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dfmvr_jax.config import Config
from dfmvr_jax.errors import InputError
from dfmvr_jax.training.checkpoints import Checkpoints
from dfmvr_jax.training.logs import Logs
from dfmvr_jax.training.state import TrainState, replicate, shard, unreplicate


@dataclasses.dataclass(frozen=True)
class Task:
    """What to train and how to watch it."""

    name: str  # of its folder in the workdir, its logs and its progress line
    rate_flag: str  # of train.py: what to lower when the loss is not finite
    update: Callable  # (replicated state, sharded batch) -> (state, metrics)
    validate: Callable[[TrainState], dict]  # numbers of the replicated state; "loss" picks the best
    draw: Callable[[TrainState], np.ndarray] | None  # a picture [h, w, 3] uint8 of what the state does
    batches: Callable[[int], Iterable[dict]]  # batches from a step on; "damaged" is counted if it is there
    total_steps: int
    images_per_batch: int


def fit(task: Task, state: TrainState, config: Config, workdir: Path) -> TrainState:
    """Train from the newest checkpoint (or from `state`) to the end; returns the best checkpoint's state."""
    checkpoints = Checkpoints(workdir / task.name, config.keep_checkpoints)
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype), state)
    state = checkpoints.restore_latest(like) or state
    start = int(state.step)
    if start >= task.total_steps:
        print(f"{task.name}: has all its {start} steps")
        best = checkpoints.restore_best(like)
        checkpoints.close()
        return best
    if start:
        print(f"{task.name}: goes on from step {start} of {task.total_steps}")
    print(f"{task.name}: compiling, a minute or two; a stopped run goes on from its last checkpoint")
    state = replicate(state)

    logs = Logs(workdir / "logs" / task.name, start + 1)
    batches, damaged = task.batches(start), 0
    with _progress_bar() as progress:
        bar = progress.add_task(task.name, total=task.total_steps, completed=start, note="compiling ...")
        clock, last_logged = time.perf_counter(), start
        for step, batch in zip(range(start + 1, task.total_steps + 1), batches):
            damaged += int(np.sum(batch.get("damaged", 0)))
            state, metrics = task.update(state, shard(batch))
            last = step == task.total_steps
            if step % config.log_every == 0 or step == start + 1 or last:
                metrics = {name: float(value) for name, value in unreplicate(metrics).items()}
                elapsed, clock = time.perf_counter() - clock, time.perf_counter()
                metrics["images_per_second"] = (step - last_logged) * task.images_per_batch / elapsed
                last_logged = step
                metrics["damaged_examples"] = damaged
                logs.scalars("train", metrics, step)
                note = f"loss {metrics['loss']:.3f}, {metrics['images_per_second']:.0f} images/s"
                progress.update(bar, note=note)
                if not progress.console.is_terminal:  # a log file gets lines
                    print(f"{task.name} {step}/{task.total_steps}: {note}", flush=True)
            progress.update(bar, completed=step)
            if task.draw and (step % config.picture_every == 0 or last):
                logs.picture("reconstruction", task.draw(state), step)
            if step % config.checkpoint_every == 0 or last:
                scores = {name: float(value) for name, value in task.validate(state).items()}
                logs.scalars("validation", scores, step)
                logs.flush()
                if not np.isfinite(scores["loss"]):
                    raise InputError(
                        f"{task.name}: the loss is {scores['loss']} at step {step}, so it is not saved: "
                        f"begin another --workdir with a lower {task.rate_flag}"
                    )
                checkpoints.save(unreplicate(state), config, scores["loss"])
    if damaged:
        print(f"{task.name}: {damaged} times an example could not be read, and the next was taken instead")
    checkpoints.wait()
    best = checkpoints.restore_best(like)
    checkpoints.close()
    return best


def average(evaluate: Callable[[dict], dict], batches: list[dict]) -> dict:
    """Mean metrics of a replicated `evaluate` over batches, as arrays without device axis."""
    metrics = [unreplicate(evaluate(shard(batch))) for batch in batches]
    return jax.tree.map(lambda *values: jnp.mean(jnp.stack(values), axis=0), *metrics)


def _progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description:>14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
