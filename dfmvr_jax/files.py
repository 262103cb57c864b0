"""Writing results so that a full disk or a wrong folder harms nothing."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from dfmvr_jax.errors import InputError
from dfmvr_jax.render.array_types import UInt8


@contextlib.contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """A temporary folder to write files into, which then move to `folder`, made if need be: all or none.

    Until then older files of the same names stay as they are. Raises `InputError` where writing fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as temporary:
            yield Path(temporary)
            for file in Path(temporary).iterdir():
                os.replace(file, folder / file.name)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written to ({error.strerror or error}); "
            "name a folder that you may write to, on a disk with space left"
        ) from None


def check_is_file_name(path: Path) -> None:
    """Raise `InputError` where a folder is in the way of a file to write."""
    if path.is_dir():
        raise InputError(f"--out {path}: is a folder; name a file in it")


def write_picture(path: Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Save a picture in the format of its name's ending. Raises `InputError` where that fails."""
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise InputError(f"{path}: its ending names no picture format; call it {path.stem}.png, for instance")
    with whole_files(path.parent) as folder:
        Image.fromarray(picture).save(folder / path.name)
