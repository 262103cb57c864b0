"""Random changes of the photos while training (paper, section 5.3; docs/method.md, section 5).

Photos are float32 in [0, 1]; each change is shared by the three views of a subject. The four colour
adjustments follow `PIL.ImageEnhance`: factor 1 changes nothing, factor 0 removes the property.
"""

import numpy as np

from dfmvr_jax.config import DataConfig
from dfmvr_jax.render.array_types import Bool, Float

GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # luma of ITU-R 601, as in PIL
BLUR_SIGMA = (0.3, 2.0)  # smallest and largest, pixels of a 224 px image


def augment(example: dict, rng: np.random.Generator, config: DataConfig) -> dict:
    """The example with jittered and perhaps blurred "photos", and "given", the views the network may see.

    Photos and labels of views that are not given stay: the losses still need them.
    """
    photos = jitter_color(example["photos"], rng, config.color_jitter)
    if rng.random() < config.blur_probability:
        photos = blur(photos, rng.uniform(*BLUR_SIGMA) * photos.shape[1] / 224)
    return example | {"photos": photos, "given": choose_views(rng, config.all_views_probability)}


def jitter_color(
    photos: Float[np.ndarray, "views h w 3"], rng: np.random.Generator, amount: float
) -> Float[np.ndarray, "views h w 3"]:
    """Brightness, contrast, saturation and sharpness, in this order, each by a factor in 1 ± amount."""
    for adjust in (adjust_brightness, adjust_contrast, adjust_saturation, adjust_sharpness):
        photos = adjust(photos, float(rng.uniform(max(0.0, 1 - amount), 1 + amount)))
    return photos


def adjust_brightness(
    photos: Float[np.ndarray, "views h w 3"], factor: float
) -> Float[np.ndarray, "views h w 3"]:
    """Blend with black."""
    bright = photos * factor
    return np.minimum(bright, 1, out=bright)


def adjust_contrast(
    photos: Float[np.ndarray, "views h w 3"], factor: float
) -> Float[np.ndarray, "views h w 3"]:
    """Blend with the mean gray of each photo."""
    mean_gray = photos.mean(axis=1).mean(axis=1) @ GRAY  # one axis at a time is 30 times faster
    return _blend(mean_gray[:, None, None, None], photos, factor)


def adjust_saturation(
    photos: Float[np.ndarray, "views h w 3"], factor: float
) -> Float[np.ndarray, "views h w 3"]:
    """Blend with the gray photo."""
    return _blend((photos @ GRAY)[..., None], photos, factor)


def adjust_sharpness(
    photos: Float[np.ndarray, "views h w 3"], factor: float
) -> Float[np.ndarray, "views h w 3"]:
    """Blend with the photo smoothed by the 3x3 kernel (1 1 1, 1 5 1, 1 1 1) / 13; border pixels stay."""
    columns = photos[:, :-2] + photos[:, 1:-1] + photos[:, 2:]
    smooth = 4 * photos[:, 1:-1, 1:-1]
    for shift in range(3):
        smooth += columns[:, :, shift : shift + photos.shape[2] - 2]
    smooth *= (1 - factor) / 13
    sharpened = photos.copy()
    inside = sharpened[:, 1:-1, 1:-1]
    inside *= factor
    inside += smooth
    return np.clip(sharpened, 0, 1, out=sharpened)


def blur(photos: Float[np.ndarray, "views h w 3"], sigma: float) -> Float[np.ndarray, "views h w 3"]:
    """Gaussian blur, cut off at 3 sigma (pixels); the photo's edge is continued outwards."""
    radius = int(3 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-6)) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (1, 2):
        padding = [(radius, radius) if a == axis else (0, 0) for a in range(4)]
        padded = np.pad(photos, padding, mode="edge").swapaxes(0, axis)
        blurred = np.zeros_like(photos)
        for shift, weight in enumerate(kernel):
            blurred += weight * padded[shift : shift + photos.shape[axis]].swapaxes(0, axis)
        photos = blurred
    return photos


def choose_views(rng: np.random.Generator, all_views_probability: float) -> Bool[np.ndarray, "3"]:
    """Which views are given: all, else with equal shares only the left, the front or the right one."""
    if rng.random() < all_views_probability:
        return np.ones(3, bool)
    return np.arange(3) == rng.integers(3)


def _blend(degenerate, photos, factor):
    """`photos` at factor 1, `degenerate` at factor 0, clipped to [0, 1]."""
    blended = photos * factor
    blended += (1 - factor) * degenerate
    return np.clip(blended, 0, 1, out=blended)
