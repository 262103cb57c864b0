"""Settings of a fit, one commented line each."""

import dataclasses
from typing import Literal

Effort = Literal["quick", "normal", "best"]
FitKind = Literal["none", "points", "colours"]


@dataclasses.dataclass(frozen=True)
class FitConfig:
    # photos
    crop_size: int = 256  # side of what colours are compared in, pixels
    crop_room: float = 1.35  # side of the crop, in sides of the points' box
    focal: float = 2.2  # of a camera that no EXIF speaks of, in the longer sides of its photos
    focal_deviation: float = 0.4  # of the focal length's logarithm, where it is guessed
    exif_deviation: float = 0.05  # of the same, where EXIF gives it
    # points
    points_correlation: float = 6.0  # their deviations are times this: errors of points hang together
    points_robust: float = 2.0  # deviations beyond which a point counts less (Cauchy)
    pose_rounds: int = 12  # most steps of poses alone
    point_rounds: int = 20  # most steps of all unknowns on points
    # colours
    blurs: tuple[float, ...] = (4.0, 2.0, 1.0)  # deviations of the pyramid's blur, pixels of the crop
    blur_power: float = 2.0  # measurements are divided by the blur to this power, as its pixels hang together
    colour_rounds: int = 10  # most steps on each level of the pyramid
    samples: tuple[int, ...] = (2000, 2000, 5000)  # vertices whose colours are compared, on each level
    measurements: float = 20.0  # independent colours in a photo: pixels are not, their errors hang together
    colour_deviation: float = 0.002  # of a photo's colour from the lit head's, at least: it is measured
    albedo_deviation: float = 0.08  # of a vertex' own albedo from the model's; what makes views agree
    light_deviation: float = 0.5  # of the coefficients of light
    colour_robust: float = 5.0  # deviations beyond which a colour counts less: hair, glasses, shadows, shine
    exposure: float = 1.0  # usual brightness of a white face in a photo, of 1
    exposure_deviation: float = 0.25  # of its logarithm
    tint_deviation: float = 0.1  # of its channels' logarithms: white balance
    outline: float = 0.95  # of the part of the face that is compared, as a share of the points' outline
    feature_weight: float = 0.3  # of eyes among the colours
    # free form
    free_form_photos: int = 2  # from so many photos on the head may leave its model
    free_form_centres: int = 120  # bumps over half of the face and its middle
    free_form_mm: float = 1.0  # deviation of a bump
    free_form_radius_mm: float = 12.0  # of a bump
    free_form_asymmetry: float = 0.4  # deviation of what differs between the sides, as a share
    # who belongs together
    strange: float = 2.5  # misfits of the other photos beyond which one shows somebody else
    # always
    check: bool = False  # fit each photo's pose to the head of the others, too


def effort_config(effort: Effort) -> FitConfig:
    """The settings of an effort."""
    if effort == "quick":
        return FitConfig(blurs=(3.0, 1.5), colour_rounds=5, samples=(3000, 3000))
    if effort == "best":
        return FitConfig(
            colour_rounds=20, samples=(3000, 3000, 8000, 8000), blurs=(6.0, 3.0, 1.5, 0.8), check=True
        )
    return FitConfig()
