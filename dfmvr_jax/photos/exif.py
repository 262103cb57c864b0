"""What cameras write into photos about how they were taken."""

from typing import Any

from PIL import Image

EXIF, INTEROPERABILITY = 0x8769, 0xA005  # parts of it
ORIENTATION, MAKER, MODEL = 0x0112, 0x010F, 0x0110
FOCAL_LENGTH_ON_FILM = 0xA405  # of `EXIF`, mm


def exif_tag(image: Image.Image, tag: int, part: int | None = None) -> Any:
    """The value of a tag, of the main part or of another; None where there is none, or EXIF is damaged."""
    try:
        exif = Image.Image.getexif(image)  # a PNG file's own would decode the image
        return (exif.get_ifd(part) if part else exif).get(tag)
    except Exception:  # Pillow raises errors of many kinds
        return None
