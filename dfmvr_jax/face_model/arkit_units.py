"""ARKit's blendshapes as combinations of the built-in head's expression units.

Amounts are those that come nearest to ICT-FaceKit's shapes of the same names (least squares on the built-in
head, negative for units with two directions alone), rounded, the same for both sides. Smiles take less of
what folds the cheeks.
"""

import numpy as np

from dfmvr_jax.face_model.expression_units import EXPRESSION_UNITS, UNIT_SIZES, UNSIDED

Amounts = dict[str, float]  # of full units; "mouth-open/left" is the left half of a unit that moves both

# of the left side; of the right one, left and right, l and r change places
LEFT: dict[str, Amounts] = {
    "browDownLeft": {"eyebrows-left-down": 0.8},
    "browOuterUpLeft": {
        "eyebrows-left-extern-up": 1.1,
        "eyebrows-left-up": 1.2,
        "eyebrows-left-inner-up": 0.6,
    },
    "cheekSquintLeft": {"l-cheek-trans-up": 1.0, "mouth-retraction/left": 0.25, "eye-left-slit": 0.5},
    "eyeBlinkLeft": {"eye-left-closure": 1.0},
    "eyeLookDownLeft": {"gaze-down": 0.6},  # of both eyes: neither looks up or down alone
    "eyeLookUpLeft": {"gaze-down": -0.6},
    "eyeSquintLeft": {"eye-left-slit": 0.8, "l-cheek-trans-up": 0.3},
    "eyeWideLeft": {"eye-left-opened-up": 1.1},
    "mouthDimpleLeft": {
        "mouth-retraction/left": 0.7,
        "l-cheek-volume-incr": 0.4,
        "mouth-upward-retraction/left": 0.3,
    },
    "mouthFrownLeft": {"mouth-depression/left": 0.5, "neck-platysma/left": 0.4},
    "mouthLowerDownLeft": {"mouth-depression-retraction/left": 0.3, "mouth-depression/left": 0.2},
    "mouthPressLeft": {"mouth-compression/left": 0.5, "l-cheek-volume-incr": 0.15},
    "mouthSmileLeft": {
        "mouth-corner-puller/left": 0.9,
        "mouth-retraction/left": 0.6,
        "mouth-elevation/left": 0.3,
        "l-cheek-volume-incr": 0.3,
        "l-cheek-trans-up": 0.4,
    },
    "mouthStretchLeft": {
        "mouth-retraction/left": 0.9,
        "neck-platysma/left": 0.4,
        "mouth-depression/left": 0.6,
        "l-cheek-volume-incr": 0.3,
    },
    "mouthUpperUpLeft": {"mouth-elevation/left": 0.9, "nose-left-elevation": 0.9},
    "noseSneerLeft": {"nose-left-elevation": 1.4, "mouth-elevation/left": 0.9, "l-cheek-trans-up": 0.8},
}
BOTH: dict[str, Amounts] = {
    "browInnerUp": {
        "eyebrows-left-inner-up": 1.3,
        "eyebrows-left-up": 0.6,
        "eyebrows-right-inner-up": 1.3,
        "eyebrows-right-up": 0.6,
    },
    "cheekPuff": {"mouth-pursing": 1.1, "l-cheek-volume-incr": 1.0, "r-cheek-volume-incr": 1.0},
    "eyeLookInLeft": {"gaze-left": -0.6, "gaze-inward": 0.6},
    "eyeLookInRight": {"gaze-left": 0.6, "gaze-inward": 0.6},
    "eyeLookOutLeft": {"gaze-left": 0.6, "gaze-inward": -0.6},
    "eyeLookOutRight": {"gaze-left": -0.6, "gaze-inward": -0.6},
    "jawForward": {"chin-prognathism-incr": 1.4, "mouth-protusion": 0.2},
    "jawLeft": {"mouth-trans-in": -0.8},
    "jawOpen": {"mouth-open": 1.0, "mouth-retraction": 0.4},
    "jawRight": {"mouth-trans-in": 0.8},
    "mouthFunnel": {"mouth-protusion": 0.4, "mouth-pursing": 0.4, "mouth-parling": 0.9},
    "mouthLeft": {"mouth-trans-in": -2.0},
    "mouthPucker": {"mouth-pursing": 0.9, "chin-prognathism-incr": 0.25},
    "mouthRight": {"mouth-trans-in": 2.0},
    "mouthShrugLower": {"chin-prognathism-incr": 0.5, "mouth-compression": 0.3, "mouth-eversion": 0.5},
    "mouthShrugUpper": {"mouth-parling": 1.0, "mouth-elevation": 0.3},
}
WITHOUT_COUNTERPART = ("mouthClose", "mouthRollLower", "mouthRollUpper", "tongueOut")


def _mirrored(unit: str) -> str:
    for left, right in (("-left-", "-right-"), ("/left", "/right")):
        unit = unit.replace(left, right)
    return f"r-{unit[2:]}" if unit.startswith("l-") else unit


BLENDSHAPES: dict[str, Amounts] = (
    LEFT
    | {
        name.replace("Left", "Right"): {_mirrored(unit): amount for unit, amount in amounts.items()}
        for name, amounts in LEFT.items()
    }
    | BOTH
)


def units_of_blendshape(name: str) -> np.ndarray:
    """Coefficients [64] of the built-in head for a whole ARKit blendshape; zeros without a counterpart.

    Raises `ValueError` for what is no name of ARKit's.
    """
    if name not in BLENDSHAPES and name not in WITHOUT_COUNTERPART:
        raise ValueError(f"{name!r} is none of ARKit's blendshapes")
    values = dict.fromkeys(EXPRESSION_UNITS, 0.0)
    for unit, amount in BLENDSHAPES.get(name, {}).items():
        unit, _, side = unit.partition("/")
        if not side:
            values[unit] += amount
            continue
        assert unit in UNSIDED  # the skew of a unit is its left half minus its right half
        values[unit] += amount / 2
        values[f"{unit}-skew"] += amount / 2 if side == "left" else -amount / 2
    return np.array(list(values.values())) / np.array(UNIT_SIZES)
