"""The expressions that a page can give a head."""

from typing import NamedTuple

import numpy as np

from dfmvr_jax.mesh_files.head import Head
from dfmvr_jax.mesh_files.morph_targets import morph_targets
from dfmvr_jax.render.array_types import Float, Int

STEP_MM = 0.004  # displacements are rounded to
EXACT_MM = 0.02  # that a mix of the model's expressions may be off
AS_LARGE = 8  # so many of these take as much room as one photo's expression
# the most telling of ARKit's blendshapes; those of one slider move together
SLIDERS = {
    "Open the jaw": ("jawOpen",),
    "Smile": ("mouthSmileLeft", "mouthSmileRight"),
    "Frown": ("mouthFrownLeft", "mouthFrownRight"),
    "Pucker": ("mouthPucker",),
    "Funnel": ("mouthFunnel",),
    "Show the teeth": ("mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight"),
    "Puff the cheeks": ("cheekPuff",),
    "Wrinkle the nose": ("noseSneerLeft", "noseSneerRight"),
    "Close the left eye": ("eyeBlinkLeft",),
    "Close the right eye": ("eyeBlinkRight",),
    "Lower the brows": ("browDownLeft", "browDownRight"),
    "Raise the brows": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
}


class Move(NamedTuple):
    """A displacement of some vertices: `step_mm` times `steps`."""

    vertices: Int[np.ndarray, "moved"]
    steps: Int[np.ndarray, "3 moved"]
    step_mm: float


class Morph(NamedTuple):
    """An expression: so much of each of some moves."""

    label: str | None  # of its slider; None: a photo's expression
    names: tuple[str, ...]
    mix: dict[int, float]  # by the move's number


def find_morphs(head: Head) -> tuple[list[Move], list[Morph]]:
    """Give the expressions of the head's photos, in their order, then those sliders that its model can do.

    They are mixed of the model's own expressions where those take less room than one move for each.
    """
    targets = morph_targets(head)
    wanted: dict[tuple[str | None, tuple[str, ...]], np.ndarray]
    wanted = {(None, (name,)): targets[name] for name in head.photographed_mm}
    for label, names in SLIDERS.items():
        if all(name in targets for name in names):
            wanted[label, names] = np.sum([targets[name] for name in names], axis=0)
    mixed = _mixed_of_basis(head, list(wanted.values()))
    fields, mixes = mixed or (list(wanted.values()), [{number: 1.0} for number in range(len(wanted))])
    morphs = [Morph(label, names, mix) for (label, names), mix in zip(wanted, mixes)]
    return list(map(_move, fields)), morphs


def _mixed_of_basis(
    head: Head, wanted: list[Float[np.ndarray, "vertices 3"]]
) -> tuple[list[Float[np.ndarray, "vertices 3"]], list[dict[int, float]]] | None:
    """The model's expressions, mm, and how much of each makes what is wanted; None: that is no gain."""
    basis = head.unit_mm * np.asarray(head.model.expression_basis, np.float64)
    if not 0 < basis.shape[-1] <= AS_LARGE * len(head.photographed_mm):
        return None
    flat, right = basis.reshape(-1, basis.shape[-1]), np.stack([moves.ravel() for moves in wanted], axis=1)
    mixes = np.linalg.lstsq(flat.T @ flat, flat.T @ right, rcond=None)[0]
    if abs(flat @ mixes - right).max() > EXACT_MM:
        return None
    return list(np.moveaxis(basis, -1, 0)), [
        {number: float(share) for number, share in enumerate(mix.round(6)) if share} for mix in mixes.T
    ]


def _move(moves: Float[np.ndarray, "vertices 3"]) -> Move:
    step = max(STEP_MM, float(abs(moves).max()) / np.iinfo(np.int16).max)
    steps = np.round(moves / step).astype(np.int16)
    vertices = np.flatnonzero(steps.any(axis=1))
    return Move(vertices, np.ascontiguousarray(steps[vertices].T), step)
