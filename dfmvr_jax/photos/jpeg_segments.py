"""JPEG files without segments that get in the way of their pixels."""

import io
from pathlib import Path

from PIL import Image

START, SCAN, COMMENT = b"\xff\xd8", 0xDA, 0xFE
APPLICATIONS = range(0xE0, 0xF0)


def read_jpeg(path: Path) -> io.BytesIO:
    """Read a JPEG file without those of its comments and applications' segments that Pillow minds."""
    content = path.read_bytes()
    segments, place = [], len(START)
    while content[place : place + 1] == b"\xff" and content[place + 1 : place + 2] != bytes([SCAN]):
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        segments.append(content[place:end])
        place = end
    needed = b"".join(segment for segment in segments if not _is_metadata(segment))
    scan = content[place : place + 1024]

    def is_taken(segment: bytes) -> bool:
        try:
            Image.open(io.BytesIO(START + segment + needed + scan), formats=["JPEG"]).close()
        except Exception:  # Pillow raises errors of many kinds
            return False
        return True

    kept = [segment for segment in segments if not _is_metadata(segment) or is_taken(segment)]
    return io.BytesIO(START + b"".join(kept) + content[place:])


def _is_metadata(segment: bytes) -> bool:
    return len(segment) > 1 and (segment[1] in APPLICATIONS or segment[1] == COMMENT)
