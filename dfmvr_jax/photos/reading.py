"""Image files of any kind to float arrays."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dfmvr_jax.errors import InputError
from dfmvr_jax.photos.color_profiles import as_srgb, grey_as_srgb, without_gamma
from dfmvr_jax.render.array_types import Float

# what cameras and scanners write; Pillow knows others that run programs, such as PostScript
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# photos, but not to us: they are told of rather than passed over
UNREADABLE = (".avif", ".cr2", ".dng", ".heic", ".heif", ".nef")


def is_photo(path: Path) -> bool:
    """Whether a file is called like a photo, one that we can read or not; hidden files are not."""
    return (path.suffix.lower() in UNREADABLE or can_be_read(path)) and not path.name.startswith(".")


def can_be_read(path: Path) -> bool:
    """Whether a file is called as one of the `FORMATS`."""
    return Image.registered_extensions().get(path.suffix.lower()) in FORMATS


def read_photo(path: Path) -> Float[np.ndarray, "h w 3"]:
    """An image file as RGB in [0, 1], float32, turned upright as its EXIF orientation says.

    Grey, palette, CMYK and 16-bit images become RGB, and colours sRGB, where the file holds another colour
    profile, such as an iPhone's Display P3. Transparent parts become black, as what lies outside
    of a photo is black everywhere in this project. Raises `InputError` where the file is missing, damaged,
    no image, or larger than Pillow's limit (89 million pixels).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file = Image.open(path, formats=FORMATS)
        with file:
            image: Image.Image = ImageOps.exif_transpose(file)
        if image.mode.startswith("I"):  # 16 bits of grey
            grey = grey_as_srgb(np.clip(np.asarray(image, np.float32) / 65535, 0, 1), image)
            return without_gamma(np.repeat(grey[..., None], 3, axis=-1), file)
        image = as_srgb(image)
        if image.has_transparency_data:
            image = Image.alpha_composite(
                Image.new("RGBA", image.size, (0, 0, 0, 255)), image.convert("RGBA")
            )
        return without_gamma(np.asarray(image.convert("RGB"), np.float32) / 255, file)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such photo") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise InputError(
            f"{path}: has more than {Image.MAX_IMAGE_PIXELS:,} pixels; make the photo smaller"
        ) from None
    except Image.UnidentifiedImageError:
        raise InputError(f"{path}: is not an image that Pillow can read; save it as PNG or JPEG") from None
    except Exception as error:  # Pillow raises errors of many kinds for damaged files
        raise InputError(
            f"{path}: cannot be read as an image ({error}); expected a whole PNG or JPEG file, save it anew"
        ) from None
