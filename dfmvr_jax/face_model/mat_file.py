"""Arrays of numbers in MATLAB files of version 5 to 7 (MAT-File Format, R2024a, chapter 1).

`scipy.io.loadmat` reads them too, but a damaged file may end the process there.
"""

import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

HEADER = 128  # bytes, of which the last four are these: version and order of bytes
ORDERS = {b"\0\1IM": "<", b"\1\0MI": ">"}
LARGEST = 1 << 28  # bytes of an array; the largest of the Basel Face Model has half of that
BEGINNING = 4096  # bytes of an array that hold all but its numbers
MATRIX, COMPRESSED = 14, 15  # kinds of elements
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
COMPLEX = 0x0800  # in an array's flags
# what arrays hold that are none of numbers, by their class
OTHERS = {1: "cells", 2: "a struct", 3: "an object", 4: "text", 5: "a sparse matrix"}
NUMERIC = range(6, 16)


class MatArray(NamedTuple):
    """An array of a file."""

    holds: str  # what it holds in place of numbers; empty for numbers
    read: Callable[[], np.ndarray]  # raises `ValueError` where it is damaged


def mat_arrays(path: Path) -> dict[str, MatArray]:
    """The arrays of a file by name; numbers are read when they are asked for.

    Raises `ValueError` where the file is damaged or of another kind, `OSError` where it cannot be read.
    """
    content = memoryview(path.read_bytes())
    order = ORDERS.get(bytes(content[HEADER - 4 : HEADER]))
    if order is None:
        raise ValueError("it has no header of such a file")
    arrays, place = {}, HEADER
    while place < len(content):
        kind, data, place = _element(content, place, order)
        if kind not in (MATRIX, COMPRESSED):
            raise ValueError(f"an element of kind {kind} where arrays should be")
        beginning = data[:BEGINNING]
        if kind == COMPRESSED:
            _, beginning, _ = _element(_decompress(data, BEGINNING), 0, order, whole=False)
        flags, place_of_shape = _numbers(beginning, 0, order)
        array_class = int(flags[0]) & 0xFF if len(flags) else 0
        if array_class not in NUMERIC and array_class not in OTHERS:
            continue  # functions and the like are laid out otherwise
        shape, place_of_name = _numbers(beginning, place_of_shape, order)
        name, place_of_numbers = _numbers(beginning, place_of_name, order)
        holds = OTHERS.get(array_class, "complex numbers" if int(flags[0]) & COMPLEX else "")

        def read(kind=kind, data=data, start=place_of_numbers, shape=shape) -> np.ndarray:
            if kind == COMPRESSED:
                _, data, _ = _element(_decompress(data, LARGEST), 0, order)
            numbers, _ = _numbers(data, start, order)
            sizes = [int(size) for size in shape]
            if min(sizes, default=0) < 0 or math.prod(sizes) != len(numbers):
                raise ValueError(f"{len(numbers)} numbers in an array of {' x '.join(map(str, sizes))}")
            return numbers.reshape(sizes, order="F")

        arrays[bytes(name.astype(np.uint8)).decode("latin-1")] = MatArray(holds, read)
    return arrays


def _element(content: memoryview, place: int, order: str, whole: bool = True) -> tuple[int, memoryview, int]:
    """The kind and the content of the element at that place, and the place of the next."""
    tag = np.frombuffer(content[place : place + 8], order + "u4")
    if len(tag) < 2:
        raise ValueError("it ends within an array")
    kind, length = map(int, tag)
    if kind >> 16:  # both in four bytes, the content in the next four
        kind, length, begin = kind & 0xFFFF, kind >> 16, place + 4
        if length > 4:
            raise ValueError("a small element of many bytes")
        end = place + 8
    else:
        begin = place + 8
        end = begin + length + (0 if kind == COMPRESSED else -length % 8)
    if whole and begin + length > len(content):
        raise ValueError("it ends within an array")
    return kind, content[begin : begin + length], end


def _numbers(content: memoryview, place: int, order: str) -> tuple[np.ndarray, int]:
    """The numbers of the element at that place, and the place of the next."""
    kind, data, end = _element(content, place, order)
    if kind not in NUMBERS:
        raise ValueError(f"an element of kind {kind} where numbers should be")
    return np.frombuffer(data, order + NUMBERS[kind]), end


def _decompress(data: memoryview, most: int) -> memoryview:
    """The beginning of what was compressed, so many bytes at most."""
    try:
        return memoryview(zlib.decompressobj().decompress(data, most))
    except zlib.error as error:
        raise ValueError(f"a compressed array is damaged ({error})") from None
