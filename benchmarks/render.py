"""Speed of `render/` against a single-threaded C++ z-buffer, on meshes as dense as face models are.

    python -m benchmarks.render              # all sizes of images and meshes; ten minutes on 2 cores
    python -m benchmarks.render --image-sizes 224 --mesh-sides 189       # the common face model: one minute

Prints milliseconds per image and the ratio to the C++ z-buffer, which makes ids only and is written in the
manner of Sim3DR's: project the vertices, then for each triangle test every pixel of its box. Where pytorch3d
is installed, its rasterizer on the CPU has a row too. Every round times all rows of a batch in turn, so that
a busy machine slows them alike, or nearly: XLA's threads suffer more.
"""

import ctypes
import functools
import itertools
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.arguments import make_parser, positive
from benchmarks.results import write_results
from dfmvr_jax.command_line import run
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.render import Camera, clip_positions, map_images, mesh_edges, rasterize, render_mesh
from tests.bumpy_ellipsoid import bumpy_ellipsoid

YARDSTICK = "C++ ids, one thread"
ROWS = {
    "ids": ("ids",),
    "forward": ("forward",),
    "backward": ("forward + backward", "  by map_images"),
    "antialiased": ("  antialiased", "  antialiased, map_images"),
}
CPP_ZBUFFER = r"""
#include <algorithm>
#include <cmath>
#include <vector>
extern "C" void zbuffer(const float* clip, int n, const int* triangles, int f,
                        int height, int width, int* ids) {
    std::vector<float> points(3 * n), nearest(height * width, 1.0f);
    std::fill(ids, ids + height * width, -1);
    for (int i = 0; i < n; i++) {
        const float* p = clip + 4 * i;
        points[3 * i] = (p[0] / p[3] + 1) * width / 2 - 0.5f;
        points[3 * i + 1] = (1 - p[1] / p[3]) * height / 2 - 0.5f;
        points[3 * i + 2] = p[2] / p[3];
    }
    for (int t = 0; t < f; t++) {
        const float *a = &points[3 * triangles[3 * t]], *b = &points[3 * triangles[3 * t + 1]],
                    *c = &points[3 * triangles[3 * t + 2]];
        int left = std::max((int)std::ceil(std::min({a[0], b[0], c[0]})), 0);
        int right = std::min((int)std::floor(std::max({a[0], b[0], c[0]})), width - 1);
        int top = std::max((int)std::ceil(std::min({a[1], b[1], c[1]})), 0);
        int bottom = std::min((int)std::floor(std::max({a[1], b[1], c[1]})), height - 1);
        if (left > right || top > bottom) continue;
        float area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]);
        for (int y = top; y <= bottom; y++)
            for (int x = left; x <= right; x++) {
                float u = ((c[0] - x) * (a[1] - y) - (a[0] - x) * (c[1] - y)) / area;
                float v = ((a[0] - x) * (b[1] - y) - (b[0] - x) * (a[1] - y)) / area;
                if (!(u >= 0 && v >= 0 && u + v <= 1)) continue;
                float depth = a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2]);
                if (depth < nearest[y * width + x]) {
                    nearest[y * width + x] = depth;
                    ids[y * width + x] = t;
                }
            }
    }
}
"""


def compile_cpp_zbuffer():
    """The C++ z-buffer as a function of NumPy arrays (clip, triangles, ids), or None without a compiler."""
    if shutil.which("g++") is None:
        print("no g++ on this machine: the C++ yardstick and the ratios to it are left out")
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "zbuffer.cpp"), Path(folder, "zbuffer.so")
        source.write_text(CPP_ZBUFFER)
        subprocess.run(["g++", "-O3", "-shared", "-fPIC", source, "-o", library], check=True)
        function = ctypes.CDLL(str(library)).zbuffer

    def zbuffer(clip, triangles, ids):
        arrays = [array.ctypes.data_as(ctypes.c_void_p) for array in (clip, triangles, ids)]
        function(arrays[0], len(clip), arrays[1], len(triangles), *ids.shape, arrays[2])

    return zbuffer


def time_all(functions, rounds):
    """Seconds of each function of (name, batch): {key: [times]}, without the compiling first round.

    The quick ones run several times in a row each round, so that their caches are warm.
    """
    seconds = {key: [] for key in functions}
    for timed_round in range(rounds + 1):
        for (name, batch), function in functions.items():
            for _ in range(1 + 12 // batch):
                start = time.perf_counter()
                jax.block_until_ready(function())
                if timed_round:
                    seconds[name, batch].append(time.perf_counter() - start)
    return seconds


def bumpy_meshes(side: int, batch: int):
    """A batch of rough, face-sized meshes of side x side vertices, with colours and the triangles of all."""
    points, triangles = bumpy_ellipsoid(side)
    meshes = points + 0.05 * jax.random.normal(jax.random.key(1), (batch, 1, 3))
    return meshes, jax.random.uniform(jax.random.key(0), meshes.shape), jnp.asarray(triangles)


def render_programs(camera: Camera, side: int, batch: int) -> dict:
    """Compiled calls of `render` by name: ids, image, image and gradients, with smooth outlines too."""
    meshes, colors, triangles = bumpy_meshes(side, batch)
    edges = mesh_edges(triangles)

    def ids(vertices):
        return rasterize(clip_positions(camera, vertices), triangles, camera.image_size).triangle_ids

    def forward(vertices, colors, edges=None):
        return render_mesh(camera, vertices, colors, triangles, edges).image

    def only_one(function):
        return lambda *inputs: function(*(x[0] for x in inputs))

    def gradients(many, edges=None):
        def total(meshes, colors):
            return jnp.sum(many(functools.partial(forward, edges=edges))(meshes, colors) ** 2)

        return functools.partial(jax.jit(jax.grad(total, argnums=(0, 1))), meshes, colors)

    batched = jax.vmap if batch > 1 else only_one
    programs = {
        "ids": functools.partial(jax.jit(batched(ids)), meshes),
        "forward": functools.partial(jax.jit(batched(forward)), meshes, colors),
        "forward + backward": gradients(batched),
        "  antialiased": gradients(batched, edges),
    }
    if batch > 1 and jax.default_backend() == "cpu":  # elsewhere it is vmap
        programs |= {
            "  by map_images": gradients(map_images),
            "  antialiased, map_images": gradients(map_images, edges),
        }
    return programs


def pytorch3d_program(camera: Camera, side: int):
    """pytorch3d's rasterizer on the CPU, ids and barycentrics of one image, or None where it is missing."""
    try:
        import torch
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError:
        return None
    meshes, _, triangles = bumpy_meshes(side, 1)
    x, y, z, w = np.asarray(clip_positions(camera, meshes[0])).T
    points = torch.from_numpy(np.stack([-x / w, y / w, w + 0 * z], axis=-1))  # its x axis points to the left
    mesh = Meshes([points], [torch.from_numpy(np.array(triangles)).long()])
    return lambda: rasterize_meshes(mesh, camera.image_size, perspective_correct=True)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--batches", type=positive, nargs="+", default=[1, 3, 48], help="images per call")
    parser.add_argument("--rounds", type=positive, default=7, help="timed calls of every row")
    parser.add_argument(
        "--image-sizes", type=positive, nargs="+", default=[112, 224, 448], help="pixels a side"
    )
    parser.add_argument(
        "--mesh-sides",
        type=positive,
        nargs="+",
        default=[93, 189, 375],
        help="meshes have the square of this many vertices: 17, 70 and 280 thousand triangles",
    )
    parser.add_argument(
        "--what",
        nargs="+",
        default=list(ROWS),
        choices=ROWS,
        help="rows; on a CPU, the last two by map_images too",
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()

    zbuffer = compile_cpp_zbuffer()
    device, rows = jax.local_devices()[0].device_kind, []
    names = [name for what in arguments.what for name in ROWS[what]]
    print(f"{device}, JAX {jax.__version__}")
    for image_size, side in itertools.product(arguments.image_sizes, arguments.mesh_sides):
        camera = face_camera(image_size)
        for found in measure(camera, side, arguments.batches, names, arguments.rounds, zbuffer):
            rows += found
            write_results(arguments.json, {"device": device, "results": rows})


def measure(
    camera: Camera, side: int, batches: list[int], names: list[str], rounds: int, zbuffer: Callable | None
) -> Iterator[list[dict]]:
    """Time one size of mesh and image, one batch after the other; print and give the rows of each."""
    points, faces = bumpy_ellipsoid(side)
    cpp_ids = np.empty(camera.image_size, np.int32)
    clip = np.asarray(clip_positions(camera, jnp.asarray(points)))
    pytorch3d = pytorch3d_program(camera, side)
    print(f"\n{len(points)} vertices, {len(faces)} triangles, {camera.image_size[0]} pixels a side")
    print(f"{'ms per image':28}{'batch':>6}{'median':>9}{'best':>9}{'median to C++ ids':>20}")
    for batch in batches:
        functions = {(YARDSTICK, 1): lambda: zbuffer(clip, faces, cpp_ids)} if zbuffer else {}
        programs = render_programs(camera, side, batch)
        functions |= {(name, batch): programs[name] for name in names if name in programs}
        seconds = time_all(functions, rounds)
        if pytorch3d and batch == batches[0]:  # once: it takes seconds
            start = time.perf_counter()
            pytorch3d()
            seconds["pytorch3d, CPU", 1] = [time.perf_counter() - start]
        medians = {key: statistics.median(times) / key[1] for key, times in seconds.items()}
        found = [
            {
                "what": name.strip(),
                "batch": images,
                "pixels": camera.image_size[0],
                "triangles": len(faces),
                "ms": 1e3 * median,
                "best_ms": 1e3 * min(seconds[name, images]) / images,
                "to_cpp": median / medians[YARDSTICK, 1] if zbuffer else None,
            }
            for (name, images), median in medians.items()
        ]
        for (name, _), row in zip(medians, found):
            ratio = f"{row['to_cpp']:.2f}" if zbuffer else "-"
            print(f"{name:28}{row['batch']:6}{row['ms']:9.2f}{row['best_ms']:9.2f}{ratio:>20}", flush=True)
        yield found
    if zbuffer:
        ids = rasterize(jnp.asarray(clip), jnp.asarray(faces), camera.image_size).triangle_ids
        differences = np.sum(cpp_ids != np.asarray(ids))
        print(f"{differences} of {cpp_ids.size} ids differ between the two (shared edges, rounding)")


if __name__ == "__main__":
    run(main)
