"""Random subjects of a face model, for synthetic data and pictures."""

import numpy as np

from dfmvr_jax.face_model.expression_units import DETAILS, EXPRESSION_UNITS, GAZE, SIDED, UNSIDED
from dfmvr_jax.face_model.morphable_model import MorphableModel

LARGEST = 2.5  # standard deviations; beyond them faces are no longer plausible


def sample_coefficients(
    rng: np.random.Generator, model: MorphableModel
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random (identity, expression, albedo) coefficients of a model, float32.

    Identity and albedo are standard normal, cut at 2.5. Expressions of the built-in model are a few of its
    units at once (`_sample_units`); of any other model they are standard normal too.
    """
    identities, expressions, albedos = model.dimensions
    if expressions == len(EXPRESSION_UNITS) and model.name.startswith("builtin"):
        expression = _sample_units(rng)
    else:
        expression = _cut_normal(rng, expressions)
    return _cut_normal(rng, identities), expression.astype(np.float32), _cut_normal(rng, albedos)


def _cut_normal(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.normal(size=count).clip(-LARGEST, LARGEST).astype(np.float32)


def _sample_units(rng: np.random.Generator) -> np.ndarray:
    """Coefficients of the expression units: one or two each of eyes, brows, nose and mouth, half normal,
    nearly the same on both sides of the face; a slight skew; the eyes look about. A quarter are neutral."""
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
    return np.array(list(values.values())).clip(-LARGEST, LARGEST)
