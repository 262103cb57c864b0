"""TensorBoard events of a run."""

import contextlib
import math
import time
from pathlib import Path

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from dfmvr_jax.errors import InputError
from render.array_types import UInt8


class Logs:
    """Writes scalars and pictures to a folder for TensorBoard; those from `first_step` on replace older ones.

    The caller's thread writes. (tensorboardX's own SummaryWriter has a thread for it, which dies of a full
    disk unseen, and then the training waits for it for ever.)

    Raises:
      InputError: the disk refuses; from any method.
    """

    def __init__(self, folder: Path, first_step: int):
        self._folder = folder
        with self._disk():
            folder.mkdir(parents=True, exist_ok=True)
            self._events = EventsWriter(str(folder / "events"))
        self._write(first_step, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, prefix: str, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            if not math.isfinite(value):  # TensorBoard draws no others
                continue
            self._write(step, summary=summary.scalar(f"{prefix}/{name}", value))

    def picture(self, name: str, picture: UInt8[np.ndarray, "h w 3"], step: int) -> None:
        self._write(step, summary=summary.image(name, picture, dataformats="HWC"))

    def flush(self) -> None:
        """Show on disk what was written so far."""
        with self._disk():
            self._events.flush()

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
