"""Files with 68 or five landmarks of a photo."""

from pathlib import Path

import numpy as np

from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.files import read_text
from dfmvr_jax.render.array_types import Float

LARGEST_TEXT = 1 << 20  # bytes of a file of points


def read_landmarks(path: Path) -> Float[np.ndarray, "n 2"]:
    """Landmarks (x, y) of one photo, pixels of the upright photo: 68 in iBUG order, or five.

    The five are the eye centres (first the one on the image's left in a frontal photo), the nose tip and the
    mouth corners (the same order). By the file's name: `.npy` holds the array; `.pts` is iBUG's format,
    which counts the first pixel's centre as (1, 1) and is converted to docs/conventions.md; any other file
    is text with a line `x y` per point.

    Raises `InputError` where the file is missing or holds anything else.
    """
    wanted = "68 or 5 points x y (a line each in text files)"
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise ValueError(f"{path.stat().st_size} bytes are too many")
        match path.suffix.lower():
            case ".npy":
                points = np.load(path, mmap_mode="r", allow_pickle=False).astype(np.float64)
            case ".pts":
                points = numbers(read_text(path).partition("{")[2].partition("}")[0]) - 0.5
            case _:
                points = numbers(read_text(path))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; expected {wanted}") from None
    except Exception as error:  # a damaged .npy header may raise anything
        raise InputError(
            f"{path}: cannot be read as landmarks ({one_line(error)}); expected {wanted}"
        ) from None
    if points.shape not in ((68, 2), (5, 2)):
        raise InputError(f"{path}: holds an array of shape {points.shape}; expected {wanted}")
    if not np.isfinite(points).all():
        raise InputError(f"{path}: some coordinates are not finite; expected {wanted}")
    return points


def numbers(text: str) -> Float[np.ndarray, "n m"]:
    """A row a line, of the numbers in it. Raises `ValueError` for other words and rows of unequal length."""
    rows = [[float(word) for word in line.split()] for line in text.splitlines() if line.strip()]
    return np.array(rows, np.float64).reshape(len(rows), -1)
