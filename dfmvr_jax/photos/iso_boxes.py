"""Boxes of files like HEIC, AVIF and MP4 (ISO/IEC 14496-12)."""

import struct
from collections.abc import Iterator


def coded_colors(content: bytes) -> tuple[int, int] | None:
    """Primaries and transfer by H.273, where the box colr of an AVIF file tells them."""
    for place in (b"meta", b"iprp", b"ipco"):
        content = next((inside for kind, inside in boxes(content) if kind == place), b"")
        if place == b"meta":
            content = content[4:]  # its version
    for kind, inside in boxes(content):
        if kind == b"colr" and inside[:4] == b"nclx" and len(inside) >= 8:
            return struct.unpack_from(">HH", inside, 4)
    return None


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kinds and contents of boxes that lie one after the other, to the first that is damaged."""
    place = 0
    while place + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        header = 8
        if size == 1 and place + 16 <= len(content):  # a large one
            (size,), header = struct.unpack_from(">Q", content, place + 8), 16
        elif size == 0:  # all that is left
            size = len(content) - place
        if size < header:
            return
        yield kind, content[place + header : place + size]
        place += size
