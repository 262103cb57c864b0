"""From coefficients to faces: shape, albedo, pose, light, rendered photos (docs/method.md, section 1).

All functions take one subject. Views are an array axis of any length: poses, cameras and colours have it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.conventions import AMBIENT
from dfmvr_jax.face_model.morphable_model import MorphableModel, face_albedo, face_shape, vertex_normals
from dfmvr_jax.geometry import move, rotation_matrix
from dfmvr_jax.render import MeshEdges, RasterizerName, map_images, render_mesh
from dfmvr_jax.render.array_types import Array, Bool, Float
from dfmvr_jax.render.camera import Camera, project
from dfmvr_jax.render.precision import full_precision
from dfmvr_jax.render.shade import Shine, highlight, shade


class Face(NamedTuple):
    """One subject's face, posed for each view. Conventions: docs/conventions.md."""

    vertices: Float[Array, "vertices 3"]  # model space, model units
    albedo: Float[Array, "vertices 3"]  # colour under white light, not clipped
    posed: Float[Array, "views vertices 3"]  # in front of the cameras, model units


class Rendering(NamedTuple):
    """What the cameras see of a face."""

    images: Float[Array, "*batch views height width 3"]  # black where the face is not
    masks: Bool[Array, "*batch views height width"]  # where the face is
    coverage: Float[Array, "*batch views height width"]  # the same as numbers; between 0 and 1 at outlines
    overflow: Bool[Array, "*batch views"]  # more outlines than are smoothed (`render.antialias`)
    photo_weight: Float[Array, "*batch views height width"] | None  # the model's, at the pixels; no gradient


@full_precision
def place_face(model: MorphableModel, coefficients: Coefficients) -> Face:
    """Build one subject's face and pose it for every view."""
    vertices = face_shape(model, coefficients.identity, coefficients.expression)
    posed = jax.vmap(move, (None, 0, 0))(vertices, coefficients.rotation, coefficients.translation)
    return Face(vertices, face_albedo(model, coefficients.albedo), posed)


@full_precision
def light_face(
    model: MorphableModel, face: Face, coefficients: Coefficients, shine: Shine | None = None
) -> Float[Array, "views vertices 3"]:
    """Light a face in every view: albedo under the subject's light, not clipped.

    Each view is lit with its own normals (the released code lights all with the right view's). The light is
    one for all views, or one for each. The method's faces are matt; `shine` adds a highlight.
    """
    normals = vertex_normals(face.vertices, model)
    lights = jnp.broadcast_to(coefficients.light, (len(face.posed), 3, 9))

    def light_view(rotation: Float[Array, "3"], light: Float[Array, "3 9"]):
        turned = normals @ rotation_matrix(rotation).T
        matt = shade(face.albedo, turned, light, AMBIENT)
        return matt if shine is None else matt + highlight(turned, light, shine)

    return jax.vmap(light_view)(coefficients.rotation, lights)


def render_face(
    model: MorphableModel,
    cameras: Camera,
    face: Face,
    colors: Float[Array, "views vertices 3"],
    edges: MeshEdges | None = None,
    rasterizer: RasterizerName = "jax",
) -> Rendering:
    """Render a face in every view, one picture after the other on a CPU.

    Args:
      model: whose triangles they are.
      cameras: one for each view: leaves with a leading axis (`dfmvr_jax.face_camera.face_cameras`).
      face: from `place_face`.
      colors: from `light_face`.
      edges: of the mesh: then outlines are smooth (`render.antialias`).
      rasterizer: who rasterizes (`render.render_mesh`).
    """

    def render_view(camera: Camera, posed: Float[Array, "vertices 3"], colors: Float[Array, "vertices 3"]):
        if model.photo_weight is not None:
            colors = jnp.concatenate([colors, model.photo_weight[:, None]], axis=1)
        rendered = render_mesh(camera, posed, colors, model.triangles, edges, rasterizer)
        image, coverage, weights = rendered.image[..., :3], rendered.coverage, None
        if model.photo_weight is not None:  # a pixel that the face covers in part has its whole weight
            weights = jax.lax.stop_gradient(rendered.image[..., 3] / jnp.where(coverage > 0, coverage, 1))
        return image, rendered.fragments.mask, coverage, rendered.overflow, weights

    return Rendering(*map_images(render_view)(cameras, face.posed, colors))


def render_coefficients(
    model: MorphableModel,
    cameras: Camera,
    coefficients: Coefficients,
    shine: Shine | None = None,
    edges: MeshEdges | None = None,
) -> tuple[Face, Rendering]:
    """Build, pose, light and render one subject's face in every view.

    `cameras` and `edges` as for `render_face`, `shine` as for `light_face`.
    """
    face = place_face(model, coefficients)
    return face, render_face(model, cameras, face, light_face(model, face, coefficients, shine), edges)


def landmark_pixels(
    model: MorphableModel, cameras: Camera, posed: Float[Array, "views vertices 3"]
) -> Float[Array, "views 68 2"]:
    """Project the 68 landmarks into every view, pixels; `cameras` as for `render_face`."""
    return jax.vmap(project)(cameras, posed[:, model.landmarks])
