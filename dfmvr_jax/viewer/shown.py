"""What a page shows of a head besides its mesh."""

from typing import Literal, NamedTuple

import numpy as np

from dfmvr_jax.render.array_types import Float, UInt8


class ShownPhoto(NamedTuple):
    """A photo that the head was found in."""

    file: str  # as the user knows it
    note: str  # a sentence or two about it
    picture: UInt8[np.ndarray, "h w 3"]  # the whole photo, upright, of any size
    light: Float[np.ndarray, "3 9"]  # as `light_face` takes it
    expression: str  # which of the head's photographed ones is that of this photo


class ErrorMap(NamedTuple):
    """How far a head is from a scan of the same person."""

    scan: str  # its file, as the user knows it
    errors_mm: Float[np.ndarray, "vertices"]  # NaN where nothing was measured
    rmse_mm: float
    mean_mm: float
    median_mm: float
    laid_by: Literal["landmarks", "shape"]  # how the head was brought to the scan before ICP

    def as_json(self) -> dict:
        """Give all but the map as JSON has it."""
        return {
            "file": self.scan,
            "rmse_mm": self.rmse_mm,
            "mean_mm": self.mean_mm,
            "median_mm": self.median_mm,
            "laid_by": self.laid_by,
        }
