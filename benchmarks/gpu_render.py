"""nvdiffrast through the bridge of `render`, on a GPU: is it right, and is it fast?

    python -m benchmarks.gpu_render           # needs a CUDA GPU, nvdiffrast, torch with CUDA, jax-tvm-ffi

Compares images and gradients of nvdiffrast under JAX with those of `render` in plain JAX and with nvdiffrast
under torch's own autograd, from the same inputs, then times the three side by side, alternating in one run:
forward, and forward and backward, batches of 1, 3 and 48 images. Exit code 1 where images or gradients differ
by more than rasterization rules explain.
"""

import argparse
import functools
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.render import bumpy_meshes
from render import (
    NvdiffrastMissing,
    antialias_by_pixel,
    clip_positions,
    face_camera,
    interpolate,
    nvdiffrast_bridge,
    opposite_vertices,
    rasterize,
)

PIXELS_THAT_MAY_DIFFER = 0.01  # share: nvdiffrast snaps vertices to a grid of sub-pixels
SAME_DIRECTION = 0.99  # least cosine of gradients by the vertices; of those by the colours, 0.999


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 3, 48], help="images per call")
    parser.add_argument("--image-size", type=int, default=224, help="pixels a side")
    parser.add_argument("--rounds", type=int, default=20, help="timed calls of every row")
    arguments = parser.parse_args()
    try:
        nvdiffrast_bridge.check_available()
    except NvdiffrastMissing as error:
        sys.exit(f"error: {error}")

    camera = face_camera(arguments.image_size)
    programs, failed = {}, False
    for batch in arguments.batches:
        meshes, colors, triangles = bumpy_meshes(189, batch)
        clips = clip_positions(camera, jnp.asarray(meshes))
        of_batch = {
            name: functools.partial(function, clips, colors)
            for name, function in jax_functions(triangles, camera.image_size).items()
        }
        of_batch["nvdiffrast, torch"] = torch_program(triangles, camera.image_size, clips, colors)
        failed |= compare(batch, {name: as_numpy(program()) for name, program in of_batch.items()})
        programs |= {(name, batch): program for name, program in of_batch.items()}
    report(programs, arguments.rounds)
    sys.exit(failed)


def jax_functions(triangles, size) -> dict:
    """Compiled functions of (clips, colors): images, and gradients of the sum of their squares by both."""
    opposite = opposite_vertices(triangles)

    def by_jax(clip, colors):
        fragments = rasterize(clip, triangles, size)
        return antialias_by_pixel(
            interpolate(colors, triangles, fragments), fragments, clip, triangles, opposite
        )

    def by_nvdiffrast(clip, colors):
        fragments = nvdiffrast_bridge.rasterize(clip, triangles, size)
        image = nvdiffrast_bridge.interpolate(colors, triangles, fragments)
        return nvdiffrast_bridge.antialias(image, fragments, clip, triangles)

    def with_gradients(render):
        def total(clips, colors):
            images = jax.vmap(render)(clips, colors)
            return jnp.sum(images**2), images

        @jax.jit
        def function(clips, colors):
            (_, images), gradients = jax.value_and_grad(total, (0, 1), has_aux=True)(clips, colors)
            return images, *gradients

        return function

    return {"plain JAX": with_gradients(by_jax), "nvdiffrast, JAX": with_gradients(by_nvdiffrast)}


def torch_program(triangles, size, clips, colors):
    """The same by nvdiffrast's own interface and torch's autograd; its first row is the lowest, so turned."""
    import nvdiffrast.torch as dr
    import torch

    context = dr.RasterizeCudaContext()
    triangles, clips, colors = (torch.from_numpy(np.array(x)).cuda() for x in (triangles, clips, colors))
    clips.requires_grad_(), colors.requires_grad_()

    def program():
        raster, _ = dr.rasterize(context, clips, triangles, size, grad_db=False)
        images, _ = dr.interpolate(colors, raster, triangles)
        images = dr.antialias(images, raster, clips, triangles)
        gradients = torch.autograd.grad(torch.sum(images**2), (clips, colors))
        torch.cuda.synchronize()
        return images.detach().flip(1), *gradients

    return program


def as_numpy(arrays) -> list[np.ndarray]:
    return [np.asarray(array.cpu() if hasattr(array, "cpu") else array) for array in arrays]


def compare(batch: int, results: dict[str, list[np.ndarray]]) -> bool:
    """Print how the other two differ from nvdiffrast under JAX; whether that is too much."""
    failed = False
    images, *gradients = results["nvdiffrast, JAX"]
    for name in ("plain JAX", "nvdiffrast, torch"):
        others, *other_gradients = results[name]
        differing = np.mean(np.abs(images - others).max(axis=-1) > 0.01)
        cosines = [
            np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
            for a, b in zip(gradients, other_gradients)
        ]
        wrong = differing > PIXELS_THAT_MAY_DIFFER or cosines[0] < SAME_DIRECTION or cosines[1] < 0.999
        failed |= bool(wrong)
        print(
            f"batch {batch}, nvdiffrast under JAX against {name}: {100 * differing:.3f} % of the pixels "
            f"differ by more than 0.01; cosine of the gradients by vertices {cosines[0]:.6f}, by colours "
            f"{cosines[1]:.6f}{'  <-- WRONG' if wrong else ''}"
        )
    return failed


def report(programs: dict, rounds: int) -> None:
    """Median milliseconds per image and call, everything in turn in each round."""
    seconds = {key: [] for key in programs}
    for timed_round in range(rounds + 2):
        for key, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready([x for x in program() if isinstance(x, jax.Array)])
            if timed_round >= 2:
                seconds[key].append(time.perf_counter() - start)
    print(f"{jax.devices()[0].device_kind}, image and gradients, ms per image")
    print(f"{'':20}{'batch':>6}{'median':>9}{'best':>9}{'to nvdiffrast, torch':>22}")
    for (name, batch), times in seconds.items():
        median = statistics.median(times)
        ratio = median / statistics.median(seconds["nvdiffrast, torch", batch])
        print(f"{name:20}{batch:6}{1e3 * median / batch:9.3f}{1e3 * min(times) / batch:9.3f}{ratio:22.2f}")


if __name__ == "__main__":
    main()
