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
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr_jax.config import differing_fields
from dfmvr_jax.datasets.photo_sets.samples import Sample
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.file_names import printable
from dfmvr_jax.files import read_json
from dfmvr_jax.workers import end_with_the_parent

SETTINGS_FILE = "settings.json"
DOUBT = "doubt"  # name of what `make` says of a sample that may show another face than is meant


class Outcome(NamedTuple):
    """What became of a sample."""

    sample: Sample
    file: Path  # of its arrays, if it was prepared
    reason: str  # why it was left out; empty: it was not
    doubt: str = ""  # whether it shows the face that is meant


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
    pool = ProcessPoolExecutor(processes, context, initializer=_follow_the_parent)
    with contextlib.ExitStack() as stack:
        stack.callback(pool.shutdown, cancel_futures=True)
        try:
            yield from pool.map(_stage_one, jobs)
        except BrokenProcessPool:
            raise InputError(
                f"one of the {processes} processes was killed, probably for want of memory: the same command "
                "goes on; give it fewer <processes>"
            ) from None


def open_staging(folder: Path, settings: dict) -> None:
    """Make the folder; raises `InputError` where it holds samples prepared with other settings."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / SETTINGS_FILE).exists():
            (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to ({error.strerror or error})") from None
    check_settings(folder, settings)


def check_settings(folder: Path, settings: dict) -> None:
    """Raise `InputError` where what is in the folder was prepared with other settings."""
    try:
        found = read_json(folder / SETTINGS_FILE)
        if not isinstance(found, dict):
            raise ValueError(f"it holds {found!r:.50}")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder}: does not say how it was prepared ({one_line(error)}); delete it"
        ) from None
    changed = [
        f"{name if name == 'version' else f'<{name}>'} {words}"  # of the builder, which no flag says
        for name, words in differing_fields(settings, found).items()
    ]
    if changed:
        raise InputError(
            f"{folder}: was prepared, or begun, with other settings ({'; '.join(changed)}): give the same, "
            "or another variant's name, or delete it"
        )


def read_staged(path: Path) -> dict[str, np.ndarray]:
    """What `make` gave."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _stage_one(job: tuple[Sample, Callable, Path]) -> Outcome:
    sample, make, path = job
    if path.is_file():
        with contextlib.suppress(Exception):  # a file that a power failure damaged is made again
            return Outcome(sample, path, "", _doubt(read_staged(path)))
    try:
        arrays = make(sample)
    except InputError as error:
        return Outcome(sample, path, printable(str(error)))
    except Exception as error:  # what no check foresaw, in one of 30,000 samples, must not end it all
        return Outcome(sample, path, printable(one_line(error)))
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
    return Outcome(sample, path, "", _doubt(arrays))


def _doubt(arrays: dict[str, np.ndarray]) -> str:
    return printable(str(arrays.get(DOUBT, "")))


def _file_of(sample: Sample, folder: Path) -> Path:
    """Another one when the sample's files or split change; no name in the data set can lead elsewhere."""
    files = [*sample.truth.values()]
    for photo in sample.photos:
        files += [photo.path, *([photo.landmarks] if photo.landmarks else [])]
    identity = [sample.name, sample.split, *([printable(str(file)), *_version(file)] for file in files)]
    return folder / f"{hashlib.sha256(json.dumps(identity).encode()).hexdigest()}.npz"


def _version(file: Path) -> tuple[int, int]:
    """Size and time of the last change; zeros for a file that is not there."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _follow_the_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_the_parent()
