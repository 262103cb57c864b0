"""nvdiffrast's CUDA operations as JAX functions: no copies to the host, inside jit, grad, vmap, pmap, scan.

nvdiffrast is a PyTorch extension. Here its low-level functions are called by XLA itself, through its foreign
function interface: XLA hands over its buffers as DLPack tensors and its CUDA stream, torch wraps them, and
nvdiffrast runs on that stream. Gradients are nvdiffrast's own. Batches, nested `jax.vmap`s too, become its
minibatch, in one call.

Conventions are those of `render` (docs/conventions.md), and images have their first row on top: positions are
mirrored before they go to nvdiffrast, whose first row is the lowest.

nvdiffrast is not part of this package, and its licence allows research and evaluation only. Beside it, this
needs a CUDA build of torch and jax-tvm-ffi; `INSTALL` says how to get them. torch allocates beside XLA: leave
it some memory, e.g. by XLA_PYTHON_CLIENT_MEM_FRACTION=0.6. Several GPUs in one process have not been tried.
"""

import contextlib
import functools
import importlib
from collections.abc import Callable

import jax
import jax.numpy as jnp

from dfmvr_jax.render.array_types import Array, Float, Int, check_image_size, check_shape, check_triangles
from dfmvr_jax.render.rasterize import Fragments, depth_at

INSTALL = (
    "pip install jax-tvm-ffi torch && "  # torch with CUDA
    "pip install git+https://github.com/NVlabs/nvdiffrast --no-build-isolation"
)
PLATFORM = "gpu"  # of the operations
MAX_TRIANGLES = 2**24  # nvdiffrast writes their numbers as floats


class NvdiffrastMissing(ImportError):
    """nvdiffrast, or what it takes to call it, is not there; the message says what and how to install it."""


def rasterize(
    clip_positions: Float[Array, "n 4"], triangles: Int[Array, "f 3"], image_size: tuple[int, int]
) -> Fragments:
    """`render.rasterize` by nvdiffrast: the same images, to within a sixteenth of a pixel or so.

    nvdiffrast snaps vertices to a grid of sub-pixels, so ids may differ near the triangles' edges.
    Barycentrics and depth carry gradients to the positions; forward-mode derivatives there are none.

    Raises:
      NvdiffrastMissing: nvdiffrast cannot be called here.
      ValueError: more triangles than nvdiffrast can number (2 to the power of 24).
    """
    check_shape("clip_positions", clip_positions, "n", 4)
    check_triangles(triangles)
    check_image_size(image_size)
    check_available()
    if len(triangles) > MAX_TRIANGLES:
        raise ValueError(f"{len(triangles)} triangles; nvdiffrast numbers {MAX_TRIANGLES}")
    raster = _rasterize(image_size, triangles.astype(jnp.int32), _mirrored(clip_positions)[None])[0]
    u, v, _, number = jnp.moveaxis(raster, -1, 0)
    ids = jax.lax.stop_gradient(number).astype(jnp.int32) - 1
    barycentrics = jnp.stack([u, v, jnp.where(ids < 0, 0, 1 - u - v)])
    depth = depth_at(barycentrics, clip_positions.astype(jnp.float32), triangles, ids)
    return Fragments(ids, jnp.moveaxis(barycentrics, 0, -1), depth)


def interpolate(
    attributes: Float[Array, "n c"], triangles: Int[Array, "f 3"], fragments: Fragments
) -> Float[Array, "h w c"]:
    """`render.interpolate` by nvdiffrast."""
    check_shape("attributes", attributes, "n", "c")
    check_available()
    attributes = attributes.astype(jnp.float32)[None]
    return _interpolate(triangles.astype(jnp.int32), attributes, _raster(fragments)[None])[0]


def antialias(
    image: Float[Array, "h w c"],
    fragments: Fragments,
    clip_positions: Float[Array, "n 4"],
    triangles: Int[Array, "f 3"],
) -> Float[Array, "h w c"]:
    """nvdiffrast's antialias, for comparison: `render.antialias` takes fragments of either rasterizer."""
    check_available()
    raster = jax.lax.stop_gradient(_raster(fragments))
    positions = _mirrored(clip_positions)[None]
    image = image.astype(jnp.float32)[None]
    return _antialias(triangles.astype(jnp.int32), image, raster[None], positions)[0]


def warmup(
    clip_positions: Float[Array, "n 4"], triangles: Int[Array, "f 3"], image_size: tuple[int, int], batch: int
) -> None:
    """Render a batch of one mesh, forward and backward, on every device of this process.

    So nvdiffrast compiles, if need be, and allocates before the first step that has collectives: those wait
    for each other, and should not wait for that.
    """

    def total(clips):
        def image(clip):
            return interpolate(clip, triangles, rasterize(clip, triangles, image_size))

        return jnp.sum(jax.vmap(image)(clips) ** 2)

    for device in jax.local_devices():
        clips = jax.device_put(jnp.tile(clip_positions, (batch, 1, 1)), device)
        jax.block_until_ready(jax.jit(jax.grad(total))(clips))


@functools.cache
def check_available() -> None:
    """Register the operations with XLA. Raises `NvdiffrastMissing` where anything is missing."""
    if PLATFORM == "gpu" and jax.default_backend() != "gpu":
        raise NvdiffrastMissing(
            f"nvdiffrast runs on CUDA GPUs only, and JAX is on {jax.default_backend()} here"
        )
    try:
        jax_tvm_ffi, tvm_ffi, torch = map(importlib.import_module, ("jax_tvm_ffi", "tvm_ffi", "torch"))
        _plugin()
    except ModuleNotFoundError as error:
        missing = f"{error.name} is not installed, which nvdiffrast needs: {INSTALL}"
        raise NvdiffrastMissing(missing) from error
    except Exception as error:  # an extension of another torch, a compilation that failed, no CUDA_HOME, ...
        reason = " ".join(str(error).split())[:300]
        broken = f"nvdiffrast is there but does not load ({reason}); install it again: {INSTALL}"
        raise NvdiffrastMissing(broken) from error
    if PLATFORM == "gpu" and not torch.cuda.is_available():
        raise NvdiffrastMissing(
            f"this torch ({torch.__version__}) has no CUDA, which nvdiffrast needs: {INSTALL}"
        )
    _register(jax_tvm_ffi, tvm_ffi, torch)


@functools.cache
def _register(jax_tvm_ffi, tvm_ffi, torch) -> None:
    for function in _OPERATIONS:
        callback = functools.partial(_on_stream, torch, function)
        jax_tvm_ffi.register_ffi_target(
            _target(function),
            tvm_ffi.convert_func(callback, tensor_cls=torch.Tensor),
            ["ctx.stream", "args", "rets"],
            platform=PLATFORM,
            pass_owned_tensor=True,
        )


@functools.cache
def _plugin():
    """nvdiffrast's module of low-level functions, which knows nothing of autograd."""
    try:
        return importlib.import_module("_nvdiffrast_c")  # 0.4
    except ModuleNotFoundError:
        return importlib.import_module("nvdiffrast.torch").ops._get_plugin()  # 0.3: compiles at first use


@functools.cache
def _state(device_index: int):
    """nvdiffrast's scratch memory for a device; nothing in it outlasts a call."""
    return _plugin().RasterizeCRStateWrapper(device_index)


def _on_stream(torch, function: Callable, stream: int, *tensors) -> None:
    """Call an operation where XLA wants its work: on this CUDA stream of the tensors' device."""
    device = tensors[0].device
    on_stream = contextlib.nullcontext()
    if device.type == "cuda":
        on_stream = torch.cuda.stream(torch.cuda.ExternalStream(stream, device=device))
    try:
        with on_stream:
            function(*tensors)
    except Exception as error:  # XLA passes on nothing but the message
        name = function.__name__.strip("_").replace("_", " ")
        raise RuntimeError(f"nvdiffrast, {name}: {type(error).__name__}: {error}") from error


# ---------------------------------------------------------------- called by XLA, with torch tensors


def _rasterize_forward(triangles, positions, raster) -> None:
    if positions.is_cuda:
        # nvdiffrast waits for its stream with Python's lock held. What else is queued there may wait for
        # another device, whose callback waits for the lock: so that is waited for first, here, without it.
        importlib.import_module("torch").cuda.current_stream().synchronize()
    ranges = triangles.new_empty((0, 2), device="cpu")  # none: each image has all triangles
    state = _state(positions.device.index or 0)
    out, _ = _plugin().rasterize_fwd_cuda(state, positions, triangles, tuple(raster.shape[1:3]), ranges, -1)
    raster.copy_(out)


def _rasterize_backward(triangles, positions, raster, raster_gradient, positions_gradient) -> None:
    positions_gradient.copy_(_plugin().rasterize_grad(positions, triangles, raster, raster_gradient))


def _interpolate_forward(triangles, attributes, raster, image) -> None:
    image.copy_(_plugin().interpolate_fwd(attributes, raster, triangles)[0])


def _interpolate_backward(
    triangles, attributes, raster, image_gradient, attributes_gradient, raster_gradient
) -> None:
    gradients = _plugin().interpolate_grad(attributes, raster, triangles, image_gradient)
    for result, gradient in zip((attributes_gradient, raster_gradient), gradients):
        result.copy_(gradient)


def _antialias_forward(triangles, image, raster, positions, out) -> None:
    topology = _plugin().antialias_construct_topology_hash(triangles)
    out.copy_(_plugin().antialias_fwd(image, raster, positions, triangles, topology)[0])


def _antialias_backward(
    triangles, image, raster, positions, out_gradient, image_gradient, positions_gradient
) -> None:
    topology = _plugin().antialias_construct_topology_hash(triangles)
    _, work = _plugin().antialias_fwd(image, raster, positions, triangles, topology)
    gradients = _plugin().antialias_grad(image, raster, positions, triangles, out_gradient, work)
    for result, gradient in zip((image_gradient, positions_gradient), gradients):
        result.copy_(gradient)


_OPERATIONS = (
    _rasterize_forward,
    _rasterize_backward,
    _interpolate_forward,
    _interpolate_backward,
    _antialias_forward,
    _antialias_backward,
)


def _target(function: Callable) -> str:
    return f"dfmvr_jax.nvdiffrast{function.__name__}"


# ---------------------------------------------------------------- JAX functions of a minibatch


def _call(
    function: Callable, item_shapes: list[tuple[int, ...]], triangles: Array, *arrays: Array
) -> list[Array]:
    """An operation on triangles and minibatches: its results, which have these shapes for each item."""

    @jax.custom_batching.custom_vmap
    def call(triangles, *arrays):
        shapes = [jax.ShapeDtypeStruct((len(arrays[0]), *shape), jnp.float32) for shape in item_shapes]
        return jax.ffi.ffi_call(_target(function), shapes)(triangles, *arrays)

    @call.def_vmap
    def fold(size, in_batched, triangles, *arrays):
        if in_batched[0]:
            raise ValueError(
                "nvdiffrast takes one list of triangles for all meshes of a batch; use render.rasterize"
            )
        arrays = [
            x if moves else jnp.broadcast_to(x, (size, *x.shape)) for moves, x in zip(in_batched[1:], arrays)
        ]
        out = call(triangles, *(x.reshape(-1, *x.shape[2:]) for x in arrays))
        return [x.reshape(size, -1, *x.shape[1:]) for x in out], [True] * len(out)

    return call(triangles, *arrays)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rasterize(image_size, triangles, positions):
    return _call(_rasterize_forward, [(*image_size, 4)], triangles, positions)[0]


def _rasterize_fwd(image_size, triangles, positions):
    raster = _rasterize(image_size, triangles, positions)
    return raster, (triangles, positions, raster)


def _rasterize_bwd(image_size, residuals, raster_gradient):
    _, positions, _ = residuals
    return None, _call(_rasterize_backward, [positions.shape[1:]], *residuals, raster_gradient)[0]


_rasterize.defvjp(_rasterize_fwd, _rasterize_bwd)


@jax.custom_vjp
def _interpolate(triangles, attributes, raster):
    shape = (*raster.shape[1:3], attributes.shape[-1])
    return _call(_interpolate_forward, [shape], triangles, attributes, raster)[0]


def _interpolate_fwd(triangles, attributes, raster):
    return _interpolate(triangles, attributes, raster), (triangles, attributes, raster)


def _interpolate_bwd(residuals, image_gradient):
    _, *arrays = residuals
    return None, *_call(_interpolate_backward, [x.shape[1:] for x in arrays], *residuals, image_gradient)


_interpolate.defvjp(_interpolate_fwd, _interpolate_bwd)


@jax.custom_vjp
def _antialias(triangles, image, raster, positions):
    return _call(_antialias_forward, [image.shape[1:]], triangles, image, raster, positions)[0]


def _antialias_fwd(triangles, image, raster, positions):
    return _antialias(triangles, image, raster, positions), (triangles, image, raster, positions)


def _antialias_bwd(residuals, out_gradient):
    _, image, raster, positions = residuals
    shapes = [image.shape[1:], positions.shape[1:]]
    image_gradient, positions_gradient = _call(_antialias_backward, shapes, *residuals, out_gradient)
    return None, image_gradient, jnp.zeros_like(raster), positions_gradient


_antialias.defvjp(_antialias_fwd, _antialias_bwd)


def _mirrored(clip_positions: Float[Array, "n 4"]) -> Float[Array, "n 4"]:
    return clip_positions.astype(jnp.float32) * jnp.array([1, -1, 1, 1], jnp.float32)


def _raster(fragments: Fragments) -> Float[Array, "h w 4"]:
    """Fragments as nvdiffrast's rasterizer gives them: (u, v, z/w, triangle number from 1)."""
    u, v, _ = jnp.moveaxis(fragments.barycentrics.astype(jnp.float32), -1, 0)
    number = (fragments.triangle_ids + 1).astype(u.dtype)
    return jnp.stack([u, v, fragments.depth.astype(u.dtype), number], axis=-1)
