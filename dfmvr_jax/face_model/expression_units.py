"""The built-in model's 64 expression units: names in the order of its coefficients, plausible values."""

import numpy as np

from dfmvr_jax.face_model.prior import LARGEST_DEVIATION

# MakeHuman's expression targets that move one side of the face
SIDED = tuple(
    f"{place}-{side}-{motion}"
    for place, motions in (
        ("eye", ("closure", "opened-up", "slit")),
        ("eyebrows", ("down", "extern-up", "inner-up", "up")),
        ("nose", ("dilatation", "elevation")),
    )
    for motion in motions
    for side in ("left", "right")
)
# those that move both: each as it is and as a skew, its left half minus its right half
UNSIDED = (
    "mouth-open",
    "mouth-corner-puller",
    "mouth-compression",
    "mouth-depression",
    "mouth-depression-retraction",
    "mouth-elevation",
    "mouth-eversion",
    "mouth-parling",
    "mouth-part-later",
    "mouth-protusion",
    "mouth-pursing",
    "mouth-retraction",
    "mouth-upward-retraction",
    "nose-compression",
    "nose-depression",
    "neck-platysma",
)
# targets meant for identities that act like expressions
DETAILS = (
    "mouth-angles-up",
    "mouth-angles-down",
    "mouth-dimples-in",
    "mouth-laugh-lines-in",
    "mouth-trans-in",
    "l-cheek-volume-incr",
    "r-cheek-volume-incr",
    "l-cheek-trans-up",
    "r-cheek-trans-up",
    "chin-prognathism-incr",
    "asym-jaw-1-l",
)
GAZE = ("gaze-left", "gaze-down", "gaze-inward")

EXPRESSION_UNITS = SIDED + UNSIDED + tuple(f"{name}-skew" for name in UNSIDED) + DETAILS + GAZE
# How much of the full unit, as its artist made it, the coefficient 1 stands for.
UNIT_SIZES = (
    (0.25,) * (len(SIDED) + len(UNSIDED)) + (0.06,) * len(UNSIDED) + (0.25,) * (len(DETAILS) + len(GAZE))
)


def sample_units(rng: np.random.Generator) -> np.ndarray:
    """Draw plausible coefficients of the units, `[64]`.

    One or two each of eyes, brows, nose and mouth, half normal, nearly the same on both sides of the face; a
    slight skew; the eyes look about. A quarter are neutral.
    """
    values = dict.fromkeys(EXPRESSION_UNITS, 0.0)
    values |= dict(zip(GAZE, rng.normal(0, (0.7, 0.4, 0.1))))
    if rng.random() < 0.25:
        return np.array(list(values.values()))
    for place in ("eye-left", "eyebrows-left", "nose-left"):
        unit = rng.choice([name for name in SIDED if name.startswith(place)])
        strength = abs(rng.normal(0, 1.2))
        for side in ("left", "right"):
            values[unit.replace("left", side)] = max(0, strength * rng.normal(1, 0.15))
    for unit in rng.choice(UNSIDED + DETAILS, 3, replace=False):
        values[unit] = abs(rng.normal(0, 1.2))
    if rng.random() < 0.5:
        values["mouth-open"] = abs(rng.normal(0, 0.8))
    for name in UNSIDED:
        values[f"{name}-skew"] = 0.5 * rng.normal() * values[name]
    return np.array(list(values.values())).clip(-LARGEST_DEVIATION, LARGEST_DEVIATION)
