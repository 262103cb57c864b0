"""From coefficients to faces: shape, albedo, pose, light, rendered photos (docs/method.md, section 1)."""

from typing import NamedTuple

import jax

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.face_model.morphable_model import MorphableModel, face_albedo, face_shape, vertex_normals
from dfmvr_jax.geometry import move, rotation_matrix
from render import MeshEdges, RasterizerName, map_images, render_mesh
from render.array_types import Array, Bool, Float
from render.camera import Camera, project
from render.precision import full_precision
from render.shade import shade


class Face(NamedTuple):
    """One subject's face, posed and lit for each view. Conventions: docs/conventions.md."""

    vertices: Float[Array, "vertices 3"]  # model space, model units
    albedo: Float[Array, "vertices 3"]  # colour under white light, not clipped
    posed: Float[Array, "views vertices 3"]  # in front of the camera, model units
    colors: Float[Array, "views vertices 3"]  # albedo under the subject's light, not clipped


class Rendering(NamedTuple):
    """What the cameras see of a face."""

    images: Float[Array, "*batch views height width 3"]  # black where the face is not
    masks: Bool[Array, "*batch views height width"]  # where the face is
    coverage: Float[Array, "*batch views height width"]  # the same as numbers; between 0 and 1 at outlines
    overflow: Bool[Array, "*batch views"]  # more outlines than are smoothed (`render.antialias`)


@full_precision
def pose_face(model: MorphableModel, coefficients: Coefficients) -> Face:
    """Build one subject's face, pose and light it for every view.

    Each view is lit with its own normals (the released code lights all with the right view's).
    """
    vertices = face_shape(model, coefficients.identity, coefficients.expression)
    albedo = face_albedo(model, coefficients.albedo)
    normals = vertex_normals(vertices, model)

    def pose_view(rotation: Float[Array, "3"], translation: Float[Array, "3"]):
        colors = shade(albedo, normals @ rotation_matrix(rotation).T, coefficients.light)
        return move(vertices, rotation, translation), colors

    posed, colors = jax.vmap(pose_view)(coefficients.rotation, coefficients.translation)
    return Face(vertices, albedo, posed, colors)


def render_face(
    model: MorphableModel,
    camera: Camera,
    face: Face,
    edges: MeshEdges | None = None,
    rasterizer: RasterizerName = "jax",
) -> Rendering:
    """Render a posed face, or a batch of them, in every view, one picture after the other on a CPU.

    With the mesh's `edges` outlines are smooth (`render.antialias`).
    """

    def render_view(posed: Float[Array, "vertices 3"], colors: Float[Array, "vertices 3"]):
        rendered = render_mesh(camera, posed, colors, model.triangles, edges, rasterizer)
        return rendered.image, rendered.fragments.mask, rendered.coverage, rendered.overflow

    batch = face.posed.shape[:-2]
    flat = (leaf.reshape(-1, *leaf.shape[-2:]) for leaf in (face.posed, face.colors))
    pictures = map_images(render_view)(*flat)
    return Rendering(*(leaf.reshape(*batch, *leaf.shape[1:]) for leaf in pictures))


def reconstruct(model: MorphableModel, camera: Camera, coefficients: Coefficients) -> tuple[Face, Rendering]:
    """Build, pose, light and render one subject's face in every view."""
    face = pose_face(model, coefficients)
    return face, render_face(model, camera, face)


def landmark_pixels(
    model: MorphableModel, camera: Camera, posed: Float[Array, "views vertices 3"]
) -> Float[Array, "views 68 2"]:
    """Pixel positions of the 68 landmarks in every view."""
    return project(camera, posed[:, model.landmarks])
