"""nvdiffrast through the bridge of `render`, on a GPU: is it right, and is it fast?

    python -m benchmarks.gpu_render           # needs a CUDA GPU, nvdiffrast, torch with CUDA, jax-tvm-ffi

Compares images and gradients of nvdiffrast under JAX with nvdiffrast under torch's own autograd, which must
be equal to rounding, and with `render` in plain JAX, where both see the same triangle; then times the three
side by side, alternating in one run: images and gradients, batches of 1, 3 and 48. Exit code 1 where they
differ by more.
"""

import functools
import statistics
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.arguments import make_parser, positive, share_the_gpu
from benchmarks.render import bumpy_meshes, time_all
from benchmarks.results import write_results
from dfmvr_jax.command_line import run
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.render import (
    NvdiffrastMissing,
    clip_positions,
    interpolate,
    nvdiffrast_bridge,
    rasterize,
)
from dfmvr_jax.render.antialias_by_pixel import antialias_by_pixel
from dfmvr_jax.render.mesh_edges import opposite_vertices

OTHER_IDS = 0.05  # share of pixels: nvdiffrast snaps vertices to a grid of sub-pixels, plain JAX does not
SAME = {"nvdiffrast, torch": 0.99999, "plain JAX": 0.999}  # least cosine of images and of gradients


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--batches", type=positive, nargs="+", default=[1, 3, 48], help="images per call")
    parser.add_argument("--image-size", type=positive, default=224, help="pixels a side")
    parser.add_argument("--rounds", type=positive, default=20, help="timed calls of every row")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    share_the_gpu()
    try:
        nvdiffrast_bridge.check_available()
    except NvdiffrastMissing as error:
        sys.exit(f"error: {error}")

    camera = face_camera(arguments.image_size)
    programs, failed = {}, False
    for batch in arguments.batches:
        meshes, colors, triangles = bumpy_meshes(189, batch)
        clips = clip_positions(camera, jnp.asarray(meshes))
        inputs = clips, colors, triangles, camera.image_size
        same_ids = agreeing_pixels(clips, triangles, camera.image_size)
        print(
            f"batch {batch}: {100 * (1 - same_ids.mean()):.3f} % of the pixels show another triangle "
            "than in plain JAX"
        )
        failed |= bool(1 - same_ids.mean() > OTHER_IDS)
        batch_programs = {
            "plain JAX": jax_program(rasterize, interpolate, *inputs, same_ids),
            "nvdiffrast, JAX": jax_program(
                nvdiffrast_bridge.rasterize, nvdiffrast_bridge.interpolate, *inputs, same_ids
            ),
            "nvdiffrast, torch": torch_program(*inputs, same_ids),
        }
        failed |= compare(batch, {name: as_numpy(program()) for name, program in batch_programs.items()})
        programs |= {(name, batch): program for name, program in batch_programs.items()}
    failed |= not antialias_agrees(camera)
    device = jax.devices()[0].device_kind
    print(f"{device}, image and gradients, ms per image")
    rows = measure(programs, arguments.rounds)
    write_results(arguments.json, {"device": device, "results": rows})
    sys.exit(failed)


def agreeing_pixels(clips, triangles, size) -> np.ndarray:
    """Where nvdiffrast and plain JAX see the same triangle, [b, h, w]."""
    ids = [
        jax.vmap(lambda clip, rasterize=rasterize: rasterize(clip, triangles, size).triangle_ids)(clips)
        for rasterize in (rasterize, nvdiffrast_bridge.rasterize)
    ]
    return np.asarray(ids[0] == ids[1])


def jax_program(rasterize, interpolate, clips, colors, triangles, size, mask):
    """A compiled call: images and gradients, by clips and colours, of their squares' sum, where `mask`."""

    def total(clips, colors):
        def image(clip, color):
            return interpolate(color, triangles, rasterize(clip, triangles, size))

        images = jax.vmap(image)(clips, colors) * mask[..., None]
        return jnp.sum(images**2), images

    @jax.jit
    def program(clips, colors):
        (_, images), gradients = jax.value_and_grad(total, (0, 1), has_aux=True)(clips, colors)
        return images, *gradients

    return functools.partial(program, clips, colors)


def torch_program(clips, colors, triangles, size, mask):
    """The same by nvdiffrast's own interface and torch's autograd.

    Its first row is the lowest, so it gets mirrored positions, as from the bridge: then even ties are equal.
    """
    import nvdiffrast.torch as dr
    import torch

    context = dr.RasterizeCudaContext()
    mirrored = np.asarray(clips) * np.array([1, -1, 1, 1], np.float32)
    tensors = (torch.from_numpy(np.array(x)).cuda() for x in (triangles, mirrored, colors, mask[..., None]))
    triangles, clips, colors, mask = tensors
    clips.requires_grad_(), colors.requires_grad_()
    mirror = torch.tensor([1.0, -1, 1, 1], device=clips.device)

    def program():
        raster, _ = dr.rasterize(context, clips, triangles, size, grad_db=False)
        images = dr.interpolate(colors, raster, triangles)[0] * mask
        clip_gradient, color_gradient = torch.autograd.grad(torch.sum(images**2), (clips, colors))
        torch.cuda.synchronize()
        return images.detach(), clip_gradient * mirror, color_gradient

    return program


def as_numpy(arrays) -> list[np.ndarray]:
    return [np.asarray(array.cpu() if hasattr(array, "cpu") else array) for array in arrays]


def compare(batch: int, results: dict[str, list[np.ndarray]]) -> bool:
    """Print how the other two differ from nvdiffrast under JAX; whether that is too much."""
    failed = False
    for name, least in SAME.items():
        cosines = [cosine(*pair) for pair in zip(results["nvdiffrast, JAX"], results[name])]
        wrong = min(cosines) < least
        failed |= bool(wrong)
        words = ", ".join(
            f"{what} {c:.6f}" for what, c in zip(("images", "by vertices", "by colours"), cosines)
        )
        print(
            f"batch {batch}: nvdiffrast under JAX to {name}: cosines {words}{'  <-- WRONG' if wrong else ''}"
        )
    return failed


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b) / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-30))


def antialias_agrees(camera) -> bool:
    """nvdiffrast's antialias against our version of its rule, on the same fragments; prints and judges."""
    meshes, _, triangles = bumpy_meshes(24, 1)
    clip, opposite = clip_positions(camera, jnp.asarray(meshes[0])), opposite_vertices(triangles)
    fragments = nvdiffrast_bridge.rasterize(clip, triangles, camera.image_size)
    mask = fragments.mask[..., None].astype(jnp.float32)
    theirs = nvdiffrast_bridge.antialias(mask, fragments, clip, triangles)
    ours = antialias_by_pixel(mask, fragments, clip, triangles, opposite)
    agreement = cosine(np.asarray(theirs - mask), np.asarray(ours - mask))
    print(f"nvdiffrast's antialias to render.antialias_by_pixel: cosine of what they change {agreement:.6f}")
    return agreement > 0.95


def measure(programs: dict, rounds: int) -> list[dict]:
    """Print and give median milliseconds per image and call, everything in turn in each round."""
    seconds = time_all(programs, rounds)
    rows = []
    print(f"{'':20}{'batch':>6}{'median':>9}{'best':>9}{'to nvdiffrast, torch':>22}")
    for (name, batch), times in seconds.items():
        median = statistics.median(times)
        ratio = median / statistics.median(seconds["nvdiffrast, torch", batch])
        row = {"by": name, "batch": batch, "ms": 1e3 * median / batch, "best_ms": 1e3 * min(times) / batch}
        print(f"{name:20}{batch:6}{row['ms']:9.3f}{row['best_ms']:9.3f}{ratio:22.2f}")
        rows.append(row | {"to_nvdiffrast": ratio})
    return rows


if __name__ == "__main__":
    run(main)
