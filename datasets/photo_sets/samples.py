"""What a data set's folder holds of a face, and what is known of it besides the photos."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.file_names import composed, is_shown, only, plain, printable
from dfmvr_jax.photos.preparation import PhotoFile
from dfmvr_jax.render.array_types import Float, Int, UInt8


def walk(source: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder at and below `source`, links to folders too, once, and its files; in order of names.

    What is hidden or debris is left out (`file_names.is_shown`).
    Raises `OSError` where one cannot be read.
    """

    def fail(error: OSError):
        raise error

    seen = set()
    for folder, folders, files in os.walk(source, onerror=fail, followlinks=True):
        folders[:] = sorted(name for name in folders if is_shown(Path(name)))
        if os.path.realpath(folder) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(folder))
        yield Path(folder), [Path(folder, name) for name in sorted(files) if is_shown(Path(name))]


def spelled(named: Mapping[str, Sequence[Path]], folder: Path, name: str) -> Path:
    """The file of that name, whatever its case; where there is none, where it should be.

    `named` is `file_names.by_plain_name` of the folder. Raises `InputError` where there are several.
    """
    return only(named.get(plain(name), ()), f"files called {name}") or folder / name


@dataclasses.dataclass(frozen=True)
class Sample:
    """The files of one face: one example of the data set, if they will do."""

    subject: str  # the person: no person is in two splits
    name: str  # one of its own in the data set
    photos: tuple[PhotoFile, ...]  # one a view
    truth: dict[str, Path] = dataclasses.field(default_factory=dict)  # files of what else is known, by kind
    split: str | None = None  # train, validation or test, if the folder says so
    problem: str = ""  # why it will not do, where its files' names tell

    def __post_init__(self):
        for field in ("subject", "name"):
            object.__setattr__(self, field, printable(composed(getattr(self, field))))


def sample_of(subject: str, name: str, find: Callable[[], Sample]) -> Sample:
    """The sample that `find` gives; where it raises `InputError`, one without files that says why."""
    try:
        return find()
    except InputError as error:
        return Sample(subject, name, (), problem=str(error))


class ScanMesh(NamedTuple):
    """A scanned face, mm, any frame."""

    points: Float[np.ndarray, "k 3"]
    triangles: Int[np.ndarray, "t 3"]
    landmarks: Float[np.ndarray, "7 3"]  # those of registration (docs/conventions.md)


class Truth(NamedTuple):
    """What is known of a face besides its photos; None: not known."""

    labels: UInt8[np.ndarray, "views size size"] | None = None  # parts 0..9 of the crops
    landmarks_3d: Float[np.ndarray, "points 3"] | None = None  # mm, any frame; NaN: this point is not known
    scan: ScanMesh | None = None
