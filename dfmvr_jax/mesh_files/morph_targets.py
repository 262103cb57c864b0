"""The expressions of a head as displacements by name, as animation programs want them."""

import numpy as np

from dfmvr_jax.face_model.arkit import UNSIDED
from dfmvr_jax.face_model.full_expressions import full_expressions
from dfmvr_jax.mesh_files.head import Head
from dfmvr_jax.render.array_types import Float


def morph_targets(head: Head) -> dict[str, Float[np.ndarray, "vertices 3"]]:
    """Give displacements from the neutral head, mm, by name: the model's expressions, then the photos'.

    What ARKit has as one and the model by sides, as ICT-FaceKit has browInnerUp, comes as a whole too.
    """
    expressions = full_expressions(head.model)
    for name in UNSIDED:
        left, right = expressions.get(f"{name}Left"), expressions.get(f"{name}Right")
        if name not in expressions and left is not None and right is not None:
            expressions[name] = left + right
    basis = head.unit_mm * np.asarray(head.model.expression_basis, np.float64)
    return {name: basis @ expression for name, expression in expressions.items()} | {
        name: vertices - head.neutral_mm for name, vertices in head.photographed_mm.items()
    }
