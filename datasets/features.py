"""What TFDS stores of an example: image files and arrays of floats. TensorFlow is never imported."""

import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dfmvr_jax.render.array_types import UInt8


def images(size: int, channels: int, encoding: str, length: int) -> tfds.features.Sequence:
    """Square images of one example, `size` pixels a side, encoded as "jpeg" or "png"."""
    image = tfds.features.Image(shape=(size, size, channels), encoding_format=encoding)
    return tfds.features.Sequence(image, length=length)


def floats(*shape: int | None) -> tfds.features.Tensor:
    return tfds.features.Tensor(shape=shape, dtype=np.float32, encoding="bytes")


def photo_file(photo: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """JPEG as from a camera: PNG of photos with noise are four times as large and slower to decode."""
    return _encode(photo, format="JPEG", quality=95, subsampling=0)


def labels_file(labels: UInt8[np.ndarray, "h w"]) -> bytes:
    """PNG, exact."""
    return _encode(labels, format="PNG")


def _encode(image: UInt8[np.ndarray, "h w ..."], **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, **options)
    return file.getvalue()
