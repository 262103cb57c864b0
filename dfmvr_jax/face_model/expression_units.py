"""Names of the built-in model's 64 expression units, in the order of its expression coefficients."""

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
