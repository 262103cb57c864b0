"""Array types with shapes for signatures, e.g. `Float[Array, "views n 3"]`.

The shapes are checked by jaxtyping and beartype while the tests run and cost nothing
elsewhere: where jaxtyping is not installed they are plain documentation.
"""

from typing import Any

from jax import Array

try:
    from jaxtyping import Bool, Float, Int, Num, UInt8
except ImportError:

    class _ShapeInWords:
        def __class_getitem__(cls, _):
            return Any

    Bool = Float = Int = Num = UInt8 = _ShapeInWords

__all__ = ["Array", "Bool", "Float", "Int", "Num", "UInt8"]
