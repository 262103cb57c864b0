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
from dfmvr_jax.render import clip_positions, rasterize
from tests.bumpy_ellipsoid import bumpy_ellipsoid
from tests.naive_zbuffer import naive_rasterize

ONE = jnp.array([[0, 1, 2]])


def clip_of_pixels(x, y, image_size, depth=0.0, w=1.0):
    """Clip positions [n, 4] of pixel positions."""
    height, width = image_size
    position = [2 * np.asarray(x) / width - 1, 1 - 2 * np.asarray(y) / height, depth, 1]
    return jnp.asarray(np.stack(np.broadcast_arrays(*position), -1) * np.reshape(w, (-1, 1)), jnp.float32)


@pytest.mark.parametrize("corners", [[0, 1, 2], [0, 2, 1]])
def test_golden_triangle(corners):
    # the example in docs/conventions.md; the winding does not matter
    clip = jnp.array([[-1.0, 1, -0.5, 1], [0, 1, 0, 1], [-1, 0, 0.5, 1]])
    fragments = rasterize(clip, jnp.array([corners]), (4, 4))
    ids = -np.ones((4, 4), int)
    ids[0, 0] = ids[0, 1] = ids[1, 0] = 0
    np.testing.assert_array_equal(fragments.triangle_ids, ids)
    np.testing.assert_array_equal(fragments.mask, ids == 0)
    expected = np.zeros((4, 4, 3))
    expected[0, 0], expected[0, 1], expected[1, 0] = [0.5, 0.25, 0.25], [0, 0.75, 0.25], [0, 0.25, 0.75]
    np.testing.assert_allclose(fragments.barycentrics, expected[..., corners], atol=1e-6)
    depth = np.ones((4, 4))
    depth[0, 0], depth[0, 1], depth[1, 0] = -0.125, 0.125, 0.375
    np.testing.assert_allclose(fragments.depth, depth, atol=1e-6)


def test_perspective_and_nearest():
    # one pixel in the middle of a triangle whose third corner is four times as far away
    clip = clip_of_pixels([-1, 2, 1.5], [0, 0, 1.5], (1, 1), depth=[0, 0, 0.5], w=[1, 1, 4])
    behind = clip_of_pixels([-9, 9, 0], [-9, -9, 9], (1, 1), depth=0.75)
    mesh = jnp.concatenate([behind, clip]), jnp.array([[0, 1, 2], [3, 4, 5]])
    fragments = rasterize(*mesh, (1, 1))
    assert fragments.triangle_ids.item() == 1
    screen = np.linalg.solve([[-1, 2, 1.5], [0, 0, 1.5], [1, 1, 1]], [0.5, 0.5, 1])
    weights = screen / [1, 1, 4]
    np.testing.assert_allclose(fragments.barycentrics[0, 0], weights / weights.sum(), rtol=1e-6)
    np.testing.assert_allclose(fragments.depth[0, 0], screen @ [0, 0, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("side", "size"), [(60, 72), pytest.param(189, 224, marks=pytest.mark.full)], ids=["small", "face-sized"]
)
def test_a_dense_mesh_is_exact(side, size):
    vertices, triangles = bumpy_ellipsoid(side)
    clip = clip_positions(face_camera(size), jnp.asarray(vertices))
    fragments = rasterize(clip, jnp.asarray(triangles), (size, size))
    ids, barycentrics, depth = naive_rasterize(clip, triangles, (size, size))
    np.testing.assert_array_equal(fragments.mask, ids >= 0)
    same = ids == np.asarray(fragments.triangle_ids)
    assert np.sum(~same) <= 5
    np.testing.assert_allclose(fragments.barycentrics[same], barycentrics[same], atol=1e-3)
    np.testing.assert_allclose(fragments.depth[same], depth[same], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    xy=arrays(np.int8, (12, 2), elements=st.integers(-20, 84)),
    depth=arrays(np.int8, 12, elements=st.integers(-60, 60)),
    w=arrays(np.int8, 12, elements=st.integers(-1, 3)),
    triangles=arrays(np.int32, (16, 3), elements=st.integers(0, 11)),
)
def test_triangle_soups_on_a_quarter_pixel_grid(xy, depth, w, triangles):
    # All float32 steps up to coverage are exact on this grid, so coverage must be equal even where pixel
    # centres lie on edges and corners; at equal depth either triangle may win.
    size = (8, 16)
    w = np.where(w < 0, -1.0, 2.0**w)
    clip = clip_of_pixels(xy[:, 0] / 4, xy[:, 1] / 4, size, depth / 64, w)
    fragments = rasterize(clip, jnp.asarray(triangles), size)
    ids, barycentrics, naive_depth = naive_rasterize(clip, triangles, size)
    np.testing.assert_array_equal(fragments.mask, ids >= 0)
    np.testing.assert_allclose(fragments.depth, naive_depth, atol=1e-5)
    same = ids == np.asarray(fragments.triangle_ids)
    np.testing.assert_allclose(fragments.barycentrics[same], barycentrics[same], atol=1e-4)


def test_more_candidates_than_one_chunk():
    rng = np.random.default_rng(0)
    clip = clip_of_pixels(*rng.uniform(-20, 84, (2, 300)), (64, 64), rng.uniform(-1.5, 1.5, 300))
    triangles = np.arange(300).reshape(100, 3)
    big = np.tile(triangles, (8, 1))  # copies: the lowest index must win, also in a later chunk
    fragments = rasterize(clip, jnp.asarray(big), (64, 64))
    ids, _, depth = naive_rasterize(clip, triangles, (64, 64))
    assert np.sum(ids != np.asarray(fragments.triangle_ids)) <= 2
    np.testing.assert_allclose(np.median(abs(fragments.depth - depth)), 0, atol=1e-6)


def test_gradient_against_finite_differences():
    with jax.enable_x64(True):
        vertices, triangles = bumpy_ellipsoid(9)
        clip = clip_positions(face_camera(32), jnp.asarray(vertices, jnp.float64))
        triangles = jnp.asarray(triangles)
        weights = jax.random.normal(jax.random.key(0), (32, 32, 4))
        direction = jax.random.normal(jax.random.key(1), clip.shape)

        @jax.jit
        @functools.partial(jax.value_and_grad, has_aux=True)
        def scalar(clip):
            fragments = rasterize(clip, triangles, (32, 32))
            values = jnp.concatenate([fragments.barycentrics, fragments.depth[..., None]], -1)
            return jnp.sum(weights * values), fragments.triangle_ids

        step = 1e-6
        (_, ids), gradient = scalar(clip)
        (high, ids_high), _ = scalar(clip + step * direction)
        (low, ids_low), _ = scalar(clip - step * direction)
        np.testing.assert_array_equal(ids_high, ids_low)
        assert np.mean(ids >= 0) > 0.3
        np.testing.assert_allclose(jnp.vdot(gradient, direction), (high - low) / (2 * step), rtol=1e-5)


@functools.partial(jax.jit, static_argnames="size")
@functools.partial(jax.grad, has_aux=True)
def gradient_and_fragments(clip, triangles, size):
    fragments = rasterize(clip, triangles, size)
    return jnp.sum(fragments.barycentrics * jnp.arange(3.0)) + jnp.sum(fragments.depth**2), fragments


def finite_fragments_and_gradient(clip, triangles=ONE, size=(6, 6)):
    gradient, fragments = gradient_and_fragments(clip, triangles, size)
    assert np.isfinite(gradient).all()
    assert np.isfinite(fragments.barycentrics).all() and np.isfinite(fragments.depth).all()
    return fragments, gradient


@pytest.mark.parametrize(
    "corner",
    [
        [np.nan, 0, 0, 1],
        [0, 0, np.nan, 1],
        [0, 0, 0, np.nan],
        [np.inf, 0, 0, 1],
        [0, 0, 0, np.inf],
        [0, 0, 0, 0],
        [0, 0, 0, -1],
        [3e38, 3e38, 0, 1],
        [1, 1, 0, 1],  # on the line through the others: seen edge-on
        [-1, -1, 0, 1],  # equal to the first corner
    ],
)
def test_a_bad_triangle_is_culled_and_harms_no_other(corner):
    good = clip_of_pixels([0, 6, 0], [0, 0, 6], (6, 6))
    bad = jnp.array([[-1, -1, -0.5, 1], [0.5, 0.5, -0.5, 1], corner], jnp.float32)
    clip = jnp.concatenate([good, bad])
    triangles = jnp.array([[3, 4, 5], [0, 1, 2]])
    fragments, gradient = finite_fragments_and_gradient(clip, triangles)
    alone, gradient_alone = finite_fragments_and_gradient(good)
    np.testing.assert_array_equal(fragments.triangle_ids, jnp.where(alone.mask, 1, -1))
    np.testing.assert_allclose(fragments.barycentrics, alone.barycentrics)
    np.testing.assert_allclose(gradient[:3], gradient_alone)
    np.testing.assert_array_equal(gradient[3:], 0)


def test_nothing_in_view():
    behind = jnp.array([[-1.0, -1, 0, -1], [1, -1, 0, -1], [0, 1, 0, -1]])
    beside = clip_of_pixels([10, 20, 10], [0, 0, 6], (6, 6))
    between_centres = clip_of_pixels([0.6, 1.4, 1], [0.6, 0.6, 1.4], (6, 6))
    beyond_far = clip_of_pixels([0, 6, 0], [0, 0, 6], (6, 6), depth=1.5)
    for clip in (behind, beside, between_centres, beyond_far):
        fragments, gradient = finite_fragments_and_gradient(clip)
        assert not fragments.mask.any() and not gradient.any() and not fragments.barycentrics.any()
        np.testing.assert_array_equal(fragments.depth, 1)
    fragments, gradient = finite_fragments_and_gradient(behind, jnp.zeros((0, 3), int))
    assert not fragments.mask.any() and not gradient.any() and (fragments.depth == 1).all()


def test_gradient_stays_finite_while_a_square_turns_edge_on():
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    angles = np.pi / 2 + np.concatenate([[0], np.logspace(-8, -1, 40)])
    camera = face_camera(15)  # the middle column of pixel centres lies on the plane x = 0
    turned = [
        np.stack([square[:, 0] * np.cos(a), square[:, 1], square[:, 0] * np.sin(a)], -1) for a in angles
    ]
    for points in jnp.asarray(np.stack(turned), jnp.float32):
        finite_fragments_and_gradient(
            clip_positions(camera, points), jnp.array([[0, 1, 2], [0, 2, 3]]), camera.image_size
        )


@pytest.mark.parametrize("size", [8, 37, 64, 224])
@pytest.mark.parametrize("side", [2, 3, 20, 57])
def test_no_gap_opens_between_triangles(size, side):
    """A flat grid whose diagonals, and at times its other edges, run through the centres of pixels."""
    for extent in (0.75, 0.83, 0.9, 0.97):
        x, y = np.meshgrid(*[np.linspace(-extent, extent, side, dtype=np.float32)] * 2)
        clip = np.stack([x, y, 0 * x, 0 * x + 1], axis=-1).reshape(-1, 4)
        _, triangles = bumpy_ellipsoid(side)
        mask = rasterize(jnp.asarray(clip), jnp.asarray(triangles), (size, size)).mask
        inside = np.abs(2 * np.arange(size) + 1 - size) < (extent - 1e-5) * size
        np.testing.assert_array_equal(mask, inside[:, None] & inside)


def test_many_full_screen_triangles():
    size = (100, 100)
    depths = np.linspace(0.9, -0.9, 300)
    clip = clip_of_pixels([-100, 300, -100], [-100, -100, 300], size)
    clip = (clip[None] + jnp.asarray(depths)[:, None, None] * jnp.array([0, 0, 1, 0])).reshape(-1, 4)
    fragments = rasterize(clip, jnp.arange(900).reshape(300, 3), size)
    np.testing.assert_array_equal(fragments.triangle_ids, 299)


def test_an_exploded_mesh_is_nan():
    size = (224, 224)
    clip = clip_of_pixels([-1e6, 1e6, 0], [-1e6, -1e6, 1e6], size)
    fragments = rasterize(clip, jnp.tile(ONE, (60_000, 1)), size)  # 3e9 candidates, beyond int32
    assert jnp.isnan(fragments.barycentrics).all() and jnp.isnan(fragments.depth).all()
    assert fragments.mask.all()


def test_batch_equals_loop_under_every_transformation():
    vertices, triangles = bumpy_ellipsoid(9)
    triangles = jnp.asarray(triangles)
    shifts = jnp.array([[0, 0, 0], [0.1, -0.2, 0.3], [jnp.nan, 0, 0], [-0.3, 0.1, -0.5]])
    clips = clip_positions(face_camera(24), vertices + shifts[:, None])
    image = functools.partial(rasterize, triangles=triangles, image_size=(24, 20))

    def loss(clip):
        fragments = image(clip)
        return jnp.sum(fragments.barycentrics * jnp.arange(3.0)) + jnp.sum(fragments.depth)

    def total(clips):
        return jnp.sum(jax.vmap(loss)(clips))

    def scanned_total(clips):
        return jax.lax.scan(lambda total, clip: (total + loss(clip), None), 0.0, clips)[0]

    images = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[image(clip) for clip in clips])
    one_gradient = jax.jit(jax.grad(loss))
    gradients = jnp.stack([one_gradient(clip) for clip in clips])
    pairs = clips.reshape(2, 2, *clips.shape[1:])

    batched = {
        "vmap over meshes": jax.vmap(lambda clip, triangles: rasterize(clip, triangles, (24, 20)))(
            clips, jnp.tile(triangles, (4, 1, 1))
        ),
        "vmap(vmap)": jax.tree.map(
            lambda leaf: leaf.reshape(4, *leaf.shape[2:]), jax.vmap(jax.vmap(image))(pairs)
        ),
    }
    for name, fragments in batched.items():
        np.testing.assert_array_equal(fragments.triangle_ids, images.triangle_ids, err_msg=name)
        np.testing.assert_allclose(fragments.barycentrics, images.barycentrics, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(fragments.depth, images.depth, atol=1e-6, err_msg=name)

    batched_gradients = {
        "vmap(grad)": jax.jit(jax.vmap(jax.grad(loss)))(clips),
        "grad(vmap)": jax.jit(jax.grad(total))(clips),
        "grad(scan)": jax.jit(jax.grad(scanned_total))(clips),
        "pmap(grad(remat))": jax.pmap(jax.grad(jax.checkpoint(total)))(clips[None])[0],
    }
    for name, gradient in batched_gradients.items():
        np.testing.assert_allclose(gradient, gradients, rtol=1e-3, atol=1e-4, err_msg=name)


def test_wrong_shapes_are_reported():
    unchecked = inspect.unwrap(rasterize)  # without the shape checks that only tests have
    with pytest.raises(ValueError, match=r"clip_positions has shape \(2, 5, 4\).*jax.vmap"):
        unchecked(jnp.zeros((2, 5, 4)), ONE, (4, 4))
