"""Array types with shapes for signatures, e.g. `Float[Array, "views n 3"]`.

The shapes are checked by jaxtyping and beartype while the tests run and cost nothing
elsewhere: where jaxtyping is not installed they are plain documentation.
"""

from typing import Any

import jax
from jax import Array

try:
    from jaxtyping import Bool, Float, Int, Num, UInt8
except ImportError:

    class _ShapeInWords:
        def __class_getitem__(cls, _):
            return Any

    Bool = Float = Int = Num = UInt8 = _ShapeInWords


def check_shape(name: str, array: Array, *axes: str | int) -> None:
    """Raise `ValueError` unless the array has these axes; a number is the size that an axis must have."""
    fits = len(axes) == jax.numpy.ndim(array) and all(
        isinstance(axis, str) or axis == size for axis, size in zip(axes, array.shape)
    )
    if not fits:
        raise ValueError(
            f"{name} has shape {jax.numpy.shape(array)}, not [{', '.join(map(str, axes))}]; "
            "for a batch use jax.vmap"
        )


__all__ = ["Array", "Bool", "Float", "Int", "Num", "UInt8", "check_shape"]
