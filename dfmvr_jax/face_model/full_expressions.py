"""Expressions of a head model in full, by name: what a slider for each would do."""

import numpy as np

from dfmvr_jax.face_model.arkit import ARKIT
from dfmvr_jax.face_model.arkit_units import BLENDSHAPES, units_of_blendshape
from dfmvr_jax.face_model.expression_units import EXPRESSION_UNITS
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.array_types import Float

DEVIATIONS = 2.0  # of an expression in full that has no bounds


def full_expressions(model: MorphableModel) -> dict[str, Float[np.ndarray, "expression"]]:
    """Give the expression coefficients of each expression in full by its name.

    Of the built-in head these are ARKit's blendshapes, but for four that its units cannot make; of others the
    model's own, expression_1 and so on where it has no names.
    """
    if model.expression_names == EXPRESSION_UNITS:
        return {name: units_of_blendshape(name) for name in ARKIT if name in BLENDSHAPES}
    count = model.dimensions[1]
    names = model.expression_names or tuple(f"expression_{number}" for number in range(1, count + 1))
    full = np.full(count, DEVIATIONS)
    prior = model.expression_prior
    if prior is not None:
        full = np.where(np.isfinite(prior.highest), prior.highest, full * np.asarray(prior.scale))
    return dict(zip(names, np.diag(full)))
