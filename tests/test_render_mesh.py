"""All of `render` together: golden pictures, derivatives by everything, many images, the guide's example."""

import inspect
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.render import (
    antialias,
    map_images,
    mesh_edges,
    perspective_camera,
    project,
    rasterize,
    render_mesh,
    shade,
)
from tests.bumpy_ellipsoid import bumpy_ellipsoid

GOLDEN = Path(__file__).with_name("golden_render.png")


def shaded(camera, vertices, albedo, normals, light, triangles, edges=None):
    return render_mesh(camera, vertices, shade(albedo, normals, light, 0.8), triangles, edges)


def test_golden_pictures():
    """An ellipsoid, jagged and smooth, drawn once and looked at; ids and depth below."""
    vertices, triangles = bumpy_ellipsoid(30)
    turn = np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]], np.float32)
    vertices, triangles = jnp.asarray(vertices @ turn.T), jnp.asarray(triangles)
    light = jnp.zeros((3, 9)).at[:, 2].set(0.1)
    albedo = 0.5 + 0.4 * jnp.sin(jnp.array([7, 5, 3]) * vertices)
    arguments = face_camera(48), vertices, albedo, vertices, light, triangles
    jagged, smooth = shaded(*arguments), shaded(*arguments, mesh_edges(triangles))
    ids, _, depth = jagged.fragments
    mask = jagged.fragments.mask
    grey = [(ids % 251) / 250 * mask, (depth.min() - depth) / (depth[mask].max() - depth.min()) + mask]
    pictures = [
        jagged.image,
        smooth.image,
        *(jnp.repeat(x[..., None], 3, -1) for x in (*grey, smooth.coverage)),
    ]
    found = np.round(255 * np.clip(np.concatenate(pictures, axis=1), 0, 1)).astype(np.uint8)
    if not GOLDEN.exists():  # to draw it anew, remove it
        Image.fromarray(found).save(GOLDEN)
        pytest.fail(f"{GOLDEN} was missing and has been drawn: look at it")
    difference = np.abs(found.astype(int) - np.asarray(Image.open(GOLDEN)))
    assert np.mean(difference.max(axis=-1) > 2) < 1e-3  # rounding decides a few ids


@pytest.mark.parametrize("smooth", [False, True])
def test_forward_reverse_and_differences_agree(smooth):
    """Vertices, albedo, normals, light and camera, in float64; directions at random."""
    with jax.enable_x64(True):
        vertices, triangles = bumpy_ellipsoid(9)
        triangles = jnp.asarray(triangles)
        edges = mesh_edges(triangles) if smooth else None
        keys = jax.random.split(jax.random.key(0), 3)
        inputs = {
            "vertices": jnp.asarray(vertices, jnp.float64),
            "albedo": jax.random.uniform(keys[0], vertices.shape),
            "normals": jnp.asarray(vertices, jnp.float64),
            "light": 0.3 * jax.random.normal(keys[1], (3, 9)),
            "camera": jax.tree.map(jnp.float64, face_camera(24)),
        }
        target = jax.random.uniform(keys[2], (24, 24, 3))

        @jax.jit
        def loss(inputs):
            rendered = shaded(**inputs, triangles=triangles, edges=edges)
            return jnp.sum((rendered.image - target) ** 2), rendered.fragments.triangle_ids

        (_, ids), gradients = jax.value_and_grad(loss, has_aux=True)(inputs)
        assert np.mean(ids >= 0) > 0.3
        step, rng = 1e-6, np.random.default_rng(0)
        for name, value in inputs.items():
            direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), value)
            reverse = sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradients[name], direction)))
            no_change = jax.tree.map(jnp.zeros_like, inputs)
            _, forward = jax.jvp(lambda x: loss(x)[0], (inputs,), (no_change | {name: direction},))
            moved = [
                loss(inputs | {name: jax.tree.map(lambda x, d, s=s: x + s * step * d, value, direction)})
                for s in (1, -1)
            ]
            for _, ids_there in moved:
                np.testing.assert_array_equal(ids_there, ids)
            np.testing.assert_allclose(forward, reverse, rtol=1e-8, err_msg=name)
            np.testing.assert_allclose(
                reverse, (moved[0][0] - moved[1][0]) / (2 * step), rtol=1e-5, err_msg=name
            )


@settings(max_examples=60, deadline=None)
@given(
    points=arrays(
        np.float32,
        (12, 3),
        elements=st.floats(width=32) | st.floats(-2, 2, width=32) | st.floats(-1e-30, 1e-30),
    ),
    triangles=arrays(np.int32, (8, 3), elements=st.integers(0, 11)),
)
def test_no_mesh_however_odd_gives_numbers_that_are_not_finite(points, triangles):
    """Huge, tiny, degenerate, infinite and NaN vertices, in front of the camera and behind it."""
    camera, triangles = face_camera(8), jnp.asarray(triangles)
    edges = mesh_edges(triangles)
    colors = jnp.tile(jnp.array([[0.5]]), (12, 1))

    def total(vertices, colors):
        rendered = render_mesh(camera, vertices, colors, triangles, edges)
        return jnp.sum(rendered.image) + jnp.sum(rendered.coverage), rendered

    (_, rendered), gradients = jax.value_and_grad(total, (0, 1), has_aux=True)(jnp.asarray(points), colors)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((rendered, gradients[1])))
    assert (rendered.coverage >= -1e-5).all() and (rendered.coverage <= 1 + 1e-5).all()
    finite = np.isfinite(points).all(axis=1) & (np.abs(points) < 1e6).all(axis=1)
    assert np.isfinite(gradients[0][finite]).all()


def test_map_images_is_vmap_in_less_memory():
    vertices, triangles = bumpy_ellipsoid(60)
    triangles, camera = jnp.asarray(triangles), face_camera(64)
    edges = mesh_edges(triangles)
    meshes = vertices + 0.05 * jax.random.normal(jax.random.key(0), (48, 1, 3))
    colors = jax.random.uniform(jax.random.key(1), meshes.shape)

    def gradients_of(many):
        def total(meshes, colors):
            images = many(lambda v, c: render_mesh(camera, v, c, triangles, edges).image)(meshes, colors)
            return jnp.sum(images**2), images

        return jax.jit(jax.grad(total, (0, 1), has_aux=True)).lower(meshes, colors).compile()

    by_map, by_vmap = gradients_of(map_images), gradients_of(jax.vmap)
    for a, b in zip(*(jax.tree.leaves(program(meshes, colors)) for program in (by_map, by_vmap))):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
    memory = [program.memory_analysis().temp_size_in_bytes for program in (by_map, by_vmap)]
    assert memory[0] < 0.25 * memory[1]
    assert memory[0] < 30e6


def test_map_images_elsewhere_is_vmap(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    np.testing.assert_array_equal(
        map_images(lambda x, y: x + y[0])(jnp.arange(3), jnp.ones((3, 2))), [1, 2, 3]
    )


def test_shapes_that_do_not_fit_are_named():
    vertices, triangles = map(jnp.asarray, bumpy_ellipsoid(4))
    draw = inspect.unwrap(render_mesh)
    with pytest.raises(ValueError, match=r"attributes has shape \(3, 3\), not \[16, c\]"):
        draw(face_camera(8), vertices, vertices[:3], triangles)
    with pytest.raises(ValueError, match=r"vertices has shape \(1, 16, 3\), not \[n, 3\]; for a batch use"):
        draw(face_camera(8), vertices[None], vertices[None], triangles)
    with pytest.raises(ValueError, match=r"attributes has shape \(16,\), not \[16, c\]$"):
        draw(face_camera(8), vertices, vertices[:, 0], triangles)
    with pytest.raises(ValueError, match="vertices is a list, not an array"):
        draw(face_camera(8), vertices.tolist(), vertices, triangles)
    with pytest.raises(ValueError, match="triangles has the type float32; expected integers"):
        inspect.unwrap(rasterize)(vertices[:, [0, 1, 2, 2]], triangles.astype(jnp.float32), (8, 8))
    with pytest.raises(ValueError, match="18 triangles, but no vertices"):
        draw(face_camera(8), vertices[:0], vertices[:0], triangles)
    with pytest.raises(TypeError, match="expected a Camera"):
        draw(vertices, vertices, triangles, mesh_edges(triangles))
    drawn = render_mesh(face_camera(8), vertices, vertices, triangles)
    with pytest.raises(TypeError, match="edges is a .*; expected what mesh_edges"):
        inspect.unwrap(antialias)(drawn.image, drawn.fragments, vertices[:, [0, 1, 2, 2]], triangles)
    with pytest.raises(ValueError, match=r"image_size is 8; expected \(height, width\)"):
        inspect.unwrap(perspective_camera)(8, 30.0, 4.0)
    with pytest.raises(ValueError, match=r"points has shape \(16, 2\)"):
        inspect.unwrap(project)(face_camera(8), vertices[:, :2])
    with pytest.raises(ValueError, match=r"light has shape \(9,\), not \[3, 9\]"):
        inspect.unwrap(shade)(vertices, vertices, jnp.zeros(9))


def test_what_is_too_much_to_draw_is_seen_in_any_loss():
    """More candidate pixels than are tried: 300 triangles over all of the image."""
    corners = jnp.tile(jnp.array([[-9.0, -9, 0], [9, -9, 0], [0, 18, 0]]), (300, 1))
    triangles = jnp.arange(900).reshape(300, 3)
    camera = perspective_camera((1024, 1024), 30.0, 10.0)
    drawn = render_mesh(camera, corners, corners, triangles, mesh_edges(triangles))
    assert jnp.isnan(drawn.coverage).all() and jnp.isnan(drawn.image).all()


def test_the_camera_by_its_field_of_view():
    camera = perspective_camera((100, 160), field_of_view=60.0, distance=4.0)
    edge = 4 * np.tan(np.radians(30))  # of what is seen at the origin, above and below
    pixels = project(camera, jnp.array([[0, edge, 0], [0, -edge, 0], [1.6 * edge, 0, 0]]))
    np.testing.assert_allclose(pixels, [[80, 0], [80, 100], [160, 50]], atol=1e-3)
    like_face = perspective_camera((224, 224), 12.59363, 10.0)
    np.testing.assert_allclose(like_face.focal, face_camera(224).focal, rtol=1e-5)

    def x_of_a_point(field_of_view):
        return project(
            perspective_camera((100, 160), field_of_view, 4.0, (10.0, 20.0)), jnp.array([1.0, 0, 0])
        )

    np.testing.assert_allclose(x_of_a_point(60.0), [10 + 80 * edge**-1 * 50 / 80, 20], rtol=1e-5)
    slope = (x_of_a_point(60.1) - x_of_a_point(59.9)) / 0.2
    np.testing.assert_allclose(jax.jacobian(x_of_a_point)(60.0), slope, rtol=1e-3)


def test_the_examples_of_the_guide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    guide = Path(__file__).parents[1] / "docs" / "rendering.md"
    first_steps, fit, many = re.findall(r"```python\n(.*?)```", guide.read_text(), re.S)

    names = {}
    exec(first_steps, names)
    picture = np.asarray(Image.open("octahedron.png"))
    assert (picture[112, 112] < 255).any() and (picture[5, 5] == 255).all()
    exec(many, names)
    assert names["images"].shape == (2, 224, 224, 3)

    names = {}
    exec(fit, names)
    assert names["value"] < 0.05 * names["loss"](jnp.zeros(6))
    np.testing.assert_allclose(names["pose"], names["true_pose"], atol=0.06)
