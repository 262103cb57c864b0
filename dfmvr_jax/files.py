"""Text and JSON as editors save them; results written so that a full disk or a wrong folder harms nothing."""

import codecs
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dfmvr_jax.errors import InputError


def read_text(path: Path) -> str:
    """The text of a file that people may have edited: UTF-8, or UTF-16 with its mark, as Windows has it.

    Raises `OSError`, or `UnicodeDecodeError` where it is neither.
    """
    content = path.read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if marked else "utf-8-sig")


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


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The temporary path of one file to write, which then moves to `path`, as `whole_files` does it."""
    with whole_files(path.parent) as folder:
        yield folder / path.name


def check_writable(folder: Path) -> None:
    """Make the folder; raises `InputError` where no files can be written to it."""
    with whole_files(folder):
        pass


def check_is_file_name(path: Path) -> None:
    """Raise `InputError` where a folder is in the way of a file to write."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises `ValueError` where it holds anything else, and `OSError`."""
    try:
        return json.loads(read_text(path))
    except RecursionError:
        raise ValueError("values in values, too many") from None
