"""Image files of any kind to arrays."""

import contextlib
import functools
import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, features

from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.first_bytes import AVIF_BRANDS, HEIC_BRANDS, brands, first_bytes, kind_of, mismatch
from dfmvr_jax.photos.color_profiles import bits_of_levels, conversion_to_srgb
from dfmvr_jax.photos.exif import ORIENTATION, exif_tag
from dfmvr_jax.photos.iso_boxes import coded_colors
from dfmvr_jax.photos.jpeg_segments import START as JPEG_START
from dfmvr_jax.photos.jpeg_segments import read_jpeg
from dfmvr_jax.photos.png_chunks import START as PNG_START
from dfmvr_jax.photos.png_chunks import read_png
from dfmvr_jax.render.array_types import UInt8

# what cameras and scanners write; Pillow knows others that run programs, such as PostScript
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
HEIC = (".heic", ".heif", ".hif")
# photos, but not to us: they are told of rather than passed over
UNREADABLE = (".arw", ".cr2", ".cr3", ".dng", ".jxl", ".nef", ".orf", ".raf", ".rw2")
SAVE_AS = "save it as PNG or JPEG"
STRIP = 256  # rows whose colours are converted at once
DNG_VERSION, SUBFILE, IS_PREVIEW = 50706, 254, 1  # tags of TIFF, and a bit of the second's value
# where the stored photo lies in the upright one, by EXIF's orientation
AS_STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def is_photo(path: Path) -> bool:
    """Whether a file is called like a photo, one that we can read or not; hidden files are not."""
    known = path.suffix.lower() in (*UNREADABLE, *HEIC, ".avif") or can_be_read(path)
    return known and not path.name.startswith(".")


def can_be_read(path: Path) -> bool:
    """Whether a file is called as a picture of a format that is read here."""
    ours = formats()  # first: it makes Pillow know more
    return Image.registered_extensions().get(path.suffix.lower()) in ours


@functools.cache
def formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read here: AVIF by Pillow from 11.3 on, HEIC by pillow-heif."""
    found = list(FORMATS)
    if "avif" in features.modules and features.check("avif"):
        found.append("AVIF")
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
        found.append("HEIF")
    return tuple(found)


def read_photo(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """An image file as RGB, turned upright as it says itself (EXIF's orientation, HEIC's and AVIF's turns).

    Grey, palette, CMYK and 16-bit images become RGB, and colours sRGB, where the file tells of others
    (`conversion_to_srgb`), such as an iPhone's Display P3. Transparent parts become black, as what lies
    outside of a photo is black everywhere in this project. Of several pictures in a file (bursts, previews,
    depths) it is the main one. Metadata that are damaged cost no photo.

    Raises `InputError` where the file is missing, damaged, no image, one whose numbers have no certain
    meaning (floating-point numbers, raw files), or larger than Pillow's limit (89 million pixels).
    """
    with open_photo(path) as image:
        if image.mode == "F" or bits_of_levels(image) > 16:
            raise InputError(f"{path}: holds numbers of 32 bits, whose meaning it does not tell; {SAVE_AS}")
        image.load()
        convert = conversion_to_srgb(image)
        orientation = exif_tag(image, ORIENTATION)  # not before: Pillow turns TIFF files itself
        width, height = image.size
        lies = orientation in (5, 6, 7, 8)
        photo = np.empty((width, height, 3) if lies else (height, width, 3), np.uint8)
        stored = AS_STORED.get(orientation, AS_STORED[1])(photo)
        for top in range(0, height, STRIP):  # a whole photo of other colours would take as much again
            bottom = min(top + STRIP, height)
            stored[top:bottom] = convert(image.crop((0, top, width, bottom)))
    return photo


@contextlib.contextmanager
def open_photo(path: Path) -> Iterator[Image.Image]:
    """An open image file whose pixels are not read yet; what goes wrong with it becomes an `InputError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with _opened(path) as image:
                if image.format == "TIFF" and _is_raw(image, path):
                    raise InputError(f"{path}: is a camera's raw picture; {SAVE_AS}")
                yield image
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such photo") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise InputError(
            f"{path}: has more than {Image.MAX_IMAGE_PIXELS:,} pixels; make the photo smaller"
        ) from None
    except Image.UnidentifiedImageError:
        raise InputError(f"{path}: {_why_not(path)}") from None
    except Exception as error:  # Pillow raises errors of many kinds for damaged files
        raise InputError(
            f"{path}: cannot be read as an image ({one_line(error)}); expected a whole PNG or JPEG file, "
            "save it anew"
        ) from None


def _opened(path: Path) -> Image.Image:
    """The image file, with `info["coded"]` where it tells its colours by numbers (`coded_profile`)."""
    head = first_bytes(path)
    if head.startswith(PNG_START):
        file, profile, coded = read_png(path)
        image = Image.open(file, formats=["PNG"])
        image.info["icc_profile"] = profile
    elif (found := brands(head)) & AVIF_BRANDS:
        content = path.read_bytes()
        coded, formats_of_it = coded_colors(content), _those_of("AVIF")
        try:
            image = Image.open(io.BytesIO(content), formats=formats_of_it)
        except ValueError:  # EXIF that is damaged, perhaps: without it
            image = Image.open(io.BytesIO(content.replace(b"Exif", b"none")), formats=formats_of_it)
    elif found & HEIC_BRANDS:
        image = Image.open(path, formats=_those_of("HEIF"))
        nclx = image.info.get("nclx_profile")
        coded = nclx and (int(nclx["color_primaries"]), int(nclx["transfer_characteristics"]))
    else:
        coded = None
        try:
            image = Image.open(path, formats=FORMATS)
        except Exception:
            if not head.startswith(JPEG_START):
                raise
            image = Image.open(read_jpeg(path), formats=["JPEG"])
    if coded:
        image.info["coded"] = coded
    return image


def _those_of(name: str) -> tuple[str, ...]:
    return tuple(format for format in formats() if format == name)


def _is_raw(image: Image.Image, path: Path) -> bool:
    """Whether a TIFF file is a camera's raw one, of which Pillow would read a small preview."""
    tags = image.tag_v2  # type: ignore[attr-defined]  # of TIFF files
    return DNG_VERSION in tags or tags.get(SUBFILE) == IS_PREVIEW or path.suffix.lower() in UNREADABLE


def _why_not(path: Path) -> str:
    """Why a file is no picture that is read here, and how to mend that."""
    name, _ = kind_of(path)
    if "HEIC" in name and "HEIF" not in formats():
        return f"is {name}, which pillow-heif reads: pip install 'dfmvr_jax[photos]'"
    if "AVIF" in name and "AVIF" not in formats():
        return f"is {name}, which newer versions of Pillow read: pip install 'pillow>=11.3'"
    if "picture" in name:
        return f"is {name}, but damaged, or of a kind that is not read here; {SAVE_AS}"
    return mismatch(path, "a photo") or f"is no picture of a kind that is known here; {SAVE_AS}"
