"""Several processes, on one machine or many, that train together; all of this is a no-op for one alone.

Process 0 is the writer: of logs, pictures, checkpoints and lines on the screen. The others hold equal states.
What may fail in the writer alone goes through `writer_does`: then all of them end, and none waits for ever.
"""

import contextlib
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from dfmvr_jax.errors import InputError, one_line

JOIN_SECONDS = 300  # to wait for the others at the start
SHUTDOWN_SECONDS = 60  # to wait for them at the end
HEARTBEAT_SECONDS = 20  # of silence, after which one is missed, whether it failed or was killed


def join_processes(
    coordinator: str | None, processes: int | None, process: int | None, seconds: int = JOIN_SECONDS
) -> None:
    """Find the other processes of this run; to be called before anything else of JAX.

    Under SLURM, in a step of several tasks, they are found without being told.

    Args:
      coordinator: address:port of process 0, the same for all.
      processes: how many there are.
      process: number of this one, from 0.
      seconds: to wait for them. (Where others do not come, JAX ends process 0 itself, with many lines.)

    Raises:
      InputError: some of the three are missing or wrong, process 0 cannot be reached, or the processes have
        different numbers of devices.
    """
    told = (coordinator, processes, process)
    devices: list[int] | None = []  # all that this process sees
    if told == (None, None, None):
        if int(os.environ.get("SLURM_STEP_NUM_TASKS") or 1) == 1:
            return
        devices = devices_under_slurm(os.environ)
    elif coordinator is None or processes is None or process is None:
        raise InputError("of <coordinator>, <num_processes> and <process_id> give all three, or none")
    elif not 0 <= process < processes:
        expected = f"a number from 0 to {processes - 1}, as there are {processes}"
        raise InputError(f"<process_id> {process}: expected {expected}")
    elif not coordinator.rpartition(":")[0] or not coordinator.rpartition(":")[2].isdigit():
        expected = "address:port of process 0, as in node1:12345"
        raise InputError(f"<coordinator> {coordinator}: expected {expected}")
    elif process:
        _reach(coordinator, seconds)
    jax.config.update("jax_enable_preemption_service", False)  # it would keep SIGTERM from us
    try:
        jax.distributed.initialize(
            *told,
            devices,
            initialization_timeout=seconds,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        )
    except Exception as error:
        raise InputError(
            f"the processes did not find each other ({one_line(error)}): start all of them, with one "
            "<coordinator> that they can reach, each with a <process_id> of its own"
        ) from None
    if not is_writer():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  one process speaks for all
    _meet("start")  # connects them: later on, one may keep the others waiting for long
    if jax.device_count() != jax.process_count() * jax.local_device_count():
        raise InputError(
            f"this process has {jax.local_device_count()} of {jax.device_count()} devices, others more or "
            f"less: give each of the {jax.process_count()} processes as many (CUDA_VISIBLE_DEVICES)"
        )


def devices_under_slurm(environment: Mapping[str, str]) -> list[int] | None:
    """What to tell JAX of this task's devices: an empty list: all that it sees; None: the one of its number.

    JAX alone would always take the one of its number, which leaves three of a lone task's four GPUs idle, and
    is not there where SLURM shows each task only its own. Tasks that see the same GPUs take equal parts.
    """
    digits = re.match(r"\d*", environment.get("SLURM_STEP_TASKS_PER_NODE", ""))  # as in "4(x2)"
    assert digits is not None  # any text begins with none or more
    tasks = int(digits[0] or 1)
    visible = [number for number in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if number]
    if tasks == 1 or 0 < len(visible) < tasks:
        return []
    if not visible:
        return None
    each = len(visible) // tasks
    first = each * int(environment["SLURM_LOCALID"])
    return list(range(first, first + each))


def is_writer() -> bool:
    return jax.process_index() == 0


@contextlib.contextmanager
def writer_first() -> Iterator[None]:
    """The others do what is inside after process 0 has: they find what it has written."""
    if not is_writer():
        _meet("the writer is done")
    try:
        yield
    finally:
        if is_writer():
            _meet("the writer is done")


def writer_does(action: Callable[[], object]) -> None:
    """Process 0 does it alone; where that raises an `InputError`, all raise one."""
    error = None
    if is_writer():
        try:
            action()
        except InputError as problem:
            error = problem
    if any_process(error is not None):
        raise error or InputError("process 0 cannot go on; see its message")


def any_process(here: bool) -> bool:
    """Whether it is so in any process; all must ask at the same step."""
    return any(gather_over_processes(here))


def gather_over_processes(here: int) -> list[int]:
    """The number of each process; all must give theirs at the same step."""
    if jax.process_count() == 1:
        return [here]
    return multihost_utils.process_allgather(np.array(here)).tolist()


def share() -> tuple[int, int]:
    """Number of this process and how many there are."""
    return jax.process_index(), jax.process_count()


def _meet(where: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(where)


def _reach(coordinator: str, seconds: int) -> None:
    """Wait until somebody listens there. Raises `InputError` where nobody does."""
    host, _, port = coordinator.rpartition(":")
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except (OSError, OverflowError) as error:
            if time.monotonic() > end or isinstance(error, OverflowError):
                raise InputError(
                    f"the coordinator {coordinator} cannot be reached ({one_line(error)}): start process 0 "
                    "too, on that machine, and let its firewall pass that port"
                ) from None
        time.sleep(0.2)
