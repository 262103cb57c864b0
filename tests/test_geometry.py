import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dfmvr_jax.geometry import align_similarity, nearest_rotation, rotation_matrix
from tests.finite_differences import directional_derivatives


def test_rotation_is_rz_ry_rx():
    euler = np.array([0.3, -0.7, 1.1])
    expected = Rotation.from_euler("ZYX", euler[::-1]).as_matrix()
    np.testing.assert_allclose(rotation_matrix(jnp.asarray(euler)), expected, atol=1e-6)


def test_positive_yaw_turns_the_nose_to_image_right():
    nose = jnp.array([[0.0, 0.0, 1.0]])
    turned = nose @ rotation_matrix(jnp.array([0.0, 0.5, 0.0])).T
    assert turned[0, 0] > 0


@pytest.mark.parametrize("seed", range(3))
def test_alignment_recovers_a_similarity(seed):
    rng = np.random.default_rng(seed)
    source = jnp.asarray(rng.normal(size=(7, 3)), jnp.float32)
    rotation = jnp.asarray(Rotation.random(random_state=seed).as_matrix(), jnp.float32)
    target = 2.5 * source @ rotation.T + jnp.array([1.0, -2.0, 3.0])
    found = align_similarity(source, target)
    np.testing.assert_allclose(found.scale, 2.5, rtol=1e-5)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-5)
    np.testing.assert_allclose(found(source), target, atol=1e-4)


def test_alignment_is_the_least_squares_optimum():
    rng = np.random.default_rng(0)
    source, target = jnp.asarray(rng.normal(size=(2, 7, 3)), jnp.float32)
    found = align_similarity(source, target)

    def error(similarity):
        return float(jnp.sum((similarity(source) - target) ** 2))

    for _ in range(50):
        nudge = rotation_matrix(jnp.asarray(rng.normal(size=3) * 0.05, jnp.float32))
        other = found._replace(scale=found.scale * rng.uniform(0.95, 1.05), rotation=nudge @ found.rotation)
        assert error(other) >= error(found) - 1e-4


def test_alignment_never_reflects():
    rng = np.random.default_rng(1)
    source = jnp.asarray(rng.normal(size=(7, 3)), jnp.float32)
    mirrored = source * jnp.array([-1.0, 1.0, 1.0])
    found = align_similarity(source, mirrored)
    np.testing.assert_allclose(jnp.linalg.det(found.rotation), 1.0, atol=1e-5)
    assert float(jnp.abs(found(source) - mirrored).max()) > 0.1


def test_alignment_gradient_equals_finite_differences():
    rng = np.random.default_rng(2)
    with jax.enable_x64(True):
        weights = jnp.asarray(rng.normal(size=(7, 3)))

        def function(points):
            source, target = points
            return jnp.sum(weights * align_similarity(source, target)(source) ** 2)

        for slow, fast in directional_derivatives(function, jnp.asarray(rng.normal(size=(2, 7, 3)))):
            assert fast == pytest.approx(slow, rel=1e-6)


@pytest.mark.parametrize(
    "matrix",
    [np.eye(3), np.diag([1.0, 1.0, -1.0]), np.diag([1.0, 0, 0]), np.zeros((3, 3))],
    ids=["equal singular values", "reflection", "collinear points", "coincident points"],
)
def test_nearest_rotation_has_finite_gradient_at_degenerate_points(matrix):
    jacobian = jax.jacobian(nearest_rotation)(jnp.asarray(matrix, jnp.float32))
    assert np.isfinite(jacobian).all()


def test_nearest_rotation_jacobian_at_the_identity():
    """There dR is the skew part of dM, where autodiff of an SVD gives NaN."""
    change = np.random.default_rng(3).normal(size=(3, 3)).astype(np.float32)
    _, moved = jax.jvp(nearest_rotation, (jnp.eye(3),), (jnp.asarray(change),))
    np.testing.assert_allclose(moved, (change - change.T) / 2, atol=1e-6)


def test_coincident_points_align_with_finite_gradient():
    points = jnp.ones((7, 3))
    gradient = jax.grad(lambda p: jnp.sum(align_similarity(p, 2 * points)(p)))(points)
    assert np.isfinite(gradient).all()
