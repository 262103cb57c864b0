"""Outlines: the blending, against slow references, and its derivative, against the true one."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.geometry import rotation_matrix
from dfmvr_jax.render import (
    antialias,
    clip_positions,
    interpolate,
    mesh_edges,
    rasterize,
    render_mesh,
)
from dfmvr_jax.render.antialias import CHUNK
from dfmvr_jax.render.antialias_by_pixel import antialias_by_pixel
from dfmvr_jax.render.mesh_edges import opposite_vertices
from tests.bumpy_ellipsoid import bumpy_ellipsoid
from tests.naive_antialias import naive_antialias, naive_antialias_by_pixel


def clip_of_pixels(points, image_size):
    """Clip positions [n, 4] of points (x, y) in pixels from the image's corner, depth z/w."""
    height, width = image_size
    x, y, z = jnp.asarray(points, jnp.float32).T
    return jnp.stack([2 * x / width - 1, 1 - 2 * y / height, z, jnp.ones_like(x)], axis=-1)


def smooth_image(clip, triangles, colors, size):
    fragments = rasterize(clip, triangles, size)
    image = interpolate(colors, triangles, fragments)
    return image, fragments, antialias(image, fragments, clip, mesh_edges(triangles)).image


# ---------------------------------------------------------------- edges of a mesh


def test_edges_of_two_triangles_and_one_of_three():
    triangles = jnp.array([[0, 1, 2], [2, 1, 3]])
    edges = mesh_edges(triangles)
    found = {
        tuple(ends): set(opposite) for ends, opposite in zip(edges.ends.tolist(), edges.opposite.tolist())
    }
    assert found == {(0, 1): {2, -1}, (0, 2): {1, -1}, (1, 2): {0, 3}, (1, 3): {2, -1}, (2, 3): {1, -1}}
    np.testing.assert_array_equal(opposite_vertices(triangles), [[3, -1, -1], [-1, -1, 0]])

    fan = mesh_edges(jnp.array([[0, 1, 2], [0, 1, 3], [1, 0, 4]]))
    at_spine = [set(o) for e, o in zip(fan.ends.tolist(), fan.opposite.tolist()) if e == [0, 1]]
    assert len(at_spine) == 2 and set.union(*at_spine) == {2, 3, 4, -1}


def test_triangles_that_come_again_count_once():
    """Whatever the order of their corners; those with a vertex twice are none."""
    triangles = [[0, 1, 2], [2, 1, 3]]
    again = jnp.array([[1, 1, 2], *triangles, [1, 0, 2], [3, 2, 1], [0, 1, 2], [3, 3, 3]])
    for one, other in zip(mesh_edges(jnp.array(triangles)), mesh_edges(again)):
        np.testing.assert_array_equal(one, other)
    nothing, expected = [-1, -1, -1], [[3, -1, -1], [-1, -1, 0]]
    expected = [nothing, *expected, [-1, 3, -1], [0, -1, -1], [3, -1, -1], nothing]
    np.testing.assert_array_equal(opposite_vertices(again), expected)


def test_edges_of_a_closed_mesh_all_have_two_sides():
    cube = np.array(
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
         [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    )  # fmt: skip
    edges = mesh_edges(jnp.asarray(cube))
    assert edges.ends.shape == (18, 2) and (edges.opposite >= 0).all()  # Euler: 8 - 18 + 12 = 2
    assert mesh_edges(jnp.zeros((0, 3), int)).ends.shape == (0, 2)


# ---------------------------------------------------------------- images


def test_an_upright_edge_by_hand():
    """The right border of a white rectangle at x = 2.8: the crossing is 0.3 of the way from pixel 2 to 3."""
    size = (4, 6)
    square = clip_of_pixels([[-1, -1, 0], [2.8, -1, 0], [2.8, 5, 0], [-1, 5, 0]], size)
    triangles = jnp.array([[0, 1, 2], [0, 2, 3]])
    _, _, smooth = smooth_image(square, triangles, jnp.ones((4, 1)), size)
    np.testing.assert_allclose(smooth[..., 0], [[1, 1, 0.8, 0, 0, 0]] * 4, atol=1e-5)

    moved = clip_of_pixels([[-1, -1, 0], [3.3, -1, 0], [3.3, 5, 0], [-1, 5, 0]], size)
    _, _, smooth = smooth_image(moved, triangles, jnp.ones((4, 1)), size)
    np.testing.assert_allclose(smooth[..., 0], [[1, 1, 1, 0.3, 0, 0]] * 4, atol=1e-5)


@pytest.mark.parametrize("slope", [0.0, -0.1])  # of the right border: columns to the right per row down
def test_the_jacobian_of_a_pixel_by_hand(slope):
    """d(pixel) / d(corner): the edge moves at the pixel's height by the corner's share."""
    size = (4, 6)
    points = jnp.array([[-1.0, -1, 0], [2.8, -1, 0], [2.8 + 6 * slope, 5, 0], [-1, 5, 0]])
    triangles = jnp.array([[0, 1, 2], [0, 2, 3]])

    def pixels(points):
        """What is white in each row, of which the right border decides."""
        smooth = smooth_image(clip_of_pixels(points, size), triangles, jnp.ones((4, 1)), size)[2]
        return jnp.sum(smooth[..., 0], axis=1)

    jacobian = jax.jacobian(pixels)(points)
    heights = (jnp.arange(4) + 0.5 + 1) / 6  # share of corner 2, from y = -1 to 5
    np.testing.assert_allclose(jacobian[:, 2, 0], heights, atol=1e-5)
    np.testing.assert_allclose(jacobian[:, 1, 0], 1 - heights, atol=1e-5)
    np.testing.assert_allclose(jacobian[:, [0, 3], 0], 0, atol=1e-5)
    np.testing.assert_allclose(jacobian[..., 1], -slope * jacobian[..., 0], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    xy=arrays(np.int16, (12, 2), elements=st.integers(-40, 340)),
    depth=arrays(np.int8, 12, elements=st.integers(-60, 60), unique=True),
    triangles=arrays(np.int32, (10, 3), elements=st.integers(0, 11)),
)
def test_triangle_soups_equal_the_references(xy, depth, triangles):
    triangles = np.unique(np.sort(triangles[[len(set(t)) == 3 for t in triangles]], axis=1), axis=0)
    counts = {}
    for a, b in [pair for t in triangles for pair in ((t[0], t[1]), (t[0], t[2]), (t[1], t[2]))]:
        counts[a, b] = counts.get((a, b), 0) + 1
    if len(triangles) == 0 or max(counts.values()) > 2:
        return  # the references know no edges of three triangles
    size = (9, 16)
    offsets = np.random.default_rng(0).uniform(-0.02, 0.02, (12, 2))  # no crossing right at a centre
    clip = clip_of_pixels(np.column_stack([xy / 20 + offsets, depth / 64]), size)
    colors = jax.random.uniform(jax.random.key(0), (12, 3))
    image, fragments, smooth = smooth_image(clip, jnp.asarray(triangles), colors, size)
    known = np.asarray(fragments.triangle_ids), np.asarray(fragments.depth), clip, triangles
    np.testing.assert_allclose(smooth, naive_antialias(np.asarray(image), *known), atol=1e-4)
    opposite = opposite_vertices(jnp.asarray(triangles))
    by_pixel = antialias_by_pixel(image, fragments, clip, jnp.asarray(triangles), opposite)
    np.testing.assert_allclose(by_pixel, naive_antialias_by_pixel(np.asarray(image), *known), atol=1e-4)


def test_a_dense_mesh_equals_the_reference():
    vertices, triangles = bumpy_ellipsoid(40)
    clip = clip_positions(face_camera(32), jnp.asarray(vertices) @ turned(0.7).T)
    colors = jnp.asarray(vertices)
    image, fragments, smooth = smooth_image(clip, jnp.asarray(triangles), colors, (32, 32))
    known = np.asarray(fragments.triangle_ids), np.asarray(fragments.depth), clip, triangles
    expected = naive_antialias(np.asarray(image), *known)
    assert np.abs(expected - image).max() > 0.1
    np.testing.assert_allclose(smooth, expected, atol=1e-3)


# ---------------------------------------------------------------- the derivative of an outline's motion


def turned(yaw):
    return rotation_matrix(jnp.array([0.0, yaw, 0.0]))


def regular_polygon(corners):
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    points = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    fan = [[0, 1 + i, 1 + (i + 1) % corners] for i in range(corners)]
    return np.concatenate([np.zeros((1, 3)), points]), np.array(fan)


@pytest.mark.parametrize("corners", [3, 24])
def test_scaling_and_moving_a_polygon(corners):
    """The area is the sum of the pixels. At several places, as each depends a little on the pixels' grid."""
    points, triangles = regular_polygon(corners)
    triangles = jnp.asarray(triangles)
    edges, size = mesh_edges(triangles), (64, 64)

    def area_and_moment(scale, shift, turn):
        spin = jnp.array([[jnp.cos(turn), jnp.sin(turn), 0], [-jnp.sin(turn), jnp.cos(turn), 0], [0, 0, 1]])
        clip = clip_of_pixels(scale * points @ spin + jnp.array([32, 32, 0]) + shift, size)
        fragments = rasterize(clip, triangles, size)
        mask = antialias(fragments.mask[..., None].astype(jnp.float32), fragments, clip, edges).image[..., 0]
        return jnp.array([mask.sum(), (mask * jnp.arange(64.0)).sum()])

    rng = np.random.default_rng(0)
    places = [(20.0, jnp.array([*rng.uniform(0, 1, 2), 0]), rng.uniform(0, 6)) for _ in range(12)]
    derivative = jax.jit(jax.jacrev(area_and_moment, argnums=(0, 1)))
    found = [derivative(*place) for place in places]
    true_area = corners / 2 * np.sin(2 * np.pi / corners) * 20**2
    by_scale = np.array([scale_slopes[0] for scale_slopes, _ in found])
    np.testing.assert_allclose(by_scale.mean(), 2 * true_area / 20, rtol=0.02)
    np.testing.assert_allclose(by_scale, 2 * true_area / 20, rtol=0.04)
    by_shift = np.array([shift_slopes[1, 0] for _, shift_slopes in found])  # the moment grows by the area
    np.testing.assert_allclose(by_shift.mean(), true_area, rtol=0.02)


@pytest.mark.usefixtures("full_optimization")
@pytest.mark.parametrize("yaw", [0.7, pytest.param(0.0, marks=pytest.mark.full)])
def test_scaling_and_moving_a_face_sized_mesh(yaw):
    """70,688 triangles at 224 pixels: within 5 % of the true derivative, and what nvdiffrast's rule gets."""
    vertices, triangles = bumpy_ellipsoid(189)
    vertices, triangles = jnp.asarray(vertices) @ turned(yaw).T, jnp.asarray(triangles)
    edges, opposite = mesh_edges(triangles), opposite_vertices(triangles)

    def areas(scale, shift, size, rule):
        camera = face_camera(size)
        clip = clip_positions(camera, scale * vertices + shift * jnp.array([1.0, 0, 0]))
        fragments = rasterize(clip, triangles, camera.image_size)
        mask = fragments.mask[..., None].astype(jnp.float32)
        if rule == "edge":
            mask, overflow = antialias(mask, fragments, clip, edges)
        elif rule == "pixel":
            mask = antialias_by_pixel(mask, fragments, clip, triangles, opposite)
        column = (jnp.arange(size) + 0.5) / size
        return jnp.stack([jnp.mean(mask), jnp.mean(mask * column[:, None])])  # area, first moment

    fine = jax.jit(lambda scale, shift: areas(scale, shift, 2240, None))
    true = [(fine(1.01, 0.0) - fine(0.99, 0.0))[0] / 0.02, (fine(1.0, 0.01) - fine(1.0, -0.01))[1] / 0.02]
    derivative = jax.jit(jax.jacrev(areas, argnums=(0, 1)), static_argnums=(2, 3))
    by_edge, by_pixel = (derivative(1.0, 0.0, 224, rule) for rule in ("edge", "pixel"))
    np.testing.assert_allclose([by_edge[0][0], by_edge[1][1]], true, rtol=0.05)
    assert by_pixel[0][0] < 0.5 * true[0]


@pytest.mark.usefixtures("full_optimization")
@pytest.mark.parametrize("window", [np.s_[:, :], np.s_[72:136, 100:138]], ids=["all", "nose over cheek"])
def test_turning_a_face_that_hides_its_cheek(window):
    """At 45 degrees, against differences of an image of eight times the size. The nose has its own colour."""
    model = load_face_model("builtin")
    vertices, edges, size, factor = model.mean_shape, mesh_edges(model.triangles), 224, 8
    from_nose = jnp.linalg.norm((vertices - vertices[model.landmarks[29]]) * jnp.array([1, 0.6, 1]), axis=-1)
    colors = jnp.stack([jax.nn.sigmoid(30 * (0.28 - from_nose)), 0.5 + 0.5 * jnp.sin(3 * vertices[:, 1])], -1)
    weights = jax.image.resize(jax.random.normal(jax.random.key(0), (7, 7, 2)), (size, size, 2), "cubic")
    weights = jnp.zeros_like(weights).at[window].set(weights[window])

    def image(yaw, size, edges):
        return render_mesh(face_camera(size), vertices @ turned(yaw).T, colors, model.triangles, edges).image

    def true_total(yaw):
        blocks = image(yaw, factor * size, None).reshape(size, factor, size, factor, 2)
        return jnp.sum(weights * blocks.mean(axis=(1, 3)))

    yaw, step = np.pi / 4, 0.01
    true = (true_total(yaw + step) - true_total(yaw - step)) / (2 * step)
    with_outlines, without = (
        jax.grad(lambda yaw, edges=edges: jnp.sum(weights * image(yaw, size, edges)))(yaw)
        for edges in (edges, None)
    )
    assert float(with_outlines) == pytest.approx(float(true), rel=0.05)
    assert abs(float(without) - float(true)) > 0.2 * abs(float(true))


def test_forward_reverse_and_differences_agree():
    """In float64, on a mesh at an angle, for positions and colours."""
    with jax.enable_x64(True):
        vertices, triangles = bumpy_ellipsoid(15)
        triangles = jnp.asarray(triangles)
        edges, camera = mesh_edges(triangles), face_camera(32)
        weights = jax.random.normal(jax.random.key(0), (32, 32, 3))
        inputs = jnp.asarray(vertices, jnp.float64), jax.random.uniform(jax.random.key(1), vertices.shape)
        direction = [jax.random.normal(jax.random.key(k), vertices.shape) for k in (2, 3)]

        @jax.jit
        def loss(vertices, colors):
            rendered = render_mesh(camera, vertices @ turned(0.6).T, colors, triangles, edges)
            return jnp.sum(weights * rendered.image) + jnp.sum(weights[..., 0] * rendered.coverage)

        gradients = jax.grad(loss, argnums=(0, 1))(*inputs)
        reverse = sum(jnp.vdot(g, d) for g, d in zip(gradients, direction))
        _, forward = jax.jvp(loss, inputs, tuple(direction))
        step = 1e-6
        high, low = (loss(*(x + sign * step * d for x, d in zip(inputs, direction))) for sign in (1, -1))
        np.testing.assert_allclose(reverse, forward, rtol=1e-9)
        np.testing.assert_allclose(reverse, (high - low) / (2 * step), rtol=1e-5)


@pytest.mark.parametrize("repeats", [2, 3])
def test_outlines_of_triangles_that_come_again_move_as_before(repeats):
    """Against finite differences of the area, and the gradient of the mesh without them."""
    vertices, triangles = map(jnp.asarray, bumpy_ellipsoid(25))
    again = jnp.concatenate([triangles[:, [1, 0, 2]] if k % 2 else triangles for k in range(repeats)])
    again = jnp.concatenate([again, again[:, [0, 0, 1]]])
    size = 48

    def area(scale, triangles, edges, size):
        clip = clip_positions(face_camera(size), scale * vertices @ turned(0.5).T)
        fragments = rasterize(clip, triangles, (size, size))
        mask = fragments.mask[..., None].astype(jnp.float32)
        if edges is None:
            return jnp.mean(mask), jnp.array(False)
        smooth, overflow = antialias(mask, fragments, clip, edges)
        return jnp.mean(smooth), overflow

    derivative = jax.value_and_grad(area, has_aux=True)
    (_, overflow), slope = derivative(1.0, again, mesh_edges(again), size)
    _, slope_alone = derivative(1.0, triangles, mesh_edges(triangles), size)
    larger, smaller = (area(scale, triangles, None, 20 * size)[0] for scale in (1.02, 0.98))
    assert not overflow
    assert float(slope) == pytest.approx(float(slope_alone), rel=1e-4)
    assert float(slope) == pytest.approx(float(larger - smaller) / 0.04, rel=0.05)


# ---------------------------------------------------------------- bad meshes, limits, batches


def test_more_crossings_than_the_limit_are_reported():
    vertices, triangles = bumpy_ellipsoid(9)
    clip = clip_positions(face_camera(24), jnp.asarray(vertices))
    fragments = rasterize(clip, jnp.asarray(triangles), (24, 24))
    mask, edges = fragments.mask[..., None].astype(jnp.float32), mesh_edges(jnp.asarray(triangles))
    whole, cut = antialias(mask, fragments, clip, edges), antialias(mask, fragments, clip, edges, 10)
    assert not whole.overflow and cut.overflow
    blended = [int(jnp.sum(result.image != mask)) for result in (whole, cut)]
    assert blended[0] > 30 and 0 < blended[1] <= 10
    with pytest.raises(ValueError, match=r"image has shape \(9, 9, 1\), not \[24, 24, c\]"):
        inspect.unwrap(antialias)(jnp.zeros((9, 9, 1)), fragments, clip, edges)
    with pytest.raises(ValueError, match=r"triangles has shape \(2, 4\), not \[f, 3\]"):
        inspect.unwrap(mesh_edges)(jnp.zeros((2, 4), int))
    with pytest.raises(ValueError, match="outside of jit"):
        jax.jit(inspect.unwrap(mesh_edges))(jnp.asarray(triangles))


def test_a_spot_smaller_than_a_pixel_takes_no_more_than_all_of_it():
    size, (x, y) = (5, 5), (2.5, 2.5)
    corners = [[x - 0.1, y - 0.1, 0], [x + 0.1, y - 0.1, 0], [x + 0.1, y + 0.1, 0], [x - 0.1, y + 0.1, 0]]
    triangles = jnp.array([[0, 1, 2], [0, 2, 3]])
    _, _, smooth = smooth_image(clip_of_pixels(corners, size), triangles, jnp.ones((4, 1)), size)
    assert 0 <= smooth[2, 2, 0] < 0.5 and smooth.min() >= 0
    assert smooth.sum() == smooth[2, 2, 0]


def test_half_precision_images():
    vertices, triangles = map(jnp.asarray, bumpy_ellipsoid(9))
    clip = clip_positions(face_camera(24), vertices)
    fragments = rasterize(clip, triangles, (24, 24))
    mask = fragments.mask[..., None].astype(jnp.bfloat16)
    smooth = antialias(mask, fragments, clip, mesh_edges(triangles)).image
    assert smooth.dtype == jnp.bfloat16 and (smooth != mask).any()


def test_more_crossings_than_one_chunk():
    rng = np.random.default_rng(0)
    size = (128, 128)
    points = np.column_stack([rng.uniform(-20, 148, (600, 2)), rng.uniform(-0.9, 0.9, 600)])
    triangles = np.arange(600).reshape(200, 3)
    clip, colors = clip_of_pixels(points, size), jax.random.uniform(jax.random.key(0), (600, 3))
    lengths = np.abs(np.diff(points[np.column_stack([triangles, triangles[:, 0]]), :2], axis=1)).max(axis=-1)
    assert lengths.sum() > 2 * CHUNK
    image, fragments, smooth = smooth_image(clip, jnp.asarray(triangles), colors, size)
    known = np.asarray(fragments.triangle_ids), np.asarray(fragments.depth), clip, triangles
    expected = naive_antialias(np.asarray(image), *known)
    assert np.mean(np.abs(expected - image).max(axis=-1) > 0.01) > 0.05
    assert np.mean(np.abs(smooth - expected).max(axis=-1) > 0.01) < 1e-3  # rounding decides a few


@pytest.mark.parametrize(
    "corner", [[np.nan, 0, 0, 1], [0, 0, np.nan, 1], [0, 0, 0, np.nan], [np.inf, 0, 0, 1], [0, 0, 0, 0],
               [0, 0, 0, -1], [3e38, 3e38, 0, 1], [1, 1, 0, 1], [-1, -1, 0, 1]]
)  # fmt: skip
def test_a_bad_triangle_harms_no_other(corner):
    size = (8, 8)
    good = clip_of_pixels([[1.2, 1.2, 0], [6.7, 2.1, 0], [2.3, 6.1, 0]], size)
    bad = jnp.array([corner, [-1, -1, 0.5, 1], [0.5, 0.5, 0.5, 1]], jnp.float32)

    def coverage(clip, triangles):
        fragments = rasterize(clip, triangles, size)
        smooth = antialias(
            fragments.mask[..., None].astype(jnp.float32), fragments, clip, mesh_edges(triangles)
        )
        return jnp.sum(smooth.image * jnp.arange(8.0)[:, None]), smooth.image

    gradient, image = jax.grad(coverage, has_aux=True)(
        jnp.concatenate([bad, good]), jnp.array([[0, 1, 2], [3, 4, 5]])
    )
    gradient_alone, alone = jax.grad(coverage, has_aux=True)(good, jnp.array([[0, 1, 2]]))
    np.testing.assert_allclose(gradient[3:], gradient_alone, atol=1e-5)
    np.testing.assert_array_equal(image, alone)
    assert np.isfinite(gradient).all()


def test_nothing_to_blend():
    size, nothing = (4, 4), jnp.zeros((0, 3), int)
    clip = clip_of_pixels([[0, 0, 0], [9, 0, 0], [0, 9, 0]], size)
    for triangles in (nothing, jnp.array([[0, 1, 2]])):
        image = jax.random.uniform(jax.random.key(0), (4, 4, 2))
        fragments = rasterize(clip, triangles, size)
        np.testing.assert_array_equal(antialias(image, fragments, clip, mesh_edges(triangles)).image, image)


def test_batch_equals_loop_under_every_transformation():
    vertices, triangles = bumpy_ellipsoid(9)
    triangles = jnp.asarray(triangles)
    edges, camera = mesh_edges(triangles), face_camera(24)
    shifts = jnp.array([[0, 0, 0], [0.1, -0.2, 0.3], [jnp.nan, 0, 0], [-0.3, 0.1, -0.5]])
    meshes = vertices + shifts[:, None]
    ramp = jnp.arange(24.0)

    def loss(vertices):
        return jnp.sum(render_mesh(camera, vertices, vertices[:, :1], triangles, edges).coverage * ramp)

    one_gradient = jax.jit(jax.grad(loss))
    gradients = jnp.stack([one_gradient(mesh) for mesh in meshes])
    assert np.abs(gradients[0]).max() > 1

    def total(meshes):
        return jnp.sum(jax.vmap(loss)(meshes))

    def scanned_total(meshes):
        return jax.lax.scan(lambda total, mesh: (total + loss(mesh), None), 0.0, meshes)[0]

    batched = {
        "vmap(grad)": jax.jit(jax.vmap(jax.grad(loss)))(meshes),
        "vmap(vmap(grad))": jax.vmap(jax.vmap(jax.grad(loss)))(meshes.reshape(2, 2, -1, 3)).reshape(4, -1, 3),
        "grad(scan)": jax.jit(jax.grad(scanned_total))(meshes),
        "pmap(grad(remat))": jax.pmap(jax.grad(jax.checkpoint(total)))(meshes[None])[0],
    }
    for name, gradient in batched.items():
        np.testing.assert_allclose(gradient, gradients, rtol=1e-3, atol=1e-3, err_msg=name)


def test_all_at_once_equals_one_by_one(monkeypatch):
    """The batching rule of GPUs, tried on the CPU."""
    vertices, triangles = bumpy_ellipsoid(9)
    triangles = jnp.asarray(triangles)
    edges, camera = mesh_edges(triangles), face_camera(24)
    meshes = vertices + jnp.array([[0, 0, 0], [0.1, -0.2, 0.3], [-0.3, 0.1, -0.5]])[:, None]

    def render(vertices):
        return render_mesh(camera, vertices, vertices, triangles, edges)

    one_by_one = jax.vmap(render)(meshes)
    jax.clear_caches()
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *arguments, default, cpu: default(*arguments))
    all_at_once = jax.vmap(render)(meshes)
    jax.clear_caches()
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), all_at_once, one_by_one)
