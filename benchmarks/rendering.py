"""Speed of `render/` against a single-threaded C++ z-buffer, on a mesh as dense as the common face model.

    python -m benchmarks.rendering            # from the repository's root; about a minute on 2 cores
    python -m benchmarks.rendering --batches 1 3 48 --rounds 9

Prints milliseconds per image and the ratio to the C++ z-buffer, which makes ids only and is written in the
manner of Sim3DR's: project the vertices, then for each triangle test every pixel of its box. Every round
times everything in turn, so that a busy machine slows all rows alike, or nearly: XLA's threads suffer more.
"""

import argparse
import ctypes
import functools
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from render import clip_positions, face_camera, rasterize, render_vertices
from tests.bumpy_ellipsoid import bumpy_ellipsoid

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


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 3, 48], help="images per call")
    parser.add_argument("--rounds", type=int, default=7, help="timed calls of every row")
    parser.add_argument("--image-size", type=int, default=224, help="pixels a side")
    parser.add_argument(
        "--mesh-side", type=int, default=189, help="the mesh has the square of this many vertices"
    )
    arguments = parser.parse_args()

    camera = face_camera(arguments.image_size)
    points, faces = bumpy_ellipsoid(arguments.mesh_side)
    triangles = jnp.asarray(faces)
    colors = jax.random.uniform(jax.random.key(0), points.shape)
    zbuffer = compile_cpp_zbuffer()

    def ids(vertices):
        return rasterize(clip_positions(camera, vertices), triangles, camera.image_size).triangle_ids

    def forward(vertices, colors):
        return render_vertices(camera, vertices, colors, triangles)[0]

    functions = {}
    for batch in arguments.batches:
        inputs = (
            points + 0.05 * jax.random.normal(jax.random.key(1), (batch, 1, 3)),
            jnp.tile(colors, (batch, 1, 1)),
        )
        batched_ids, batched_forward = jax.vmap(ids), jax.vmap(forward)
        if batch == 1:  # without vmap
            inputs, batched_ids, batched_forward = (inputs[0][0], inputs[1][0]), ids, forward
        gradient = jax.grad(
            lambda *inputs, image=batched_forward: jnp.sum(image(*inputs) ** 2), argnums=(0, 1)
        )
        functions |= {
            ("ids", batch): functools.partial(jax.jit(batched_ids), inputs[0]),
            ("forward", batch): functools.partial(jax.jit(batched_forward), *inputs),
            ("forward + backward", batch): functools.partial(jax.jit(gradient), *inputs),
        }
    yardstick = ("C++ ids, one thread", 1)
    if zbuffer:
        clip = np.asarray(clip_positions(camera, jnp.asarray(points)))
        cpp_ids = np.empty(camera.image_size, np.int32)
        functions = {yardstick: lambda: zbuffer(clip, faces, cpp_ids)} | functions
        zbuffer(clip, faces, cpp_ids)
        differences = np.sum(cpp_ids != np.asarray(ids(jnp.asarray(points))))
    seconds = time_all(functions, arguments.rounds)

    print(f"{len(points)} vertices, {len(faces)} triangles, {arguments.image_size} pixels a side")
    print(f"{'ms per image':24}{'batch':>6}{'median':>9}{'best':>9}{'median to C++ ids':>20}")
    for (name, batch), times in seconds.items():
        median, best = statistics.median(times) / batch, min(times) / batch
        ratio = f"{median / statistics.median(seconds[yardstick]):.2f}" if zbuffer else "-"
        print(f"{name:24}{batch:6}{1e3 * median:9.2f}{1e3 * best:9.2f}{ratio:>20}")
    if zbuffer:
        print(f"{differences} of {cpp_ids.size} ids differ between the two (shared edges, rounding)")


if __name__ == "__main__":
    main()
