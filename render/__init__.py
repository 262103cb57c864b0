"""Differentiable rendering of triangle meshes in plain JAX: rasterize, interpolate, shade, antialias.

    camera = render.perspective_camera((480, 640), field_of_view=30.0, distance=10.0)
    edges = render.mesh_edges(triangles)
    image = render.render_mesh(camera, vertices, colors, triangles, edges).image

All functions are pure and take one mesh; they work under jit, grad, vmap (also over views), pmap, scan and
remat, on CPU, GPU and TPU. Gradients reach vertices, attributes, light and camera, and with `edges` the
motion of outlines. Guide: docs/rendering.md. Axes, pixel centres, clip space and light: docs/conventions.md.
"""

from dfmvr_jax.render.antialias import antialias
from dfmvr_jax.render.batching import map_images
from dfmvr_jax.render.camera import Camera, clip_positions, perspective_camera, project
from dfmvr_jax.render.interpolate import interpolate
from dfmvr_jax.render.mesh_edges import MeshEdges, mesh_edges
from dfmvr_jax.render.nvdiffrast_bridge import NvdiffrastMissing
from dfmvr_jax.render.rasterize import Fragments, rasterize
from dfmvr_jax.render.render_mesh import RasterizerName, Rendered, Shader, choose_rasterizer, render_mesh
from dfmvr_jax.render.sample import sample_texture
from dfmvr_jax.render.shade import Shine, highlight, shade, spherical_harmonics
from dfmvr_jax.render.visible import visible

__all__ = [
    "Camera",
    "Fragments",
    "MeshEdges",
    "NvdiffrastMissing",
    "RasterizerName",
    "Rendered",
    "Shader",
    "Shine",
    "antialias",
    "choose_rasterizer",
    "clip_positions",
    "highlight",
    "interpolate",
    "map_images",
    "mesh_edges",
    "perspective_camera",
    "project",
    "rasterize",
    "render_mesh",
    "sample_texture",
    "shade",
    "spherical_harmonics",
    "visible",
]

if __name__ == "render":  # in a clone: the short names stand for the same modules
    import importlib
    import pkgutil
    import sys

    import dfmvr_jax.render

    sys.modules["render"] = dfmvr_jax.render
    for module in pkgutil.iter_modules(dfmvr_jax.render.__path__):
        sys.modules[f"render.{module.name}"] = importlib.import_module(f"dfmvr_jax.render.{module.name}")
