"""Prepare samples one by one, in several processes, each into a file of its own: stopped, it goes on."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.photo_sets.samples import Sample
from dfmvr_jax.errors import InputError

SETTINGS_FILE = "settings.json"


class Outcome(NamedTuple):
    """What became of a sample."""

    sample: Sample
    file: Path  # of its arrays, if it was prepared
    reason: str  # why it was left out; empty: it was not


def stage(
    samples: Sequence[Sample], make: Callable[[Sample], dict[str, np.ndarray]], folder: Path, processes: int
) -> Iterator[Outcome]:
    """Make the arrays of each sample and keep them in `folder`, unless they are there already; in order.

    `make` raises `InputError` for a sample that will not do. With more than one process it is pickled.
    """
    jobs = [(sample, make, _file_of(sample, folder)) for sample in samples]
    if processes <= 1:
        yield from map(_stage_one, jobs)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_leave_interrupts_to_the_parent)
    with contextlib.ExitStack() as stack:
        stack.callback(pool.shutdown, cancel_futures=True)
        yield from pool.map(_stage_one, jobs)


def open_staging(folder: Path, settings: dict) -> None:
    """Make the folder; raises `InputError` where it holds samples prepared with other settings."""
    path = folder / SETTINGS_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = json.loads(path.read_text()) if path.is_file() else None
        if found is None:
            path.write_text(json.dumps(settings, indent=2))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: cannot be used ({error}); delete it, or name another folder") from None
    if found is not None and found != settings:
        changed = [f"{key}: {settings[key]!r}, not {found.get(key)!r}" for key in settings]
        changed = [text for text, key in zip(changed, settings) if settings[key] != found.get(key)]
        raise InputError(
            f"{folder}: holds the beginning of this data set, prepared with other settings "
            f"({'; '.join(changed) or 'of another version'}): give the same, or another name, or delete it"
        )


def read_staged(path: Path) -> dict[str, np.ndarray]:
    """What `make` gave."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _stage_one(job: tuple[Sample, Callable, Path]) -> Outcome:
    sample, make, path = job
    if path.is_file():
        return Outcome(sample, path, "")
    try:
        arrays = make(sample)
    except InputError as error:
        return Outcome(sample, path, str(error))
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".unfinished", delete=False) as file:
            try:
                np.savez(file, **arrays)
                file.close()
                os.replace(file.name, path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise OSError(f"{path.parent}: {error.strerror or error}") from None
    return Outcome(sample, path, "")


def _file_of(sample: Sample, folder: Path) -> Path:
    """A name that no folder or file name of the data set can lead elsewhere."""
    return folder / f"{hashlib.sha256(sample.name.encode(errors='surrogateescape')).hexdigest()}.npz"


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
