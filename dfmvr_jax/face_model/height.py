"""The unit of lengths, told by how high a head is."""

import numpy as np

from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.errors import InputError
from dfmvr_jax.render.array_types import Float

PLAUSIBLE_HEIGHT_MM = (80, 800)  # of faces, heads, busts; tells decimetres from cm and m


def check_height(source: str, positions: Float[np.ndarray, "vertices 3"]) -> None:
    """Raise `InputError`, which begins with `source`, where model units are no decimetres."""
    height = UNIT_MM * float(np.ptp(positions[:, 1]))
    if not PLAUSIBLE_HEIGHT_MM[0] < height < PLAUSIBLE_HEIGHT_MM[1]:
        raise InputError(
            f"{source}: its mean shape is {height:.3g} mm high, expected a face or a head: lengths are "
            "decimetres"
        )
