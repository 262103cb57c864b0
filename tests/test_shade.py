import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from dfmvr_jax.render import Shine, highlight, shade, spherical_harmonics
from dfmvr_jax.render.shade import main_light


def unit(key, n):
    normals = jax.random.normal(jax.random.key(key), (n, 3))
    return normals / jnp.linalg.norm(normals, axis=-1, keepdims=True)


def test_golden_bands_towards_the_camera():
    # normal (0, 0, 1): only the bands 0, 2 and 6 are not zero
    expected = np.zeros(9)
    expected[[0, 2, 6]] = np.sqrt(np.pi) / 2, np.sqrt(np.pi), np.sqrt(5 * np.pi / 8)
    np.testing.assert_allclose(spherical_harmonics(jnp.array([0.0, 0, 1])), expected, atol=1e-6)


def test_bands_are_orthogonal_with_the_power_of_the_literature():
    # over the sphere the mean of the products is diag((a_l)^2 / 4 pi), a_l = the attenuation of order l
    z, weights = np.polynomial.legendre.leggauss(8)
    angle = np.arange(16) * (2 * np.pi / 16)
    z, angle = np.meshgrid(z, angle, indexing="ij")
    normals = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], -1)
    bands = np.asarray(spherical_harmonics(jnp.asarray(normals, jnp.float32)))
    gram = np.einsum("zai,zaj,z->ij", bands, bands, weights) / (2 * 16)
    a = np.array([np.pi] + 3 * [2 * np.pi / np.sqrt(3)] + 5 * [2 * np.pi / np.sqrt(8)])
    np.testing.assert_allclose(gram, np.diag(a**2 / (4 * np.pi)), atol=1e-5)


def test_no_light_is_even_white_light():
    albedo = jax.random.uniform(jax.random.key(0), (20, 3))
    colors = shade(albedo, unit(1, 20), jnp.zeros((3, 9)), ambient=0.8)
    np.testing.assert_allclose(colors, 0.4 * np.sqrt(np.pi) * albedo, rtol=1e-6)


def test_light_of_one_channel_and_band():
    normals = unit(2, 10)
    light = jnp.zeros((3, 9)).at[1, 3].set(0.5)  # green light from -x
    colors = shade(jnp.ones((10, 3)), normals, light, ambient=0.0)
    np.testing.assert_allclose(colors[:, [0, 2]], 0)
    np.testing.assert_allclose(colors[:, 1], -0.5 * np.sqrt(np.pi) * normals[:, 0], rtol=1e-5, atol=1e-6)


def test_image_shapes_and_gradients():
    with jax.enable_x64(True):
        key = jax.random.split(jax.random.key(3), 3)
        arguments = tuple(jax.random.normal(k, s) for k, s in zip(key, [(2, 4, 3), (2, 4, 3), (3, 9)]))
        check_grads(jax.jit(shade), arguments, order=1, rtol=1e-5)


def test_the_main_light_of_a_far_light_is_that_light():
    from dfmvr_jax.lights import directional_light, even_light

    direction = np.array([0.6, 0.48, 0.64])
    brightness = np.array([0.9, 0.6, 0.3])
    light = np.outer(brightness, directional_light(direction)) + even_light()
    found_direction, found_brightness = main_light(jnp.asarray(light))
    np.testing.assert_allclose(found_direction, direction, atol=1e-6)
    np.testing.assert_allclose(found_brightness, brightness, atol=1e-6)
    for found in main_light(jnp.asarray(np.outer(brightness, even_light()))):
        assert (found == 0).all()


def test_a_highlight_against_blinn_written_out():
    from dfmvr_jax.lights import directional_light

    direction, normals = np.array([0.6, 0.0, 0.8]), np.asarray(unit(5, 50))
    brightness = np.array([0.9, 0.6, 0.3])
    light = jnp.asarray(np.outer(brightness, directional_light(direction)))
    found = highlight(jnp.asarray(normals), light, Shine(strength=0.2, exponent=10.0))
    halfway = (direction + [0, 0, 1]) / np.linalg.norm(direction + [0, 0, 1])
    for normal, colour in zip(normals, found):
        lobe = max(0.0, normal @ halfway) ** 10 * max(0.0, normal @ direction)
        np.testing.assert_allclose(colour, 0.2 * brightness * lobe, atol=1e-6)


def test_highlights_have_finite_gradients_and_even_light_has_none():
    normals = unit(6, 8)
    from_behind = jnp.zeros((3, 9)).at[:, 2].set(-1.0)
    for light in (jnp.zeros((3, 9)), from_behind):
        gradients = jax.grad(lambda light: highlight(normals, light, Shine()).sum())(light)
        assert np.isfinite(gradients).all()
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(7))
        normals, light = jax.random.normal(keys[0], (8, 3)), jax.random.normal(keys[1], (3, 9))
        lit = jax.jit(lambda *a: highlight(*a[:2], Shine(*a[2:])))
        check_grads(lit, (normals, light, 0.3, 8.0), order=1, rtol=1e-4)
