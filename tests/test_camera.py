import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.render import clip_positions, project


def test_golden_pixels():
    camera = face_camera(224)
    points = jnp.array([[0.0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0.1, 0, 5]])
    expected = [[112, 112], [122.15, 112], [112, 101.85], [132.3, 112]]
    np.testing.assert_allclose(project(camera, points), expected, atol=1e-4)


def test_clip_positions_agree_with_project():
    camera = face_camera(200, distance=7.0)
    camera = jax.tree.map(lambda leaf: leaf + 3.0, camera)  # off-centre too
    points = jax.random.normal(jax.random.key(0), (50, 3))
    clip = clip_positions(camera, points)
    height, width = camera.image_size
    x, y = (clip[:, 0] / clip[:, 3] + 1) * width / 2, (1 - clip[:, 1] / clip[:, 3]) * height / 2
    np.testing.assert_allclose(jnp.stack([x, y], -1), project(camera, points), rtol=1e-4)


def test_depth_of_near_and_far_plane():
    camera = face_camera()
    z = camera.distance - jnp.array([camera.near, camera.far])
    clip = clip_positions(camera, jnp.stack([z * 0, z * 0, z], -1))
    np.testing.assert_allclose(clip[:, 3], [camera.near, camera.far], rtol=1e-4)
    np.testing.assert_allclose(clip[:, 2] / clip[:, 3], [-1, 1], atol=1e-3)


def test_camera_is_a_pytree_with_gradients():
    gradient = jax.grad(lambda camera: project(camera, jnp.array([0.1, 0.0, 0.0]))[0])(face_camera())
    np.testing.assert_allclose(gradient.focal, 0.01, rtol=1e-6)
    np.testing.assert_allclose(gradient.distance, -1.015, rtol=1e-6)
    np.testing.assert_allclose(gradient.principal_point, [1, 0])


def test_one_camera_for_a_batch_and_a_batch_of_cameras():
    points = jax.random.normal(jax.random.key(0), (2, 5, 3))
    shared = jax.vmap(project, in_axes=(None, 0))(face_camera(), points)
    cameras = jax.tree.map(lambda *leaves: jnp.stack(leaves), face_camera(), face_camera())
    np.testing.assert_allclose(jax.jit(jax.vmap(project))(cameras, points), shared, rtol=1e-6)
