"""PNG files without what could only get in the way of their pixels."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from PIL.PngImagePlugin import PngStream

START = b"\x89PNG\r\n\x1a\n"
LARGEST_PROFILE = 1 << 24  # bytes
# chunks that say what the pixels mean, or which way is up; of texts, those with these names
TELLING = (b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"eXIf")
TEXTS, TELLING_TEXTS = (b"tEXt", b"zTXt", b"iTXt"), (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")


class Png(NamedTuple):
    """A file as Pillow is to read it, and what Pillow would not read of it."""

    file: io.BytesIO
    profile: bytes | None  # ICC profile
    coded: tuple[int, int] | None  # primaries and transfer by H.273


def read_png(path: Path) -> Png:
    """Read a PNG file; texts, animations and metadata that Pillow minds are left out.

    Of a file that is cut off the pixels that are there are kept. Raises `OSError`.
    """
    first, metadata, pixels = [START], {}, []
    profile = coded = None
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size - len(file.read(len(START)))
        while len(header := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", header)
            data, checksum = file.read(min(length, left)), file.read(4)
            chunk = header + data + checksum
            if kind in (b"IHDR", b"PLTE"):
                first.append(chunk)
            elif kind[:1].isupper():  # what an image cannot do without
                pixels.append(chunk)
            elif checksum != struct.pack(">I", zlib.crc32(kind + data)):
                continue
            elif kind == b"iCCP":
                profile = _decompress(data.partition(b"\0")[2][1:])
            elif kind == b"cICP" and len(data) == 4:
                coded = data[0], data[1]
            elif _is_telling(kind, data):
                metadata[kind] = chunk
    return Png(io.BytesIO(b"".join([*first, *metadata.values(), *pixels])), profile, coded)


def _decompress(data: bytes) -> bytes | None:
    """The content of a chunk; None where it is damaged, or more than a profile has."""
    decompressor = zlib.decompressobj()
    try:
        content = decompressor.decompress(data, LARGEST_PROFILE)
    except zlib.error:
        return None
    return content if decompressor.eof else None


def _is_telling(kind: bytes, data: bytes) -> bool:
    """Whether a chunk is of use, and Pillow takes it; one that it does not take would cost the image."""
    if kind not in TELLING and not (kind in TEXTS and data.startswith(TELLING_TEXTS)):
        return False
    try:
        PngStream(io.BytesIO(data)).call(kind, 0, len(data))
    except Exception:  # Pillow raises errors of many kinds
        return False
    return True
