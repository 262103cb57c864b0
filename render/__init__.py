"""Differentiable rendering of triangle meshes in plain JAX: rasterize, interpolate, shade.

    camera = render.face_camera(224)
    image, fragments = render.render_vertices(camera, vertices, colors, triangles)

All functions are pure and take one mesh; they work under jit, grad, vmap (also over views), pmap, scan and
remat, on CPU, GPU and TPU. Gradients reach vertices, attributes, light and camera; the outline's motion is
not part of them. Axes, pixel centres, clip space and light: docs/conventions.md.
"""

from render.array_types import Array, Float, Int
from render.camera import Camera, clip_positions, face_camera, project
from render.interpolate import interpolate
from render.rasterize import Fragments, rasterize
from render.shade import shade, spherical_harmonics

__all__ = [
    "Camera",
    "Fragments",
    "clip_positions",
    "face_camera",
    "interpolate",
    "project",
    "rasterize",
    "render_vertices",
    "shade",
    "spherical_harmonics",
]


def render_vertices(
    camera: Camera, vertices: Float[Array, "n 3"], colors: Float[Array, "n c"], triangles: Int[Array, "f 3"]
) -> tuple[Float[Array, "h w c"], Fragments]:
    """Image of posed vertices with any number of channels per vertex (0 in the background), and what is seen.

    The background is wherever `fragments.mask` is False. For several poses `jax.vmap` over the vertices.
    """
    fragments = rasterize(clip_positions(camera, vertices), triangles, camera.image_size)
    return interpolate(colors, triangles, fragments), fragments
