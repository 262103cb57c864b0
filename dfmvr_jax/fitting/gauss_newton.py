"""Levenberg and Marquardt's method for sums of squares whose normal equations are at hand."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

from dfmvr_jax.render.array_types import Array, Float

State = TypeVar("State")
FIRST_DAMPING = 1e-3  # of the diagonal
BETTER, WORSE = 0.3, 8.0  # what the damping is times after a step that helped, or did not
MOST_DAMPING = 1e5
SMALLEST_GAIN = 1e-3  # of the cost, as a share, for which another step is worth while


class System(NamedTuple):
    """A cost near a state: cost + gradient · step + step · hessian · step / 2."""

    cost: float | Float[Array, ""]
    gradient: Float[np.ndarray | Array, "unknowns"]
    hessian: Float[np.ndarray | Array, "unknowns unknowns"]  # Gauss and Newton's: positive semidefinite


def minimise(
    linearise: Callable[[State], tuple[System, State]],
    try_step: Callable[[State, Float[np.ndarray, "unknowns"]], tuple[float, State]],
    state: State,
    rounds: int,
    tell: Callable[[float], None] = lambda cost: None,
) -> State:
    """Find a state of low cost by at most so many steps.

    Args:
      linearise: gives the system at a state, and the state with all that is held while a step is looked for
        (robust weights, light) brought up to date.
      try_step: gives the cost after a step, and the state there.
      state: to begin with.
      rounds: most steps, those that did not help among them.
      tell: is told the cost after each.
    """
    damping = FIRST_DAMPING
    system, state = linearise(state)
    for _ in range(rounds):
        try:
            cost, moved = try_step(state, solve(system, damping))
        except (np.linalg.LinAlgError, ValueError):  # rounding made the Hessian indefinite, or it overflowed
            cost, moved = np.inf, state
        if np.isfinite(cost) and cost < system.cost:
            gain = 1 - cost / system.cost
            damping *= BETTER
            state = moved
            if gain < SMALLEST_GAIN:
                break
            system, state = linearise(state)
        else:
            damping *= WORSE
            if damping > MOST_DAMPING:
                break
        tell(float(system.cost))
    return state


def solve(system: System, damping: float) -> Float[np.ndarray, "unknowns"]:
    """The step that minimises the system, damped; unknowns that nothing speaks of stay."""
    hessian = np.asarray(system.hessian, np.float64)
    diagonal = np.diag(hessian)
    damped = hessian + np.diag(damping * diagonal + 1e-9 * diagonal.max() + 1e-12)
    with threadpool_limits(1, "blas"):  # BLAS' threads would wait for the cores that JAX's hold
        return -scipy.linalg.solve(damped, np.asarray(system.gradient, np.float64), assume_a="pos")
