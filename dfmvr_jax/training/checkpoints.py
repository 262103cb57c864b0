"""Orbax checkpoints of a run: asynchronous, the newest few and the best, with the config beside the state."""

import contextlib
import dataclasses
import gc
import logging
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from dfmvr_jax.config import Config
from dfmvr_jax.errors import InputError
from dfmvr_jax.files import read_json
from dfmvr_jax.training.processes import gather_over_processes, writer_does
from dfmvr_jax.training.state import TrainState

NO_CHECKPOINT = -1  # instead of its step


class Checkpoints:
    """The checkpoints in one folder. `loss` ranks them; a checkpoint is a step's state and config.

    Only the one training run in a folder may say how many newest ones to `keep`: it tidies up what a
    killed run left half-written. Without it nothing in the folder changes.

    Of several processes all make one and call its methods together, with equal states; process 0 writes.
    """

    def __init__(self, directory: Path, keep: int | None = None):
        policies = ocp.training.preservation_policies
        self.directory = Path(directory).absolute()
        if keep is None:
            _check_losses(self.directory)
        else:
            writer_does(partial(_prepare_folder, self.directory))
        self._writer = ocp.training.Checkpointer(
            self.directory,
            preservation_policy=policies.AnyPreservationPolicy(
                [
                    policies.LatestN(keep),  # None keeps all
                    policies.BestN(get_metric_fn=_loss, reverse=True, n=1),
                ]
            ),
            cleanup_tmp_directories=keep is not None,
        )
        self._pending, self._quiet = None, contextlib.ExitStack()

    def save(self, state: TrainState, config: Config, loss: float) -> None:
        """Start to save; returns before the files are complete. Raises `InputError` when the disk refuses."""
        self.wait()
        self._quiet.enter_context(_orbax_quiet())  # its threads write until `wait` is done
        self._pending = self._writer.save_checkpointables_async(
            int(state.step),
            {"state": _own_arrays(state)._asdict()},
            custom_metadata={"config": dataclasses.asdict(config)},
            metrics={"loss": loss if math.isfinite(loss) else math.inf},
            force=True,
            overwrite=True,  # a checkpoint that could not be read
        )

    def wait(self) -> None:
        """Until the last save is on disk."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        try:
            with self._quiet:
                pending.result()
        except Exception as error:  # tensorstore reports a full disk as ValueError
            raise InputError(
                f"{self.directory}: the checkpoint could not be written ({_first_line(error)}); earlier "
                "checkpoints are untouched: make room or choose another workdir, then run the command again"
            ) from error

    def close(self) -> None:
        self.wait()
        self._writer.close()

    def restore_latest(self, like: TrainState) -> TrainState | None:
        """The newest checkpoint that can be read, or None where there is none."""
        return self._restore(reversed(self._writer.checkpoints), like)

    def restore_best(self, like: TrainState) -> TrainState | None:
        """The checkpoint of lowest loss that can be read, or None where there is none."""
        return self._restore(sorted(self._writer.checkpoints, key=lambda c: _loss(c.metrics)), like)

    def _restore(self, candidates: Iterable, like: TrainState) -> TrainState | None:
        """The first that can be read. Raises `InputError` where that is not the same in every process."""
        with _orbax_quiet():
            state = self._first_readable(candidates, like)
        steps = gather_over_processes(int(state.step) if state else NO_CHECKPOINT)
        if len(set(steps)) > 1:
            raise InputError(
                f"{self.directory}: the processes have read checkpoints of different steps ({steps}, "
                f"{NO_CHECKPOINT} for none): all must see the same files there; then start all of them again"
            )
        return state

    def _first_readable(self, candidates: Iterable, like: TrainState) -> TrainState | None:
        problems = []
        for candidate in candidates:
            folder = self.directory / str(candidate.step)
            try:
                found = self._writer.checkpointables_metadata(candidate.step).metadata["state"]
                if found is None:  # where orbax could not read them
                    raise ValueError("its metadata are damaged")
                difference = _structural_difference(found, like._asdict())
                if not difference:
                    return TrainState(
                        **self._writer.load_checkpointables(
                            candidate.step, {"state": _abstract(like._asdict())}
                        )["state"]
                    )
            except Exception as error:
                difference = f"cannot be read ({_first_line(error)})"
            problems.append(f"{folder}: {difference}")
            print(f"warning: {problems[-1]}; trying the next checkpoint", file=sys.stderr)
            gc.collect()  # the reads that were given up are heard of as they go
        if problems:
            raise InputError(
                f"no usable checkpoint: {problems[0]}; name another workdir, or put the files right"
            )
        return None


@contextlib.contextmanager
def _orbax_quiet() -> Iterator[None]:
    """What goes wrong inside is said once, as an `InputError`; orbax would print tracebacks besides.

    After the first array that cannot be read it waits for no other, and each of these would print one when it
    comes, up to thousands of lines.
    """
    logger, hook = logging.getLogger("absl"), sys.unraisablehook
    logger.addFilter(_is_not_of_orbax)
    sys.unraisablehook = _without_reads_that_were_given_up(hook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        logger.removeFilter(_is_not_of_orbax)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname


def _without_reads_that_were_given_up(hook: Callable) -> Callable:
    """Make a `sys.unraisablehook` that leaves out those of orbax."""

    def unraisable(problem) -> None:
        coroutine = getattr(problem.object, "cr_code", None)
        from_orbax = coroutine and "orbax" in coroutine.co_filename
        if not from_orbax and "Event loop is closed" not in str(problem.exc_value):
            hook(problem)

    return unraisable


def _damaged_losses(directory: Path) -> dict[Path, str]:
    """Files and what is wrong. Orbax reads those of all checkpoints at once, and a damaged one stops it."""
    damaged = {}
    for path in directory.glob("*/metrics/metrics"):
        try:
            metrics = read_json(path)
            if not isinstance(metrics, dict) or not isinstance(metrics.get("loss", 0.0), int | float):
                raise ValueError("it holds no loss")
        except (OSError, ValueError) as error:
            damaged[path] = _first_line(error)
    return damaged


def _check_losses(directory: Path) -> None:
    for path, problem in _damaged_losses(directory).items():
        raise InputError(
            f"{path} is damaged ({problem}): rename this file; its checkpoint then counts as the worst of all"
        )


def _prepare_folder(directory: Path) -> None:
    """Make it, if need be, for a training, and set damaged losses aside."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        list(directory.iterdir())
    except OSError as error:
        raise InputError(
            f"{directory}: cannot hold checkpoints ({error.strerror}): make it a folder that you may read "
            "and write, or choose another workdir"
        ) from error
    for path, problem in _damaged_losses(directory).items():
        print(f"warning: {path} is damaged ({problem}); its checkpoint counts as the worst", file=sys.stderr)
        try:
            path.rename(path.with_name("damaged"))
        except OSError as error:
            raise InputError(
                f"{path}: is damaged and cannot be renamed ({error.strerror}); rename it yourself"
            ) from error


def _loss(metrics: dict | None) -> float:
    """Of a checkpoint; infinite where it is lost, so that others are better."""
    return (metrics or {}).get("loss", math.inf)


def _own_arrays(state: TrainState) -> TrainState:
    """As orbax takes them: of several processes, numpy's, since JAX's would have to be of all together."""
    return state if jax.process_count() == 1 else jax.device_get(state)


def _abstract(tree):
    if jax.process_count() > 1:
        return jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), tree)
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


def _structural_difference(found, wanted) -> str:
    """What differs between the arrays in a checkpoint and those wanted, in words; empty if nothing."""
    shapes = [
        {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves}
        for leaves in (jax.tree_util.tree_flatten_with_path(tree)[0] for tree in (found, wanted))
    ]
    there, here = shapes
    for problem, names in (
        ("lacks", here.keys() - there.keys()),
        ("has the unknown", there.keys() - here.keys()),
    ):
        if names:
            first = min(names, key=_params_first)
            return f"{problem} {len(names)} arrays, first {first}: it belongs to another network or version"
    for name in sorted(here, key=_params_first):
        if there[name] != here[name]:
            return f"{name} has shape {there[name]}, expected {here[name]}: it belongs to another config"
    return ""


def _params_first(name: str) -> tuple[bool, str]:
    """To sort by: a layer's own name tells more than that of its moments."""
    return not name.startswith("params/"), name


def _first_line(error: BaseException) -> str:
    while error.__cause__:  # orbax wraps what happened in words of its own
        error = error.__cause__
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line if len(line) <= 240 else f"{line[:80]} ... {line[-150:]}"
