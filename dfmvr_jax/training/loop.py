"""The loop around an update function: progress line, logs, validation, pictures, checkpoints, resume."""

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

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
from rich.table import Column

from dfmvr_jax.config import Config
from dfmvr_jax.errors import InputError, Stopped, one_line
from dfmvr_jax.training.checkpoints import Checkpoints
from dfmvr_jax.training.logs import Logs, open_logs
from dfmvr_jax.training.meter import Meter
from dfmvr_jax.training.not_finite import SkippedUpdates
from dfmvr_jax.training.processes import gather_over_processes, is_writer
from dfmvr_jax.training.profile import StepProfile
from dfmvr_jax.training.state import TrainState, replicate, replicated_number, shard, unreplicate
from dfmvr_jax.training.stopping import StopSignals


@dataclasses.dataclass(frozen=True)
class Task:
    """What to train and how to watch it."""

    name: str  # of its folder in the workdir, its logs and its progress line
    rate_setting: str  # what to lower when the loss is not finite
    update: Callable  # (replicated state, sharded batch) -> (state, metrics)
    validate: Callable[[TrainState], dict]  # numbers of the replicated state; "loss" picks the best
    draw: Callable[[TrainState], np.ndarray] | None  # a picture [h, w, 3] uint8 of what the state does
    batches: Callable[[int], Iterable[dict]]  # batches from a step on; "damaged" is counted if it is there
    total_steps: int
    images_per_batch: int  # over all processes


class Monitoring(NamedTuple):
    """Besides TensorBoard."""

    profile: bool = False  # record ten steps
    wandb: str | None = None  # project at Weights & Biases


def train_network(
    task: Task, state: TrainState, config: Config, workdir: Path, monitoring: Monitoring | None = None
) -> TrainState:
    """Train from the newest checkpoint (or from `state`) to the end; returns the best checkpoint's state.

    Raises:
      Stopped: after Ctrl-C or SIGTERM, when the state is saved.
      InputError: the loss stays not finite, an example cannot be read, or the disk refuses.
    """
    monitoring = monitoring or Monitoring()
    checkpoints = Checkpoints(workdir / task.name, config.keep_checkpoints)
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype), state)
    # in the host's memory: on a device it would lie beside the copy that is trained
    state = jax.device_get(checkpoints.restore_latest(like) or state)
    start = int(state.step)
    with StopSignals() as signals:
        if start < task.total_steps:
            if start:
                print(f"{task.name}: goes on from step {start} of {task.total_steps}")
            try:
                _train(task, state, config, workdir, monitoring, checkpoints, signals)
            except InputError:
                checkpoints.close()  # what is being saved is none the worse
                raise
        else:
            print(f"{task.name}: has all its {start} steps")
        checkpoints.wait()
        if received := max(gather_over_processes(signals.received)):
            checkpoints.close()
            raise _stopped(task, task.total_steps, received)
    best = checkpoints.restore_best(like)
    checkpoints.close()
    assert best is not None  # the last step was saved
    return best


def _train(
    task: Task,
    state: TrainState,
    config: Config,
    workdir: Path,
    monitoring: Monitoring,
    checkpoints: Checkpoints,
    signals: StopSignals,
) -> None:
    """The steps that are left; each `checkpoint_every` and the last one are validated and saved."""
    start = int(state.step)
    state = replicate(state)
    skipped = SkippedUpdates(task.name, workdir, task.rate_setting, config.skipped_updates)
    profile = StepProfile(
        workdir / "profile" / task.name, start, task.total_steps, monitoring.profile and is_writer()
    )
    meter, damaged = Meter(task.images_per_batch), 0
    batches = meter.batches(task.batches(start))  # which may show a progress bar of their own
    logs = Logs([])
    if is_writer():
        logs = open_logs(workdir, task.name, start + 1, monitoring.wandb, config)
    print(f"{task.name}: compiling, a minute or two at full size the first time")
    with profile, contextlib.closing(logs), _progress_bar() as progress:
        bar = progress.add_task(task.name, total=task.total_steps, completed=start, note="compiling ...")
        for step, batch in zip(range(start + 1, task.total_steps + 1), batches):
            began = time.perf_counter()
            damaged += int(np.sum(batch.get("damaged", 0)))
            with jax.profiler.StepTraceAnnotation(task.name, step_num=step):
                state, metrics = task.update(state, shard(batch))
            skipped.look(step, metrics, batch)
            first, last = step == start + 1, step == task.total_steps
            if first:  # nearly all of its time is compilation
                jax.block_until_ready(metrics)
                progress.console.print(f"{task.name}: compiled in {time.perf_counter() - began:.0f} s")
            saved = step % config.checkpoint_every == 0 or last
            if saved:  # before anything that only shows, which may fail
                progress.update(bar, note="validating ...")
                with meter.pause(metrics):
                    skipped.finish()
                    _validate_and_save(task, state, step, config, checkpoints, logs)
            report = first or last or step % config.log_every == 0
            if report:
                values = {name: replicated_number(metric) for name, metric in metrics.items()}
                speed = meter.read()
                if not first:
                    values |= speed
                counts = {"damaged_examples": damaged, "skipped_updates": skipped.count}
                logs.scalars("train", values | counts, step)
                logs.flush()
                note = _note(values)
                progress.update(bar, note=note)
                if not progress.console.is_terminal:  # a log file gets lines
                    left = timedelta(seconds=round(1e-3 * speed["step_ms"] * (task.total_steps - step)))
                    text = note if first else f"{note}, {left} left"
                    print(f"{task.name} {step}/{task.total_steps}: {text}", flush=True)
            progress.update(bar, completed=step)
            if profile.due(step):
                with meter.pause(metrics):
                    profile.switch(state)
            if task.draw and is_writer() and (step % config.picture_every == 0 or last):
                with meter.pause(metrics):
                    _draw(task, state, step, logs)
            # several processes stop together, at steps at which they wait for each other anyway
            received = 0
            if (report or jax.process_count() == 1) and not last:
                received = max(gather_over_processes(signals.received))
            if received:
                skipped.finish()
                if not saved:  # nor validated, so it is not among the best
                    checkpoints.save(unreplicate(state), config, math.inf)
                logs.flush()
                checkpoints.close()
                raise _stopped(task, step, received)
    if damaged:
        print(f"{task.name}: {damaged} times an example could not be read, and the next was taken instead")
    if skipped.count:
        print(f"{task.name}: {skipped.count} updates were skipped, for want of a finite loss and gradient")


def _validate_and_save(
    task: Task, state: TrainState, step: int, config: Config, checkpoints: Checkpoints, logs: Logs
) -> None:
    """Save the state by its loss on the validation subjects, then log that and the other scores.

    Raises `InputError` where the loss is not finite.
    """
    scores = {name: float(value) for name, value in task.validate(state).items()}
    finite = math.isfinite(scores["loss"])
    if finite:
        checkpoints.save(unreplicate(state), config, scores["loss"])
    logs.scalars("validation", scores, step)
    logs.flush()
    if not finite:
        raise InputError(
            f"{task.name}: the loss is {scores['loss']} at step {step}, so it is not saved: "
            f"begin another workdir with a lower <{task.rate_setting}>"
        )


def _draw(task: Task, state: TrainState, step: int, logs: Logs) -> None:
    """Log the task's picture of the state. Whatever goes wrong in drawing it is a warning."""
    assert task.draw is not None  # it is asked before
    try:
        picture = task.draw(state)
    except Exception as error:  # of memory, above all
        print(f"warning: {task.name}, step {step}: no picture ({one_line(error)})", file=sys.stderr)
    else:
        logs.picture("reconstruction", picture, step)
        logs.flush()


def _stopped(task: Task, step: int, received: int) -> Stopped:
    return Stopped(
        f"stopped; {task.name} is saved at step {step} of {task.total_steps}, from where the same command "
        "goes on",
        received,
    )


def average(evaluate: Callable[[dict], dict], batches: list[dict]) -> dict:
    """Mean metrics of a replicated `evaluate` over batches, as arrays without device axis."""
    metrics = [unreplicate(evaluate(shard(batch))) for batch in batches]
    return jax.tree.map(lambda *values: jnp.mean(jnp.stack(values), axis=0), *metrics)


def _note(values: dict[str, float]) -> str:
    """For the progress line."""
    note = f"loss {values['loss']:.3f}"
    if "step_ms" in values:
        note += (
            f", {values['step_ms']:.0f} ms/step, {values['images_per_second']:.0f} images/s, "
            f"data wait {values['data_wait']:.0%}, {values['memory_gib']:.1f} GiB"
        )
    return f"{note}, gradient {values['gradient_norm']:.2g}"


def _progress_bar() -> Progress:
    """Where the terminal is narrow, the end of the note is cut."""
    rest_of_the_line = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left, {task.fields[note]}", table_column=rest_of_the_line),
        expand=True,
    )
