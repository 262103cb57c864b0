"""From coefficients to faces: shape, albedo, pose, light, rendered photos (docs/method.md, section 1)."""

from typing import NamedTuple

import jax

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.face_model.morphable_model import MorphableModel, face_albedo, face_shape, vertex_normals
from dfmvr_jax.geometry import rotation_matrix
from render import render_vertices
from render.array_types import Array, Bool, Float
from render.camera import Camera, project
from render.shade import shade


class Reconstruction(NamedTuple):
    """One subject's face and what the cameras see of it. Conventions: docs/conventions.md."""

    vertices: Float[Array, "vertices 3"]  # model space, model units
    albedo: Float[Array, "vertices 3"]  # colour under white light, not clipped
    posed: Float[Array, "views vertices 3"]  # in front of the camera, model units
    images: Float[Array, "views height width 3"]  # black where the face is not
    masks: Bool[Array, "views height width"]  # where the face is


def reconstruct(model: MorphableModel, camera: Camera, coefficients: Coefficients) -> Reconstruction:
    """Build, pose, light and render one subject's face in every view.

    Each view is lit with its own normals (the released code lights all with the right view's).
    """
    vertices = face_shape(model, coefficients.identity, coefficients.expression)
    albedo = face_albedo(model, coefficients.albedo)
    normals = vertex_normals(vertices, model)

    def render_view(rotation: Float[Array, "3"], translation: Float[Array, "3"]):
        matrix = rotation_matrix(rotation)
        posed = vertices @ matrix.T + translation
        colors = shade(albedo, normals @ matrix.T, coefficients.light)
        image, fragments = render_vertices(camera, posed, colors, model.triangles)
        return posed, image, fragments.mask

    posed, images, masks = jax.vmap(render_view)(coefficients.rotation, coefficients.translation)
    return Reconstruction(vertices, albedo, posed, images, masks)


def landmark_pixels(
    model: MorphableModel, camera: Camera, posed: Float[Array, "views vertices 3"]
) -> Float[Array, "views 68 2"]:
    """Pixel positions of the 68 landmarks in every view."""
    return project(camera, posed[:, model.landmarks])
