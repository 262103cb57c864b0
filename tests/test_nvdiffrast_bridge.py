"""From JAX to nvdiffrast and back, on the CPU, with a stand-in for nvdiffrast's low-level functions."""

import inspect
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import train
from benchmarks import gpu_render
from dfmvr_jax.config import changed
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.render import (
    NvdiffrastMissing,
    choose_rasterizer,
    clip_positions,
    interpolate,
    nvdiffrast_bridge,
    rasterize,
    render_mesh,
)
from dfmvr_jax.render.antialias_by_pixel import antialias_by_pixel
from dfmvr_jax.render.mesh_edges import opposite_vertices
from dfmvr_jax.training.state import replicate, shard, unreplicate
from tests.bumpy_ellipsoid import bumpy_ellipsoid
from tests.run_program import run_program
from tests.small_training import CONFIG, small_training

SIZE = (14, 18)


@pytest.fixture(scope="module")
def plugin(torch):
    """Everything on the CPU, and the stand-in in nvdiffrast's place."""
    from tests import torch_plugin

    caches = (nvdiffrast_bridge.check_available, nvdiffrast_bridge._plugin, nvdiffrast_bridge._state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nvdiffrast_bridge, "PLATFORM", "cpu")
        patch.setitem(sys.modules, "_nvdiffrast_c", torch_plugin)
        for cache in caches:
            cache.cache_clear()
        yield torch_plugin
    for cache in caches:
        cache.cache_clear()


@pytest.fixture(scope="module")
def mesh():
    vertices, triangles = bumpy_ellipsoid(7)
    return jnp.asarray(vertices), jnp.asarray(triangles)


def clip_of(vertices):
    camera = face_camera(18)
    return clip_positions(camera, vertices) * jnp.array([1, 1.2, 1, 1])


def test_the_same_image_as_in_plain_jax(plugin, mesh):
    """Rows, ids, barycentrics and depth are ours."""
    clip, triangles = clip_of(mesh[0]), mesh[1]
    ours = rasterize(clip, triangles, SIZE)
    theirs = jax.jit(nvdiffrast_bridge.rasterize, static_argnums=2)(clip, triangles, SIZE)
    assert ours.mask.mean() > 0.3
    np.testing.assert_array_equal(theirs.triangle_ids, ours.triangle_ids)
    np.testing.assert_allclose(theirs.barycentrics, ours.barycentrics, atol=1e-4)
    np.testing.assert_allclose(theirs.depth, ours.depth, atol=1e-5)
    colors = jax.random.uniform(jax.random.key(0), (len(clip), 4))
    image = nvdiffrast_bridge.interpolate(colors, triangles, theirs)
    np.testing.assert_allclose(image, interpolate(colors, triangles, ours), atol=1e-4)


def test_the_same_gradients_as_in_plain_jax(plugin, mesh):
    triangles = mesh[1]
    weights = jax.random.normal(jax.random.key(1), (*SIZE, 3))

    def loss(vertices, colors, rasterize, interpolate):
        image = interpolate(colors, triangles, rasterize(clip_of(vertices), triangles, SIZE))
        return jnp.sum(weights * image)

    colors = jax.random.uniform(jax.random.key(0), mesh[0].shape)
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)), static_argnums=(2, 3))
    ours = gradient(mesh[0], colors, rasterize, interpolate)
    theirs = gradient(mesh[0], colors, nvdiffrast_bridge.rasterize, nvdiffrast_bridge.interpolate)
    for a, b in zip(ours, theirs):
        assert np.abs(a).max() > 0.1
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-3)


def test_antialias_calls_nvdiffrasts_own(plugin, mesh):
    clip, triangles = clip_of(mesh[0]), mesh[1]
    fragments = rasterize(clip, triangles, SIZE)
    image = jax.random.uniform(jax.random.key(0), (*SIZE, 2))
    theirs = nvdiffrast_bridge.antialias(image, fragments, clip, triangles)
    ours = antialias_by_pixel(image, fragments, clip, triangles, opposite_vertices(triangles))
    assert np.abs(ours - image).max() > 0.1
    np.testing.assert_allclose(theirs, ours, atol=1e-3)
    gradients = jax.grad(
        lambda image, clip: jnp.sum(nvdiffrast_bridge.antialias(image, fragments, clip, triangles)), (0, 1)
    )(image, clip)
    np.testing.assert_allclose(gradients[0], 2 * np.ones_like(image))  # of the stand-in
    np.testing.assert_allclose(np.abs(gradients[1]), image.size * np.ones_like(clip), rtol=1e-6)


def test_every_transformation(plugin, mesh):
    vertices, triangles = mesh
    meshes = vertices + jnp.array([[0, 0, 0], [0.1, -0.2, 0.3], [-0.3, 0.1, -0.5], [0.2, 0, 0]])[:, None]
    camera = face_camera(12)

    def loss(vertices, rasterizer="nvdiffrast"):
        return jnp.sum(render_mesh(camera, vertices, vertices, triangles, None, rasterizer).image ** 2)

    def total(meshes):
        return jnp.sum(jax.vmap(loss)(meshes))

    def scanned_total(meshes):
        return jax.lax.scan(lambda total, mesh: (total + loss(mesh), None), 0.0, meshes)[0]

    def branching_loss(mesh):
        return jax.lax.cond(mesh[0, 0] > 100, jnp.sum, loss, mesh)

    expected = jax.vmap(jax.grad(lambda mesh: loss(mesh, "jax")))(meshes)
    found = {
        "vmap(grad)": jax.jit(jax.vmap(jax.grad(loss)))(meshes),
        "grad(vmap)": jax.jit(jax.grad(total))(meshes),
        "vmap(vmap(grad))": jax.vmap(jax.vmap(jax.grad(loss)))(meshes.reshape(2, 2, -1, 3)).reshape(4, -1, 3),
        "grad(scan)": jax.jit(jax.grad(scanned_total))(meshes),
        "grad(cond)": jnp.stack([jax.jit(jax.grad(branching_loss))(mesh) for mesh in meshes]),
        "pmap(grad(remat))": jax.pmap(jax.grad(jax.checkpoint(total)))(meshes[None])[0],
    }
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-3, err_msg=name)


def test_a_batch_is_one_call(plugin, mesh, monkeypatch):
    calls = []
    forward = plugin.rasterize_fwd_cuda
    monkeypatch.setattr(
        plugin, "rasterize_fwd_cuda", lambda state, positions, *rest: calls.append(positions.shape)
        or forward(state, positions, *rest)
    )  # fmt: skip
    meshes = jnp.tile(clip_of(mesh[0]), (2, 3, 1, 1))
    render = jax.vmap(jax.vmap(lambda clip: nvdiffrast_bridge.rasterize(clip, mesh[1], SIZE).triangle_ids))
    assert jax.block_until_ready(jax.jit(render)(meshes)).shape == (2, 3, *SIZE)
    assert calls == [(6, len(mesh[0]), 4)]


def test_two_devices(plugin):
    """pmap with a collective, as in training; in a process of its own, which has two devices."""
    program = """
import sys
import jax, jax.numpy as jnp, numpy as np
from dfmvr_jax.render import nvdiffrast_bridge, render_mesh
from dfmvr_jax.face_camera import face_camera
from tests import torch_plugin
from tests.bumpy_ellipsoid import bumpy_ellipsoid
nvdiffrast_bridge.PLATFORM = "cpu"
sys.modules["_nvdiffrast_c"] = torch_plugin
vertices, triangles = map(jnp.asarray, bumpy_ellipsoid(7))
meshes = vertices + jnp.array([0, 0.1, 0.2, 0.3])[:, None, None]
def step(meshes, rasterizer):
    def loss(mesh):
        return jnp.sum(render_mesh(face_camera(12), mesh, mesh, triangles, None, rasterizer).image ** 2)
    return jax.lax.pmean(jnp.mean(jax.vmap(jax.grad(loss))(meshes), 0), "devices")
found, expected = (
    jax.pmap(step, "devices", static_broadcasted_argnums=1)(meshes.reshape(2, 2, -1, 3), name)
    for name in ("nvdiffrast", "jax")
)
assert jax.local_device_count() == 2
np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
"""
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_an_error_of_nvdiffrast_surfaces(plugin, mesh, monkeypatch):
    def fail(*_):
        raise RuntimeError("subtriangle count overflow")

    monkeypatch.setattr(plugin, "rasterize_fwd_cuda", fail)
    message = "nvdiffrast, rasterize forward: RuntimeError: subtriangle count overflow"
    with pytest.raises(jax.errors.JaxRuntimeError, match=message):
        jax.block_until_ready(nvdiffrast_bridge.rasterize(clip_of(mesh[0]), mesh[1], SIZE))


def test_what_it_cannot_do_is_said(plugin, mesh, monkeypatch):
    with pytest.raises(ValueError, match="one list of triangles for all meshes"):
        jax.vmap(lambda t: nvdiffrast_bridge.rasterize(clip_of(mesh[0]), t, SIZE))(mesh[1][None])
    monkeypatch.setattr(nvdiffrast_bridge, "MAX_TRIANGLES", 5)
    with pytest.raises(ValueError, match="nvdiffrast numbers 5"):
        nvdiffrast_bridge.rasterize(clip_of(mesh[0]), mesh[1], SIZE)


def test_float64(plugin, mesh):
    with jax.enable_x64(True):
        vertices = jnp.asarray(np.asarray(mesh[0]), jnp.float64)
        gradient = jax.grad(
            lambda v: jnp.sum(render_mesh(face_camera(12), v, v, mesh[1], None, "nvdiffrast").image)
        )(vertices)
        fragments = rasterize(clip_of(vertices), mesh[1], SIZE)
        assert nvdiffrast_bridge.interpolate(vertices, mesh[1], fragments).dtype == jnp.float32
    assert gradient.dtype == jnp.float64 and np.isfinite(gradient).all()


def test_warmup_goes_forward_and_backward(plugin, mesh, monkeypatch):
    calls = []
    for name in ("rasterize_fwd_cuda", "rasterize_grad", "interpolate_fwd", "interpolate_grad"):
        original = getattr(plugin, name)
        monkeypatch.setattr(plugin, name, lambda *a, f=original, n=name: calls.append(n) or f(*a))
    nvdiffrast_bridge.warmup(clip_of(mesh[0]), mesh[1], SIZE, 2)
    assert sorted(calls) == ["interpolate_fwd", "interpolate_grad", "rasterize_fwd_cuda", "rasterize_grad"]


def test_the_check_for_gpus_notices_what_is_wrong(plugin, monkeypatch, capsys):
    """Its part without torch's autograd, small."""
    meshes, colors, triangles = gpu_render.bumpy_meshes(9, 2)
    camera = face_camera(20)
    inputs = clip_positions(camera, jnp.asarray(meshes)), colors, triangles, camera.image_size
    same = gpu_render.agreeing_pixels(inputs[0], triangles, camera.image_size)
    assert same.mean() > 0.99
    plain = gpu_render.as_numpy(gpu_render.jax_program(rasterize, interpolate, *inputs, same)())
    bridged = gpu_render.as_numpy(
        gpu_render.jax_program(nvdiffrast_bridge.rasterize, nvdiffrast_bridge.interpolate, *inputs, same)()
    )
    results = {"plain JAX": plain, "nvdiffrast, JAX": bridged, "nvdiffrast, torch": bridged}
    assert not gpu_render.compare(2, results)
    assert gpu_render.compare(2, results | {"nvdiffrast, torch": [x[::-1] for x in bridged]})
    assert "WRONG" in capsys.readouterr().out
    assert gpu_render.antialias_agrees(camera)


@pytest.mark.full
def test_a_training_step(plugin):
    """The pmapped update, with donation and synchronised batch norms."""
    found = {}
    for rasterizer in ("jax", "nvdiffrast"):
        training = small_training(changed(CONFIG, {"rasterizer": rasterizer, "antialias": True}))
        batch = shard(training.batches[0])
        state, metrics = training.update(replicate(training.state), replicate(training.frozen), batch)
        found[rasterizer] = unreplicate(metrics)
        assert int(unreplicate(state).step) == 1
    for name, value in found["jax"].items():
        np.testing.assert_allclose(found["nvdiffrast"][name], value, rtol=1e-2, err_msg=name)


def test_what_is_missing_is_said_with_the_remedy(monkeypatch, capsys, tmp_path):
    for cache in (nvdiffrast_bridge.check_available, nvdiffrast_bridge._plugin):
        cache.cache_clear()
    monkeypatch.setitem(sys.modules, "_nvdiffrast_c", None)
    monkeypatch.setattr(nvdiffrast_bridge, "PLATFORM", "gpu")
    with pytest.raises(NvdiffrastMissing, match="runs on CUDA GPUs only, and JAX is on cpu here"):
        choose_rasterizer("nvdiffrast")
    assert choose_rasterizer("auto") == "jax"
    assert choose_rasterizer("jax") == "jax"
    monkeypatch.setattr(nvdiffrast_bridge, "PLATFORM", "cpu")
    for module in ("jax_tvm_ffi", "nvdiffrast.torch"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(
                NvdiffrastMissing, match="not installed, .*pip install jax-tvm-ffi.*nvdiffrast"
            ):
                choose_rasterizer("nvdiffrast")
    for error, message in (
        (ImportError("_nvdiffrast_c.so: undefined symbol: _ZN3c10"), "undefined symbol"),
        (OSError("CUDA_HOME environment variable is not set"), "CUDA_HOME"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(nvdiffrast_bridge, "_plugin", lambda error=error: (_ for _ in ()).throw(error))
            with pytest.raises(NvdiffrastMissing, match=f"does not load .*{message}"):
                choose_rasterizer("nvdiffrast")
            assert choose_rasterizer("auto") == "jax"
    with pytest.raises(ValueError, match="no rasterizer 'nvdifrast'; choose from jax, nvdiffrast, auto"):
        inspect.unwrap(choose_rasterizer)("nvdifrast")
    code, _, err = run_program(
        monkeypatch, capsys, train.main, "--workdir", tmp_path / "run", "--rasterizer", "nvdiffrast"
    )
    assert code == 2 and err.startswith("error: --rasterizer nvdiffrast: ") and err.count("\n") == 1
    assert not (tmp_path / "run").exists()
