"""The released model's camera, pose and light, by hand (preset `released`)."""

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.conventions import AMBIENT
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.geometry import move
from dfmvr_jax.networks.from_config import make_networks
from dfmvr_jax.presets import load_preset
from dfmvr_jax.render import project, shade

CONFIG = load_preset("released")
CAMERA = face_camera(CONFIG.image_size, CONFIG.camera_distance)


def test_rotation_about_x_first_then_translation_then_the_camera_at_distance_one():
    """(0, 1, 0) turns about x by 90 degrees to (0, 0, 1), which a turn about z leaves.

    Moved to (0.1, 0.2, -8), it is 9 units in front of the camera at (0, 0, 1): 1015 px * 0.1 / 9 right of the
    principal point (112, 112) and 1015 px * 0.2 / 9 above it.
    """
    posed = move(jnp.array([[0.0, 1, 0]]), jnp.array([np.pi / 2, 0, np.pi / 2]), jnp.array([0.1, 0.2, -9.0]))
    np.testing.assert_allclose(posed, [[0.1, 0.2, -8]], atol=1e-6)
    np.testing.assert_allclose(project(CAMERA, posed), [[123.27778, 89.44444]], atol=1e-4)


def test_a_positive_turn_about_y_brings_the_nose_to_the_right():
    """(0, 0, 1) turns about y by 30 degrees to (1/2, 0, sqrt(3)/2)."""
    posed = move(jnp.array([[0.0, 0, 1]]), jnp.array([0, np.pi / 6, 0]), jnp.array([0.0, 0, -9.0]))
    np.testing.assert_allclose(posed, [[0.5, 0, -9 + 3**0.5 / 2]], atol=1e-6)
    expected = [[112 + 1015 * 0.5 / (10 - 3**0.5 / 2), 112]]
    np.testing.assert_allclose(project(CAMERA, posed), expected, atol=1e-4)


def test_light_on_a_surface_that_faces_the_camera():
    """At the normal (0, 0, 1) bands 0, 2 and 6 are not 0, and band 0 has 0.8 added.

    pi / sqrt(4 pi) = 0.886227, 2 pi / sqrt(4 pi) = 1.772454,
    (2 pi / sqrt(8)) (3 sqrt(5) / sqrt(12 pi)) (2 / (2 sqrt(3))) = 1.401249.
    """
    light = jnp.zeros((3, 9)).at[0, 0].set(0.1).at[1, 2].set(0.1).at[2, 6].set(0.1)
    color = shade(jnp.ones((1, 3)), jnp.array([[0.0, 0, 1]]), light, AMBIENT)
    ambient = 0.8 * 0.886227
    expected = [[0.9 * 0.886227, ambient + 0.1772454, ambient + 0.1401249]]
    np.testing.assert_allclose(color, expected, atol=1e-5)


def test_training_starts_with_the_face_where_the_camera_at_ten_sees_it():
    network, _ = make_networks(CONFIG, (80, 64, 80))
    assert network.initial_depth == -9
    origin = jnp.array([[0.0, 0.1, network.initial_depth]])
    np.testing.assert_allclose(project(CAMERA, origin), project(face_camera(), jnp.array([[0.0, 0.1, 0]])))
