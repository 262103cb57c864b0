"""What training minimises: coefficients against what is known of a subject (paper, section 4)."""

from collections.abc import Callable

import jax.numpy as jnp

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.config import LossConfig
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_rendering import light_face, place_face, render_face
from dfmvr_jax.losses import Observation, counted, face_losses, image_losses, weighted_sum
from dfmvr_jax.render import MeshEdges, RasterizerName
from dfmvr_jax.render.array_types import Array, Float
from dfmvr_jax.render.camera import Camera

Parse = Callable[[Float[Array, "views height width 3"]], Float[Array, "views height width parts"]]


def objective(
    weights: LossConfig,
    model: MorphableModel,
    cameras: Camera,
    coefficients: Coefficients,
    observed: Observation,
    parse: Parse | None = None,
    edges: MeshEdges | None = None,
    rasterizer: RasterizerName = "jax",
    progress: float | Float[Array, ""] = 1.0,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Compare one subject's face with what is known of it, in any number of views.

    Args:
      weights: of the terms.
      model: face model of the coefficients.
      cameras: one for each view (`face_camera.face_cameras`).
      coefficients: of the face.
      observed: what is known. Without photos nothing is rendered, and the terms of images are left out.
      parse: the frozen parse net: rendered images to logits of the parts, for the mask loss. None: there is
        no mask loss.
      edges: of the model's mesh: then outlines are smooth, and photos move them.
      rasterizer: who rasterizes (`render.render_mesh`).
      progress: share of the training done, for `LossConfig.mask_start`.

    Returns:
      The weighted sum of the terms, and the terms that count by the name of their weight, without it; with
      `edges` also "outlines_overflow", the share of views with more outlines than are smoothed.
    """
    face = place_face(model, coefficients)
    terms = face_losses(model, cameras, coefficients, face, observed)
    if observed.photos is not None:
        colors = light_face(model, face, coefficients)
        rendering = render_face(model, cameras, face, colors, edges, rasterizer)
        logits = parse(rendering.images) if parse else None
        terms |= image_losses(weights, rendering, observed, logits)
        if edges is not None:
            terms["outlines_overflow"] = jnp.mean(rendering.overflow)
    terms = counted(weights, terms)
    return weighted_sum(weights, terms, progress), terms
