import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from dfmvr_jax.render import shade, spherical_harmonics


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
