"""Textured, shaded pictures: the texture looked up by hand, pixels shaded by hand, points hidden by hand."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfmvr_jax.render import (
    interpolate,
    mesh_edges,
    perspective_camera,
    rasterize,
    render_mesh,
    sample_texture,
    shade,
    visible,
)
from dfmvr_jax.render.camera import clip_positions
from tests.bumpy_ellipsoid import bumpy_ellipsoid

CAMERA = perspective_camera((20, 24), field_of_view=14.0, distance=10.0)


def unit(vectors):
    return vectors / jnp.linalg.norm(vectors, axis=-1, keepdims=True)


def naive_sample(texture, u, v):
    """Mix the four texels around a point, one after the other."""
    rows, columns, channels = texture.shape
    row, column = (1 - v) * rows - 0.5, u * columns - 0.5
    mixed = np.zeros(channels)
    for i in (int(np.floor(row)), int(np.floor(row)) + 1):
        for j in (int(np.floor(column)), int(np.floor(column)) + 1):
            weight = (1 - abs(row - i)) * (1 - abs(column - j))
            mixed += weight * texture[min(max(i, 0), rows - 1), min(max(j, 0), columns - 1)]
    return mixed


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_texture_is_looked_up_as_by_hand(seed):
    rng = np.random.default_rng(seed)
    texture, uv = rng.random((5, 7, 2)), rng.uniform(-0.2, 1.2, (3, 4, 2))
    expected = [[naive_sample(texture, *point) for point in row] for row in uv]
    found = sample_texture(jnp.asarray(texture, jnp.float32), jnp.asarray(uv, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_corners_of_a_texture_lie_as_documented():
    texture = jnp.arange(12.0).reshape(3, 4, 1)  # rows from the top
    corners = jnp.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    assert sample_texture(texture, corners)[:, 0].tolist() == [8, 11, 0, 3]
    centre = jnp.array([(2 + 0.5) / 4, 1 - (1 + 0.5) / 3])  # of row 1, column 2
    np.testing.assert_allclose(sample_texture(texture, centre), [6], atol=1e-5)
    unchecked = inspect.unwrap(sample_texture)  # without the shape checks that only tests have
    with pytest.raises(ValueError, match="uv has shape"):
        unchecked(texture, jnp.zeros((5, 3)))
    with pytest.raises(ValueError, match="texture has shape"):
        unchecked(texture[0], corners)


@pytest.fixture(scope="module")
def ball():
    """Vertices, albedo, normals and triangles of an ellipsoid with bumps, and a texture around it."""
    vertices, triangles = bumpy_ellipsoid(12)
    vertices, triangles = jnp.asarray(vertices), jnp.asarray(triangles)
    uv = 0.5 + 0.3 * vertices[:, :2]
    texture = jnp.asarray(np.random.default_rng(0).random((6, 6, 3)), jnp.float32)
    return vertices, 0.5 + 0.3 * jnp.sin(5 * vertices), unit(vertices), triangles, uv, texture


def lit(light):
    """A shader of six attributes: albedo and normals."""
    return lambda pixels, fragments: shade(pixels[..., :3], unit(pixels[..., 3:]), light, 0.8)


def test_each_pixel_is_shaded_with_its_own_normal(ball):
    vertices, albedo, normals, triangles, _, _ = ball
    light = jnp.zeros((3, 9)).at[:, 2].set(0.3).at[0, 5].set(0.2)
    attributes = jnp.concatenate([albedo, normals], axis=1)
    rendered = render_mesh(CAMERA, vertices, attributes, triangles, shader=lit(light))
    ids, barycentrics, _ = map(np.asarray, rendered.fragments)
    assert 50 < (ids >= 0).sum() < ids.size
    expected = np.zeros((*CAMERA.image_size, 3), np.float32)
    seen = ids >= 0
    corners = np.asarray(attributes)[np.asarray(triangles)[ids[seen]]]
    here = jnp.asarray(np.einsum("pk,pkc->pc", barycentrics[seen], corners))
    expected[seen] = shade(here[:, :3], unit(here[:, 3:]), light, 0.8)
    np.testing.assert_allclose(rendered.image, expected, atol=1e-5)
    by_vertex = render_mesh(CAMERA, vertices, shade(albedo, normals, light, 0.8), triangles).image
    assert 1e-3 < np.abs(by_vertex - rendered.image).max() < 0.1


def test_a_shader_that_returns_the_attributes_is_as_none(ball):
    vertices, albedo, _, triangles, _, _ = ball
    edges = mesh_edges(triangles)
    for outlines in (None, edges):
        plain = render_mesh(CAMERA, vertices, albedo, triangles, outlines)
        shaded = render_mesh(CAMERA, vertices, albedo, triangles, outlines, shader=lambda pixels, _: pixels)
        jax.tree.map(np.testing.assert_array_equal, shaded, plain)


def test_texture_with_triangles_of_its_own(ball):
    """At a seam a vertex has several places in the texture: they have triangles of their own."""
    vertices, _, _, triangles, uv, texture = ball
    corners = uv[triangles].reshape(-1, 2)  # every triangle's corners by themselves
    uv_triangles = jnp.arange(3 * len(triangles)).reshape(-1, 3)

    def textured(pixels, fragments):
        return sample_texture(texture, interpolate(corners, uv_triangles, fragments))

    by_corner = render_mesh(CAMERA, vertices, uv, triangles, shader=textured)
    by_vertex = render_mesh(CAMERA, vertices, uv, triangles, shader=lambda at, _: sample_texture(texture, at))
    np.testing.assert_allclose(by_corner.image, by_vertex.image, atol=1e-6)
    assert by_corner.image.shape == (20, 24, 3) and (by_corner.image[0, 0] == 0).all()


def test_derivatives_of_shaded_and_textured_pictures(ball):
    """By light, texture, its coordinates and normals against finite differences; by vertices it is finite."""
    vertices, albedo, normals, triangles, uv, texture = ball
    light = jnp.full((3, 9), 0.05)

    @jax.jit
    def picture(changes):
        moved = vertices + changes["vertices"]

        def shader(pixels, fragments):
            there = pixels[..., 6:] + changes["uv"]
            colors = sample_texture(texture + changes["texture"], there)
            return lit(light + changes["light"])(pixels[..., :6], fragments) * colors

        attributes = jnp.concatenate([albedo, normals + changes["normals"], uv], axis=1)
        image = render_mesh(CAMERA, moved, attributes, triangles, shader=shader).image
        return jnp.sum(image * jnp.cos(jnp.arange(image.size).reshape(image.shape)))

    shapes = {"vertices": (), "uv": (2,), "texture": texture.shape, "light": (3, 9), "normals": normals.shape}
    nothing = {name: jnp.zeros(shape) for name, shape in shapes.items()}
    gradient = jax.grad(picture)(nothing)
    rng = np.random.default_rng(0)
    for name in ("uv", "texture", "light", "normals"):  # no pixel changes its triangle
        direction = jnp.asarray(rng.normal(size=shapes[name]), jnp.float32)
        steps = [picture(nothing | {name: sign * 1e-3 * direction}) for sign in (1, -1)]
        expected = float(steps[0] - steps[1]) / 2e-3
        size = float(jnp.linalg.norm(gradient[name]) * jnp.linalg.norm(direction))
        assert float(jnp.vdot(gradient[name], direction)) == pytest.approx(
            expected, rel=0.02, abs=1e-3 * size
        ), name
    assert np.isfinite(gradient["vertices"])


def hidden(origin, point, corners, tolerance):
    """Whether any of the triangles lies on the way to a point, by more than the tolerance before it."""
    direction = (point - origin) / (origin - point)[2]  # one unit of depth
    a, b, c = np.moveaxis(corners, 1, 0)
    columns = np.stack([b - a, c - a, np.broadcast_to(-direction, a.shape)], axis=-1)
    u, v, depth = np.linalg.solve(columns, (origin - a)[..., None])[..., 0].T
    return np.any(
        (u >= 0) & (v >= 0) & (u + v <= 1) & (depth > 0) & (depth < (origin - point)[2] - tolerance)
    )


def test_visible_points_are_those_with_nothing_before_them(ball):
    vertices, _, _, triangles, _, _ = ball
    camera = perspective_camera((200, 240), field_of_view=14.0, distance=10.0)
    fragments = rasterize(clip_positions(camera, vertices), triangles, camera.image_size)
    rng = np.random.default_rng(0)
    points = jnp.concatenate([vertices, jnp.asarray(rng.uniform(-1, 1, (200, 3)), jnp.float32)])
    found = np.asarray(visible(camera, points, fragments, 0.05))
    origin, corners = np.array([0, 0, 10.0]), np.asarray(vertices)[np.asarray(triangles)].astype(np.float64)
    expected = np.array([not hidden(origin, p, corners, 0.05) for p in np.asarray(points, np.float64)])
    assert 0.25 < expected.mean() < 0.75
    assert (found == expected).mean() > 0.97  # the others lie within a pixel of an outline
    outside = jnp.array([[0, 0, 11.0], [9, 0, 0], [0, -9, 0], [0, 0, 9.995], [0, 0, 9.9]])
    assert visible(camera, outside, fragments, 0.05).tolist() == [False, False, False, False, True]
