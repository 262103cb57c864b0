"""A training of a model so small that the loop around it is what is tested, as a program of its own.

    python -m tests.tiny_training WORKDIR [--steps 30] [--seconds 0.02] [--bad STEP ...] ...
        [--coordinator HOST:PORT --num-processes N --process-id K]

Every loss of process K goes to WORKDIR/losses_K.txt, `step loss` in hexadecimal: it outlives a kill.
"""

import argparse
import itertools
import json
import os
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dfmvr_jax.command_line import run
from dfmvr_jax.config import Config, changed
from dfmvr_jax.errors import InputError
from dfmvr_jax.training import checkpoints
from dfmvr_jax.training.lock import locked
from dfmvr_jax.training.loop import Monitoring, Task, average, train_network
from dfmvr_jax.training.optimizer import TRANSFORMATIONS, Optimizer
from dfmvr_jax.training.processes import join_processes, share
from dfmvr_jax.training.state import DEVICES, TrainState, initial_state
from dfmvr_jax.training.update import apply_gradient

CONFIG = changed(Config(), {"log_every": 5, "checkpoint_every": 5, "skipped_updates": 3})
BATCH, SIZE = 8, 5


def tiny_update(optimizer: Optimizer):
    """Pmapped update and validation of a linear regression."""

    def loss_of(params, batch):
        return jnp.mean((batch["x"] @ params["layer"]["w"] - batch["y"]) ** 2)

    def update(state: TrainState, batch: dict):
        loss, gradient = jax.value_and_grad(loss_of)(state.params, batch)
        stats = {"mean": 0.9 * state.batch_stats["mean"] + 0.1 * jax.lax.pmean(batch["x"].mean(0), DEVICES)}
        return apply_gradient(optimizer, state, gradient, stats, {"loss": loss})

    def validate(state: TrainState, batch: dict):
        return jax.lax.pmean({"loss": loss_of(state.params, batch)}, DEVICES)

    return jax.pmap(update, axis_name=DEVICES), jax.pmap(validate, axis_name=DEVICES)


def make_batch(step: int, bad: bool = False) -> dict:
    """This process's share of the batch of a step; a bad one holds a NaN."""
    number, processes = share()
    rng = np.random.default_rng(step)
    x = rng.standard_normal((BATCH, SIZE)).astype(np.float32)
    y = (x @ np.arange(SIZE, dtype=np.float32) + 1)[:, None]
    if bad:
        y[BATCH - 1] = np.nan
    index = np.arange(BATCH * step, BATCH * (step + 1))
    return {name: value[number::processes] for name, value in {"x": x, "y": y, "index": index}.items()}


def tiny_task(
    steps: int,
    bad: tuple[int, ...] = (),
    seconds: float = 0.0,
    tell=None,
    validation_seconds: float = 0.0,
    optimizer: str = CONFIG.optimizer,
) -> Task:
    """`tell(step, loss, replicated params)` hears of every update.

    An update takes at least `seconds`, a validation `validation_seconds`.
    """
    update, validate = tiny_update(Optimizer(TRANSFORMATIONS[optimizer], optax.constant_schedule(1e-2), 1e9))

    def told(state, batch):
        state, metrics = update(state, batch)
        if tell:
            tell(int(state.step[0]), float(metrics["loss"][0]), state.params)
        time.sleep(seconds)
        return state, metrics

    def scores(state):
        time.sleep(validation_seconds)
        return average(partial(validate, state), [make_batch(10_000)])

    return Task(
        name="tiny",
        rate_setting="learning_rate",
        update=told,
        validate=scores,
        draw=None,
        batches=lambda start: (make_batch(step, step + 1 in bad) for step in range(start, steps)),
        total_steps=steps,
        images_per_batch=BATCH,
    )


def tiny_state(optimizer: str = CONFIG.optimizer) -> TrainState:
    variables = {
        "params": {"layer": {"w": jnp.zeros((SIZE, 1))}},
        "batch_stats": {"mean": jnp.zeros(SIZE)},
    }
    return initial_state(variables, TRANSFORMATIONS[optimizer])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--bad", type=int, nargs="*", default=[])
    parser.add_argument("--validation-seconds", type=float, default=0.0)
    parser.add_argument("--fail", type=int, help="process that finds something wrong at its third step")
    parser.add_argument("--blind", type=int, help="process that cannot read the newest checkpoint")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--coordinator")
    parser.add_argument("--num-processes", type=int)
    parser.add_argument("--process-id", type=int)
    command = parser.parse_args()
    join_processes(command.coordinator, command.num_processes, command.process_id)
    with locked(command.workdir):
        losses = (command.workdir / f"losses_{jax.process_index()}.txt").open("a")

        def tell(step: int, loss: float, params: dict) -> None:
            if step == command.steps:
                _write_replicas(command.workdir, params)
            if step == 3 and command.fail == jax.process_index():
                raise InputError("something is wrong")
            losses.write(f"{step} {loss.hex()}\n")
            losses.flush()
            os.fsync(losses.fileno())

        if command.blind == jax.process_index():
            _miss_the_newest_checkpoint()
        task = tiny_task(command.steps, tuple(command.bad), command.seconds, tell, command.validation_seconds)
        train_network(task, tiny_state(), CONFIG, command.workdir, Monitoring(command.profile))
        (command.workdir / f"ended_{jax.process_index()}").touch()


def _write_replicas(workdir: Path, params: dict) -> None:
    """The parameters on each device of this process, exactly: replicas_K.json, a list for each device."""
    per_device = [
        [float(value).hex() for leaf in jax.tree.leaves(params) for value in _on(device, leaf).ravel()]
        for device in jax.local_devices()
    ]
    (workdir / f"replicas_{jax.process_index()}.json").write_text(json.dumps(per_device))


def _on(device: jax.Device, leaf: jax.Array) -> np.ndarray:
    (shard,) = (shard for shard in leaf.addressable_shards if shard.device == device)
    return np.asarray(shard.data)


def _miss_the_newest_checkpoint() -> None:
    """As where the file system shows it to the other processes only."""
    compare, calls = checkpoints._structural_difference, itertools.count()

    def first_fails(found, wanted):
        if next(calls) == 0:
            raise OSError("stale file handle")
        return compare(found, wanted)

    checkpoints._structural_difference = first_fails


if __name__ == "__main__":
    run(main)
