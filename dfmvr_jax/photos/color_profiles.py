"""Colours of image files as sRGB, which everything else here takes them for."""

import io

import numpy as np
from PIL import Image, ImageCms

from dfmvr_jax.render.array_types import Float

USUAL_GAMMA = 1 / 2.2  # of PNG files that say no more; what sRGB has in words of one number
SAME_GAMMA = 0.01
ACCURACY = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
PLAIN = {"LA": "L", "PA": "RGB", "P": "RGB", "RGBA": "RGB", "1": "L", "La": "L", "RGBa": "RGB"}


def as_srgb(image: Image.Image) -> Image.Image:
    """The image in sRGB, if its file holds the colour profile of another space; else the image itself.

    Mode and transparency stay, but grey and CMYK images become RGB. A profile that is damaged, or of other
    channels than the image's, is taken no notice of.
    """
    profile = _profile(image)
    if profile is None:
        return image
    plain = image.convert(PLAIN.get(image.mode, image.mode))
    intent, flags = ACCURACY
    try:
        converted = ImageCms.profileToProfile(
            plain, profile, ImageCms.createProfile("sRGB"), intent, "RGB", flags=flags
        )
    except (ImageCms.PyCMSError, ValueError):
        return image
    assert converted is not None  # it is not done in place
    if image.has_transparency_data:
        converted.putalpha(image.convert("RGBA").getchannel("A"))
    return converted


def grey_as_srgb(grey: Float[np.ndarray, "h w"], image: Image.Image) -> Float[np.ndarray, "h w"]:
    """Grey values in [0, 1], finer than eight bits, as sRGB by the profile of their image."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    ramp.info["icc_profile"] = image.info.get("icc_profile")
    converted = as_srgb(ramp)
    if converted is ramp:
        return grey
    values = np.asarray(converted.convert("L"), np.float32)[0] / 255
    return np.interp(grey, np.linspace(0, 1, 256), values).astype(np.float32)


def without_gamma(colors: Float[np.ndarray, "h w 3"], image: Image.Image) -> Float[np.ndarray, "h w 3"]:
    """Colours of a PNG file that tells their gamma, and nothing better, as sRGB."""
    gamma = image.info.get("gamma")
    if not gamma or "srgb" in image.info or _profile(image) is not None:
        return colors
    if image.format != "PNG" or abs(gamma - USUAL_GAMMA) < SAME_GAMMA:
        return colors
    light = colors ** np.float32(1 / gamma)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)


def _profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """The colour profile of an image file, unless there is none, or it is sRGB's or damaged."""
    data = image.info.get("icc_profile")
    if not data:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    except (ImageCms.PyCMSError, OSError):
        return None
    return None if "sRGB" in (profile.profile.profile_description or "") else profile
