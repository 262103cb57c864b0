"""How much of an outline's motion gradients see: with `render.antialias`, nvdiffrast's rule, and none.

    python -m benchmarks.outlines                  # the table; two minutes on 2 cores
    python -m benchmarks.outlines --pictures docs  # and draws rendering_buffers.png, rendering_outlines.png

The table: the derivative of the area of the built-in face's mask with respect to its scale, by each rule, as
a share of the true one, which comes from differences in images of 1792 pixels.
"""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks.arguments import make_parser
from dfmvr_jax.conventions import AMBIENT
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import face_albedo, vertex_normals
from dfmvr_jax.geometry import rotation_matrix
from dfmvr_jax.pictures import tile, to_uint8
from dfmvr_jax.render import (
    antialias,
    clip_positions,
    interpolate,
    mesh_edges,
    rasterize,
    render_mesh,
    shade,
)
from dfmvr_jax.render.antialias_by_pixel import antialias_by_pixel
from dfmvr_jax.render.mesh_edges import opposite_vertices

RULES = ("antialias", "nvdiffrast's rule", "none")
FINE = 1792  # pixels a side of the true images
SIZE = 224  # of the pictures
YAW = np.radians(45.0)
CUT = np.s_[64:144, 96:176]  # of the second picture: nose over cheek, and the outline
STEP = 0.0025  # of the differences, model units: a quarter of a pixel


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--pictures", type=Path, help="folder to draw in; without it only the table is made")
    arguments = parser.parse_args()
    scene = Scene()
    print_table(scene)
    if arguments.pictures:
        Image.fromarray(draw_buffers(scene)).save(arguments.pictures / "rendering_buffers.png")
        Image.fromarray(draw_derivatives(scene)).save(arguments.pictures / "rendering_outlines.png")


class Scene:
    """The built-in face under white light from the camera, and what the rules need of its mesh."""

    def __init__(self):
        self.model = load_face_model("builtin")
        self.triangles = self.model.triangles
        self.edges, self.opposite = mesh_edges(self.triangles), opposite_vertices(self.triangles)
        self.albedo = face_albedo(self.model, jnp.zeros(self.model.dimensions[2]))
        self.normals = vertex_normals(self.model.mean_shape, self.model)

    def posed(self, yaw, scale=1.0, shift=0.0):
        return scale * self.model.mean_shape @ turned(yaw).T + shift * jnp.array([1.0, 0, 0])

    def colors(self, yaw):
        light = jnp.zeros((3, 9)).at[:, 2].set(0.3)
        return shade(self.albedo, self.normals @ turned(yaw).T, light, AMBIENT)

    def image(self, vertices, colors, size: int, rule: str):
        camera = face_camera(size)
        clip = clip_positions(camera, vertices)
        fragments = rasterize(clip, self.triangles, camera.image_size)
        image = interpolate(colors, self.triangles, fragments)
        if rule == "antialias":
            return antialias(image, fragments, clip, self.edges).image
        if rule == "nvdiffrast's rule":
            return antialias_by_pixel(image, fragments, clip, self.triangles, self.opposite)
        return image


def turned(yaw):
    return rotation_matrix(jnp.array([0.0, yaw, 0.0]))


def print_table(scene: Scene) -> None:
    white = jnp.ones((scene.model.num_vertices, 1))

    def area(scale, yaw, size, rule):
        return jnp.mean(scene.image(scene.posed(yaw, scale), white, size, rule))

    print(f"{len(scene.triangles)} triangles; derivative of the mask's area by scale, share of the true one")
    print(f"{'yaw':>4}{'pixels':>8}" + "".join(f"{rule:>20}" for rule in RULES))
    for degrees in (0, 30, 60):
        yaw = np.float32(np.radians(degrees))
        fine = jax.jit(partial(area, yaw=yaw, size=FINE, rule="none"))
        true = (fine(1.01) - fine(0.99)) / 0.02
        for size in (64, 112, 224, 448):
            shares = [float(jax.grad(area)(1.0, yaw, size, rule) / true) for rule in RULES]
            print(f"{degrees:4}{size:8}" + "".join(f"{share:20.3f}" for share in shares), flush=True)


def draw_buffers(scene: Scene) -> np.ndarray:
    """What `render_mesh` gives: image, ids, barycentrics, depth, coverage."""
    vertices = scene.posed(-0.6)
    rendered = render_mesh(face_camera(SIZE), vertices, scene.colors(-0.6), scene.triangles, scene.edges)
    fragments = jax.tree.map(np.asarray, rendered.fragments)
    mask = np.asarray(fragments.mask)
    id_colors = (
        np.random.default_rng(0).random((len(scene.triangles), 3))[fragments.triangle_ids] * mask[..., None]
    )
    depth = fragments.depth
    near, far = depth[mask].min(), depth[mask].max()
    grey = np.where(mask, 1 - 0.9 * (depth - near) / (far - near), 0)
    pictures = [
        np.asarray(rendered.image),
        id_colors,
        fragments.barycentrics,
        np.repeat(grey[..., None], 3, -1),
        np.repeat(np.asarray(rendered.coverage)[..., None], 3, -1),
    ]
    names = ("image", "triangle_ids", "barycentrics", "depth", "coverage")
    return tile([[to_uint8(picture) for picture in pictures]], (), names)


def draw_derivatives(scene: Scene) -> np.ndarray:
    """How each pixel's brightness changes while the face moves to the right: red more, blue less."""
    colors = scene.colors(YAW)

    def image(shift, size, rule):
        return jnp.mean(scene.image(scene.posed(YAW, shift=shift), colors, size, rule), axis=-1)

    def block_means(shift):
        factor = FINE // SIZE
        return image(shift, FINE, "none").reshape(SIZE, factor, SIZE, factor).mean(axis=(1, 3))

    true = (block_means(STEP) - block_means(-STEP)) / (2 * STEP)
    derivatives = [true] + [
        jax.jvp(partial(image, size=SIZE, rule=rule), (0.0,), (1.0,))[1] for rule in RULES
    ]
    photo = to_uint8(np.asarray(scene.image(scene.posed(YAW), colors, SIZE, "antialias")))
    limit = np.quantile(np.abs(true[CUT]), 0.98)
    pictures = [photo] + [signed_colors(np.asarray(d) / limit) for d in derivatives]
    cuts = [picture[CUT].repeat(3, axis=0).repeat(3, axis=1) for picture in pictures]
    return tile([cuts], (), ("image", "true derivative", *RULES))


def signed_colors(values: np.ndarray) -> np.ndarray:
    """-1 blue, 0 white, 1 red."""
    clipped = np.clip(values, -1, 1)[..., None]
    red, blue = np.array([0.85, 0.1, 0.1]), np.array([0.1, 0.2, 0.85])
    return to_uint8(1 - np.abs(clipped) * (1 - np.where(clipped > 0, red, blue)))


if __name__ == "__main__":
    main()
