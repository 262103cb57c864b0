"""Array types with shapes for signatures, e.g. `Float[Array, "views n 3"]`.

The shapes are checked by jaxtyping and beartype while the tests run and cost nothing
elsewhere: where jaxtyping is not installed they are plain documentation.
"""

from typing import TYPE_CHECKING, Any

import jax
from jax import Array

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Num, UInt8
else:
    try:
        from jaxtyping import Bool, Float, Int, Num, UInt8
    except ImportError:

        class _ShapeInWords:
            def __class_getitem__(cls, _):
                return Any

        Bool = Float = Int = Num = UInt8 = _ShapeInWords


def check_shape(name: str, array: Any, *axes: str | int) -> None:
    """Raise `ValueError` unless the array has these axes; a number is the size that an axis must have."""
    if not hasattr(array, "shape"):
        raise ValueError(f"{name} is a {type(array).__name__}, not an array")
    if len(axes) != array.ndim or any(
        isinstance(axis, int) and axis != size for axis, size in zip(axes, array.shape)
    ):
        hint = "; for a batch use jax.vmap" if array.ndim > len(axes) else ""
        raise ValueError(f"{name} has shape {array.shape}, not [{', '.join(map(str, axes))}]{hint}")


def check_triangles(triangles: Any) -> None:
    """Raise `ValueError` unless these are vertex indices, [f, 3]."""
    check_shape("triangles", triangles, "f", 3)
    if not jax.numpy.issubdtype(triangles.dtype, jax.numpy.integer):
        raise ValueError(f"triangles has the type {triangles.dtype}; expected integers, indices of vertices")


def check_image_size(image_size: Any) -> None:
    """Raise `ValueError` unless this is (height, width)."""
    if not (isinstance(image_size, tuple) and len(image_size) == 2 and min(image_size) > 0):
        raise ValueError(f"image_size is {image_size!r}; expected (height, width) in pixels")


__all__ = [
    "Array",
    "Bool",
    "Float",
    "Int",
    "Num",
    "UInt8",
    "check_image_size",
    "check_shape",
    "check_triangles",
]
