import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.render import clip_positions, interpolate, project, rasterize, render_mesh
from tests.bumpy_ellipsoid import bumpy_ellipsoid
from tests.naive_zbuffer import naive_rasterize


def test_equals_the_naive_reference():
    vertices, triangles = bumpy_ellipsoid(17)
    colors = jax.random.uniform(jax.random.key(0), (len(vertices), 3))
    camera = face_camera(40)
    rendered = render_mesh(camera, jnp.asarray(vertices), colors, jnp.asarray(triangles))
    ids, barycentrics, _ = naive_rasterize(clip_positions(camera, jnp.asarray(vertices)), triangles, (40, 40))
    expected = np.sum(np.asarray(colors)[triangles[ids]] * barycentrics[..., None], axis=-2)
    np.testing.assert_allclose(rendered.image, expected, atol=1e-4)
    np.testing.assert_array_equal(rendered.image[~rendered.fragments.mask], 0)
    np.testing.assert_array_equal(rendered.coverage, ids >= 0)


def test_positions_as_attributes_lie_on_the_pixel_ray():
    # perspective: what a pixel shows projects to the pixel's own centre
    vertices = jnp.array([[-4.0, -3, 4], [4, -3, -6], [0, 6, -1]])
    camera = face_camera(9)
    positions, coverage, *_ = render_mesh(camera, vertices, vertices, jnp.array([[0, 1, 2]]))
    assert coverage.all()
    row, column = np.mgrid[:9, :9]
    np.testing.assert_allclose(project(camera, positions), np.stack([column, row], -1) + 0.5, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_attributes_that_are_not_seen_do_no_harm(bad):
    clip = jnp.array([[9.0, 9, 0, 1], [-1, 1, 0, 1], [0, 1, 0, 1], [-1, 0, 0, 1]])
    triangles = jnp.array([[0, 0, 1], [1, 2, 3]])
    attributes = jnp.full((4, 2), 3.0).at[0].set(bad)

    def image(clip, attributes):
        return interpolate(attributes, triangles, rasterize(clip, triangles, (4, 4)))

    np.testing.assert_allclose(
        image(clip, attributes)[..., 0], 3.0 * np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4])
    )
    gradients = jax.jit(jax.grad(lambda *inputs: jnp.sum(image(*inputs)), argnums=(0, 1)))(clip, attributes)
    np.testing.assert_allclose(gradients[1], [[0, 0], [0.5, 0.5], [1.25, 1.25], [1.25, 1.25]], rtol=1e-6)
    assert np.isfinite(gradients[0]).all()


def test_views_and_channels_by_vmap():
    vertices, triangles = bumpy_ellipsoid(9)
    triangles = jnp.asarray(triangles)
    views = vertices + jnp.array([[-0.2, 0, 0], [0, 0, 0], [0.2, 0, 0]])[:, None]
    colors = jax.random.uniform(jax.random.key(0), (len(vertices), 5))
    render_views = jax.jit(jax.vmap(render_mesh, in_axes=(None, 0, None, None)))
    images, coverage, *_ = render_views(face_camera(16), views, colors, triangles)
    assert images.shape == (3, 16, 16, 5) and coverage.shape == (3, 16, 16)
    for view, image in zip(views, images):
        one = render_mesh(face_camera(16), view, colors, triangles)
        np.testing.assert_allclose(image, one.image, atol=1e-5)
