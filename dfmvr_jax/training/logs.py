"""Where the numbers and pictures of a run go: TensorBoard, and Weights & Biases if it is asked for."""

import contextlib
import dataclasses
import math
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from dfmvr_jax.config import Config
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.render.array_types import UInt8


@runtime_checkable
class Sink(Protocol):
    """One place to write to. Names are like `train/loss`; numbers are finite."""

    def scalars(self, values: dict[str, float], step: int) -> None: ...
    def picture(self, name: str, picture: UInt8[np.ndarray, "h w 3"], step: int) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class Logs:
    """Writes the same to every sink. What is not finite is left out: no viewer draws it."""

    def __init__(self, sinks: Sequence[Sink]):
        self._sinks = sinks

    def scalars(self, prefix: str, values: dict[str, float], step: int) -> None:
        finite = {f"{prefix}/{name}": value for name, value in values.items() if math.isfinite(value)}
        for sink in self._sinks:
            sink.scalars(finite, step)

    def picture(self, name: str, picture: UInt8[np.ndarray, "h w 3"], step: int) -> None:
        for sink in self._sinks:
            sink.picture(name, picture, step)

    def flush(self) -> None:
        """Show what was written so far."""
        for sink in self._sinks:
            sink.flush()

    def close(self) -> None:
        """Let go of the files; what was written since the last `flush` may be lost."""
        for sink in self._sinks:
            sink.close()


def open_logs(workdir: Path, task: str, first_step: int, wandb: str | None, config: Config) -> Logs:
    """TensorBoard events in the workdir's logs/, and a run in the W&B project, if there is one.

    What a killed run logged from `first_step` on is replaced in TensorBoard, and there twice at W&B.
    Raises `InputError` where the disk refuses or W&B is not there.
    """
    sinks: list[Sink] = [WeightsAndBiases(wandb, workdir, task, config)] if wandb else []
    return Logs([*sinks, TensorBoard(workdir / "logs" / task, first_step)])  # last: its file is open then


class TensorBoard:
    """Events in a folder. The caller's thread writes.

    (tensorboardX's own SummaryWriter has a thread for it, which dies of a full disk unseen, and then the
    training waits for it for ever.)

    Raises:
      InputError: the disk refuses; from any method.
    """

    def __init__(self, folder: Path, first_step: int):
        self._folder = folder
        with self._disk():
            folder.mkdir(parents=True, exist_ok=True)
            self._events = EventsWriter(str(folder / "events"))
        self._write(first_step, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._write(step, summary=summary.scalar(name, value))

    def picture(self, name: str, picture: UInt8[np.ndarray, "h w 3"], step: int) -> None:
        self._write(step, summary=summary.image(name, picture, dataformats="HWC"))

    def flush(self) -> None:
        with self._disk():
            self._events.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # of what was not flushed; another error may be under way
            self._events.close()

    def _write(self, step: int, **what) -> None:
        with self._disk():
            self._events.write_event(Event(wall_time=time.time(), step=step, **what))

    @contextlib.contextmanager
    def _disk(self):
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self._folder}: the log could not be written ({error.strerror}); "
                "checkpoints are untouched: make room, then run the command again"
            ) from error


class WeightsAndBiases:
    """A run at wandb.ai, or, with WANDB_MODE=offline, in the workdir's wandb/.

    A training that goes on, goes on in its run there. Steps are an axis of their own, `step`: W&B's own
    counter cannot go back to the last checkpoint.
    """

    def __init__(self, project: str, workdir: Path, task: str, config: Config):
        wandb = import_wandb()
        identity = workdir / "wandb" / f"{task}.id"
        try:
            if not identity.exists():
                identity.parent.mkdir(parents=True, exist_ok=True)
                identity.write_text(secrets.token_hex(4))
            self._run = wandb.init(
                project=project,
                name=f"{workdir.name} {task}",
                id=identity.read_text(),
                resume="allow",
                reinit="finish_previous",  # that of the parse net
                dir=workdir,
                config=dataclasses.asdict(config),
            )
        except Exception as error:  # no account, no internet, a disk that refuses
            raise InputError(
                f"no run in the project {project} at Weights & Biases ({one_line(error)}); log in by "
                "`wandb login`, or set WANDB_MODE=offline"
            ) from None
        self._image = wandb.Image
        self._run.define_metric("*", step_metric="step")

    def scalars(self, values: dict[str, float], step: int) -> None:
        self._run.log(values | {"step": step})

    def picture(self, name: str, picture: UInt8[np.ndarray, "h w 3"], step: int) -> None:
        self._run.log({name: self._image(picture), "step": step})

    def flush(self) -> None:
        pass  # it sends as it likes

    def close(self) -> None:
        pass  # it ends with the process, and then knows whether that failed


def import_wandb():
    """The package, or `InputError`."""
    try:
        import wandb
    except ModuleNotFoundError:
        raise InputError("wandb is not installed: pip install wandb") from None
    return wandb
