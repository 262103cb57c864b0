"""Several processes, on one machine or many, that train together; all of this is a no-op for one alone.

Process 0 is the writer: of logs, pictures, checkpoints and lines on the screen. The others hold equal states.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from dfmvr_jax.errors import InputError, one_line

SHUTDOWN_SECONDS = 60  # that a process waits for the others at its end, or for ever missing ones


def join_processes(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Find the other processes of this run; to be called before anything else of JAX.

    Under SLURM, in a step of several tasks, they are found without being told.

    Args:
      coordinator: address:port of process 0, the same for all.
      processes: how many there are.
      process: number of this one, from 0.

    Raises:
      InputError: some of the three are missing or wrong, or the others do not come.
    """
    told = (coordinator, processes, process)
    if told == (None, None, None):
        if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) == 1:
            return
    elif None in told:
        raise InputError("--coordinator, --num-processes and --process-id: give all three of them, or none")
    elif not 0 <= process < processes:
        raise InputError(
            f"--process-id {process}: expected a number from 0 to {processes - 1}, as there are {processes}"
        )
    elif not coordinator.rpartition(":")[0] or not coordinator.rpartition(":")[2].isdigit():
        raise InputError(
            f"--coordinator {coordinator}: expected address:port of process 0, as in node1:12345"
        )
    try:
        jax.distributed.initialize(coordinator, processes, process, shutdown_timeout_seconds=SHUTDOWN_SECONDS)
    except Exception as error:
        raise InputError(
            f"the processes did not find each other ({one_line(error)}): start all of them, with one "
            "--coordinator that they can reach, each with a --process-id of its own"
        ) from None
    if not is_writer():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  one process speaks for all


def exit_process(code: int) -> NoReturn:
    """End with an error. One of several does not wait for the others, which then end too."""
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def is_writer() -> bool:
    return jax.process_index() == 0


@contextlib.contextmanager
def writer_first() -> Iterator[None]:
    """The others do what is inside after process 0 has: they find what it has written."""
    if not is_writer():
        _meet("before")
    try:
        yield
    finally:
        if is_writer():
            _meet("before")


def any_process(here: bool) -> bool:
    """Whether it is so in any process; all must ask at the same step."""
    if jax.process_count() == 1:
        return here
    return bool(multihost_utils.process_allgather(np.array(here)).any())


def share() -> tuple[int, int]:
    """Number of this process and how many there are."""
    return jax.process_index(), jax.process_count()


def _meet(where: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(where)
