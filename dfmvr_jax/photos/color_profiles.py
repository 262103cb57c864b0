"""Colours of image files as sRGB, which everything else here takes them for."""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from dfmvr_jax.photos.coded_colors import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    SRGB,
    coded_profile,
    power,
    rgb_profile,
    srgb_light,
)
from dfmvr_jax.photos.exif import EXIF, INTEROPERABILITY, exif_tag
from dfmvr_jax.render.array_types import UInt8

USUAL_GAMMA = 1 / 2.2  # of PNG files that say no more; what sRGB has in words of one number
SAME_GAMMA = 0.01
GAMMAS = 0.2, 5  # others are nonsense
SAME_COLOR = 1  # of 255
ACCURACY = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
# Pillow's modes of images -> of their colours alone, without transparency and palette
PLAIN = {
    "LA": "L",
    "La": "L",
    "1": "L",
    "P": "RGB",
    "PA": "RGB",
    "RGBA": "RGB",
    "RGBa": "RGB",
    "YCbCr": "RGB",
}
STRAIGHT = {"La": "LA", "RGBa": "RGBA"}  # colours that are multiplied by their alpha -> that are not
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}  # of profiles' colours
COLOR_SPACE, INTEROPERABILITY_INDEX = 0xA001, 1  # tags of EXIF
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
WHITE_IS_ZERO, SIGNED = 0, 2  # values of the last two

LEVELS = np.arange(256, dtype=np.uint8)
# colours that tell whether a profile changes any, as images of these modes
PROBES = {"L": LEVELS[None], "RGB": np.stack(np.meshgrid(*[LEVELS[::15]] * 3), axis=-1).reshape(1, -1, 3)}

ToRGB = Callable[[Image.Image], Image.Image]
Conversion = Callable[[Image.Image], UInt8[np.ndarray, "h w 3"]]


def conversion_to_srgb(image: Image.Image) -> Conversion:
    """A function that gives the colours of parts of an image in sRGB; what is transparent becomes black.

    What the numbers mean is told by the codes of a PNG file (`info["coded"]`, see `coded_profile`), else by
    an ICC profile, else by the codes of HEIC and AVIF, by the gamma and the primaries of a PNG file, or by
    EXIF, which knows Adobe RGB. Where none of them tells, and where colours come out as they are, to 1 of
    255, the numbers stay bit for bit. A profile that is damaged, or of other channels, is taken no notice of.
    """
    mode = PLAIN.get(image.mode, image.mode)
    if mode.startswith("I"):
        to_rgb = _to_rgb(image, "L")  # profiles are applied to eight bits
        curve = np.asarray(to_rgb(Image.fromarray(PROBES["L"])), np.float64)[0]
        return lambda part: _look_up(curve, 255 * _levels(part, image))
    to_rgb = _to_rgb(image, mode)
    return lambda part: _over_black(to_rgb, part.convert(STRAIGHT.get(part.mode, part.mode)))


def _to_rgb(image: Image.Image, mode: str) -> ToRGB:
    """From images of this plain mode, which has the colours of the image, to sRGB in the mode RGB."""
    for data in _profiles(image):
        if to_rgb := _by_profile(data, mode):
            return to_rgb
    if mode == "LAB":
        return _transform(ImageCms.createProfile("LAB"), "LAB")
    return lambda part: part.convert("RGB")


def _profiles(image: Image.Image) -> Iterator[bytes | None]:
    """Profiles that the file holds, or that what it says stands for; the first that is usable is right."""
    info, is_png = image.info, image.format == "PNG"
    if is_png and "coded" in info:
        yield coded_profile(*info["coded"])
    yield info.get("icc_profile")
    if "coded" in info:
        yield coded_profile(*info["coded"])
    gamma, chromaticities = info.get("gamma", USUAL_GAMMA), info.get("chromaticity", SRGB)
    if is_png and "srgb" not in info and GAMMAS[0] < gamma < GAMMAS[1]:
        usual = abs(gamma - USUAL_GAMMA) < SAME_GAMMA
        yield rgb_profile(chromaticities, srgb_light if usual else power(1 / gamma))
    by_name = exif_tag(image, INTEROPERABILITY_INDEX, INTEROPERABILITY) == "R03"
    if not is_png and (by_name or exif_tag(image, COLOR_SPACE, EXIF) == 2):
        yield rgb_profile(ADOBE_RGB, power(ADOBE_GAMMA))


def _by_profile(data: bytes | None, mode: str) -> ToRGB | None:
    """The conversion by a profile of images of this mode; None where it is no such profile."""
    if not data:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        own = MODES.get(profile.profile.xcolor_space.strip(), "")
        if own != mode and (own, mode) != ("RGB", "L"):  # greys are colours too
            return None
        to_rgb = _transform(profile, own)
    except (ImageCms.PyCMSError, OSError):
        return None
    if own not in PROBES:
        return to_rgb
    probe = Image.fromarray(PROBES[own])
    change = np.asarray(to_rgb(probe), int) - np.asarray(probe.convert("RGB"), int)
    return to_rgb if np.abs(change).max() > SAME_COLOR else lambda part: part.convert("RGB")


def _transform(profile: ImageCms.ImageCmsProfile | ImageCms.core.CmsProfile, mode: str) -> ToRGB:
    """The conversion by a profile whose colours are those of the mode."""
    intent, flags = ACCURACY
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(profile, srgb, mode, "RGB", intent, flags)

    def apply(part: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(part.convert(mode), transform)
        assert converted is not None  # it is not done in place
        return converted

    return apply


def _over_black(to_rgb: ToRGB, part: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    colors = np.asarray(to_rgb(part))
    if not part.has_transparency_data:
        return colors
    alpha = np.asarray(part.convert("RGBA").getchannel("A"), np.uint16)[..., None]
    return ((colors * alpha + 127) // 255).astype(np.uint8)


def bits_of_levels(image: Image.Image) -> int:
    """How many bits a number of a TIFF file has; 16 for other files, whose deep greys Pillow makes so."""
    return _tiff_tags(image).get(BITS, (16,))[0]


def _levels(part: Image.Image, image: Image.Image) -> np.ndarray:
    """The greys of a part of an image with more than eight bits, in [0, 1]."""
    tags = _tiff_tags(image)
    is_signed = tags.get(SAMPLE_FORMAT, (1,))[0] == SIGNED
    levels = np.clip(np.asarray(part, np.float64) / (2 ** (bits_of_levels(image) - is_signed) - 1), 0, 1)
    return 1 - levels if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else levels


def _tiff_tags(image: Image.Image) -> Mapping[int, Any]:
    """What a TIFF file says of itself; nothing for other files."""
    return getattr(image, "tag_v2", {})


def _look_up(curve: np.ndarray, places: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """The curve's colours [256, 3] at these places of it."""
    channels = [np.interp(places, LEVELS, channel) for channel in curve.T]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)
