"""TIFF files of kinds that Pillow does not write."""

import struct
from pathlib import Path

INTEGERS, SIGNED, FLOATS = 1, 2, 3  # kinds of samples
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2  # photometric interpretations


def write_tiff(
    path: Path,
    size: tuple[int, int],
    data: bytes,
    bits: int,
    samples: int = INTEGERS,
    photometric: int = BLACK_IS_ZERO,
    more_tags: dict[int, int] | None = None,
) -> None:
    """One picture of (width, height), not compressed, of one channel, or three."""
    width, height = size
    channels = 3 if photometric == RGB else 1
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 0, 277: channels, 278: height}
    tags |= {279: len(data), 339: samples, **(more_tags or {})}
    start = 8 + 2 + 12 * len(tags) + 4
    tags[273] = start + 12  # after three bits and three kinds of samples
    if channels == 3:
        tags[258], tags[339] = start, start + 6
    directory = struct.pack("<H", len(tags))
    for tag, value in sorted(tags.items()):
        count = channels if tag in (258, 339) else 1
        directory += struct.pack("<HHII", tag, 3 if count == 3 else 4, count, value)
    beside = struct.pack("<6H", *[bits] * 3, *[samples] * 3)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + beside + data)
