"""Pictures laid into each other without seams: coarse features fade on a wide border, fine ones on a narrow.

Burt and Adelson, "A multiresolution spline with application to image mosaics", 1983.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from dfmvr_jax.render.array_types import Float

LEVELS = 6


def blend(
    layers: Iterable[tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]], levels: int = LEVELS
) -> Float[np.ndarray, "h w 3"]:
    """Blend pictures by their masks, which should sum up to 1 everywhere; one at a time is looked at."""
    total: list[np.ndarray] = []
    for picture, mask in layers:
        bands = laplacian_pyramid(picture, levels)
        for number, band in enumerate(bands):
            band *= mask[..., None]
            if number == len(total):
                total.append(band)
            else:
                total[number] += band
            mask = cv2.pyrDown(mask)
    return collapse(total)


def laplacian_pyramid(picture: Float[np.ndarray, "h w 3"], levels: int) -> list[np.ndarray]:
    """Differences between a picture and its blurred self, ever coarser, and what is left at the end."""
    bands = []
    for _ in range(levels - 1):
        smaller = cv2.pyrDown(picture)
        bands.append(picture - _enlarge(smaller, picture.shape))
        picture = smaller
    return [*bands, picture.copy()]


def collapse(bands: list[np.ndarray]) -> Float[np.ndarray, "h w 3"]:
    """The picture of a pyramid."""
    picture = bands[-1]
    for band in reversed(bands[:-1]):
        picture = band + _enlarge(picture, band.shape)
    return picture


def _enlarge(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return cv2.pyrUp(picture, dstsize=(shape[1], shape[0]))
