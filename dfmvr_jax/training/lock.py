"""One training at a time in a workdir."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from dfmvr_jax.errors import InputError
from dfmvr_jax.training.processes import writer_does

LOCK_FILE = "train.lock"


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """The workdir, made if need be, for this run alone, until it ends, however it ends.

    Of several processes the writer locks it for all. Raises `InputError` where another run has it, or it
    cannot be written to.
    """
    with contextlib.ExitStack() as stack:
        writer_does(lambda: stack.enter_context(_locked_file(workdir)))
        yield


@contextlib.contextmanager
def _locked_file(workdir: Path) -> Iterator[None]:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = (workdir / LOCK_FILE).open("a+b", buffering=0)
    except OSError as error:
        raise _cannot_write(workdir, error) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            other = file.read().decode().strip()
            raise InputError(
                f"{workdir}: another training works there ({other}): wait until it ends, stop it, or choose "
                "another workdir"
            ) from None
        except OSError as error:  # some network file systems
            print(f"warning: {workdir}: cannot be locked ({error.strerror}); start no other training there")
        try:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        except OSError as error:  # a full disk
            raise _cannot_write(workdir, error) from None
        yield


def _cannot_write(workdir: Path, error: OSError) -> InputError:
    return InputError(
        f"{workdir}: cannot be written to ({error.strerror}); make room there, or choose another workdir"
    )
