"""All of `render` in one call, and the choice of who rasterizes."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from dfmvr_jax.render import nvdiffrast_bridge
from dfmvr_jax.render.antialias import antialias
from dfmvr_jax.render.array_types import Array, Bool, Float, Int, check_shape
from dfmvr_jax.render.camera import Camera, clip_positions
from dfmvr_jax.render.interpolate import interpolate
from dfmvr_jax.render.mesh_edges import MeshEdges
from dfmvr_jax.render.rasterize import Fragments, rasterize

RasterizerName = Literal["jax", "nvdiffrast", "auto"]


Rasterize = Callable[[Float[Array, "n 4"], Int[Array, "f 3"], tuple[int, int]], Fragments]
# pixels' colours from the attributes there
Shader = Callable[[Float[Array, "h w c"], Fragments], Float[Array, "h w k"]]
Interpolate = Callable[[Float[Array, "n c"], Int[Array, "f 3"], Fragments], Float[Array, "h w c"]]
BACKENDS: dict[str, tuple[Rasterize, Interpolate]] = {
    "jax": (rasterize, interpolate),
    "nvdiffrast": (nvdiffrast_bridge.rasterize, nvdiffrast_bridge.interpolate),
}


class Rendered(NamedTuple):
    """What a camera sees of a mesh; `jax.vmap` adds leading axes."""

    image: Float[Array, "*batch h w k"]  # 0 in the background
    coverage: Float[Array, "*batch h w"]  # of each pixel by the mesh: 0 or 1, and between at smooth outlines
    fragments: Fragments
    overflow: Bool[Array, "*batch"]  # of `antialias`


def render_mesh(
    camera: Camera,
    vertices: Float[Array, "n 3"],
    attributes: Float[Array, "n c"],
    triangles: Int[Array, "f 3"],
    edges: MeshEdges | None = None,
    rasterizer: RasterizerName = "jax",
    shader: Shader | None = None,
) -> Rendered:
    """Image of posed vertices with any number of channels each; for several poses `jax.vmap` over vertices.

    With `edges` (`mesh_edges(triangles)`) outlines are smooth, and gradients know that they move.
    To lay the image over a background: `image + (1 - coverage[..., None]) * background`.

    Without a `shader` the attributes are the colours. A shader makes each pixel's colour, of any number of
    channels, from the attributes there (albedo and normals, to light each pixel; texture coordinates, for
    `sample_texture`) and from the fragments (`interpolate` of other triangles with the same numbers, as those
    of a texture are). What it makes of the background is not used, but its derivative must be finite there:
    attributes are 1, what it interpolates itself is 0.

    Raises `TypeError` where there is no camera, `ValueError` for arrays of another shape, `NvdiffrastMissing`
    where the rasterizer asked for is not there.
    """
    if not isinstance(camera, Camera):
        raise TypeError(f"the first argument is a {type(camera).__name__}; expected a Camera")
    check_shape("vertices", vertices, "n", 3)
    check_shape("attributes", attributes, len(vertices), "c")
    rasterize, interpolate = BACKENDS[choose_rasterizer(rasterizer)]
    clip = clip_positions(camera, vertices)
    fragments = rasterize(clip, triangles, camera.image_size)
    image = interpolate(attributes, triangles, fragments)
    if shader is not None:
        seen = fragments.mask[..., None]
        # 1 and not 0: a vector that the shader divides by its length has one
        image = jnp.where(seen, shader(jnp.where(seen, image, 1), fragments), 0)
    # NaN where `rasterize` gives up, like everything else
    coverage = fragments.mask + 0 * jax.lax.stop_gradient(fragments.depth)
    coverage, overflow = coverage.astype(image.dtype)[..., None], jnp.array(False)
    if edges is not None:
        layers = jnp.concatenate([image, coverage], axis=-1)
        layers, overflow = antialias(layers, fragments, clip, edges)
        image, coverage = layers[..., :-1], layers[..., -1:]
    return Rendered(image, coverage[..., 0], fragments, overflow)


def choose_rasterizer(name: RasterizerName) -> Literal["jax", "nvdiffrast"]:
    """What "auto" means on this machine: nvdiffrast where JAX runs on a GPU and it is installed, else jax.

    Raises `nvdiffrast_bridge.NvdiffrastMissing` where "nvdiffrast" is asked for and is not there.
    """
    if name not in get_args(RasterizerName):
        known = ", ".join(get_args(RasterizerName))
        raise ValueError(f"there is no rasterizer {name!r}; choose from {known}")
    if name == "auto":
        try:
            nvdiffrast_bridge.check_available()
        except nvdiffrast_bridge.NvdiffrastMissing:
            return "jax"
        return "nvdiffrast"
    if name == "nvdiffrast":
        nvdiffrast_bridge.check_available()
    return name
