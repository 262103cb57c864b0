"""The expressions that a page can give a head."""

from typing import NamedTuple

import numpy as np

from dfmvr_jax.mesh_files.head import Head
from dfmvr_jax.mesh_files.morph_targets import morph_targets
from dfmvr_jax.render.array_types import Float, Int

STEP_MM = 0.004  # displacements are rounded to
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


class Morph(NamedTuple):
    """A displacement of some vertices: `step_mm` times `steps`."""

    label: str | None  # of its slider; None: a photo's expression
    names: tuple[str, ...]
    vertices: Int[np.ndarray, "moved"]
    steps: Int[np.ndarray, "3 moved"]
    step_mm: float


def find_morphs(head: Head) -> list[Morph]:
    """Give the expressions of the head's photos, in their order, then those sliders that its model can do."""
    targets = morph_targets(head)
    found = [_morph(None, (name,), targets[name]) for name in head.photographed_mm]
    for label, names in SLIDERS.items():
        if all(name in targets for name in names):
            found.append(_morph(label, names, np.sum([targets[name] for name in names], axis=0)))
    return found


def _morph(label: str | None, names: tuple[str, ...], moves: Float[np.ndarray, "vertices 3"]) -> Morph:
    step = max(STEP_MM, float(abs(moves).max()) / np.iinfo(np.int16).max)
    steps = np.round(moves / step).astype(np.int16)
    vertices = np.flatnonzero(steps.any(axis=1))
    return Morph(label, names, vertices, np.ascontiguousarray(steps[vertices].T), step)
