import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import grey_dilation

from dfmvr_jax import losses
from dfmvr_jax.config import LossConfig
from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_rendering import landmark_pixels, light_face, place_face, render_coefficients, render_face
from dfmvr_jax.geometry import align_similarity, rotation_matrix
from dfmvr_jax.landmarks import REGISTRATION
from dfmvr_jax.objective import objective
from dfmvr_jax.render import mesh_edges
from tests.finite_differences import directional_derivatives
from tests.toy_face import random_coefficients

CAMERAS = face_cameras(3, 32)


class SmallParser(nn.Module):
    """Stands for the frozen parse net: batch norm and a smooth answer to colour and place."""

    @nn.compact
    def __call__(self, images, train: bool):
        x = nn.Conv(8, (5, 5))(images)
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Conv(10, (3, 3))(jnp.tanh(x))


@pytest.fixture(scope="module")
def parser():
    net = SmallParser()
    return net, net.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), False)


@pytest.fixture(scope="module")
def target(toy_model):
    coefficients = random_coefficients(toy_model, seed=1)
    face, rendering = jax.jit(render_coefficients)(toy_model, CAMERAS, coefficients)
    return losses.Observation(
        landmarks=landmark_pixels(toy_model, CAMERAS, face.posed),
        landmark_weights=jnp.tile(losses.landmark_weights("paper"), (3, 1)),
        landmarks_3d=1.1 * face.vertices[toy_model.landmarks_3d] + 0.2,
        photos=rendering.images,
        labels=jnp.asarray(np.random.default_rng(0).integers(0, 10, (3, 32, 32)), jnp.int32),
    )


def all_terms(model, parser, target, coefficients):
    net, variables = parser

    def parse(images):
        return net.apply(variables, images, False)

    return objective(LossConfig(), model, CAMERAS, coefficients, target, parse)[1]


SHAPE, POSE = {"identity", "expression"}, {"rotation", "translation"}
REACHES = {  # loss term: the coefficients it moves
    "photo": SHAPE | POSE | {"albedo", "light"},
    "mask": SHAPE | POSE | {"albedo", "light"},
    "landmarks_2d": SHAPE | POSE,
    "landmarks_3d": SHAPE,
    "identity_prior": {"identity"},
    "expression_prior": {"expression"},
    "albedo_prior": {"albedo"},
    "white_light": {"light"},
    "flat_albedo": {"albedo"},
}


def test_every_term_reaches_its_coefficients_and_no_others(toy_model, parser, target):
    point = random_coefficients(toy_model, seed=2)
    jacobian = jax.jit(jax.jacobian(lambda c: all_terms(toy_model, parser, target, c)))(point)
    assert jacobian.keys() == REACHES.keys()
    for term, gradients in jacobian.items():
        for name, gradient in gradients._asdict().items():
            assert np.isfinite(gradient).all(), (term, name)
            moved = bool(np.abs(gradient).max() > 1e-9)
            assert moved == (name in REACHES[term]), (term, name)


def test_mask_loss_moves_every_view(toy_model, parser, target):
    point = random_coefficients(toy_model, seed=2)
    gradient = jax.jit(jax.grad(lambda c: all_terms(toy_model, parser, target, c)["mask"]))(point)
    assert (np.abs(gradient.rotation).max(axis=1) > 1e-9).all()


def test_terms_vanish_on_the_truth(toy_model, parser, target):
    terms = all_terms(toy_model, parser, target, random_coefficients(toy_model, seed=1))
    for name in ("photo", "landmarks_2d", "landmarks_3d"):
        assert float(terms[name]) == pytest.approx(0, abs=1e-5), name


def test_gradients_are_finite_on_the_truth(toy_model, parser, target):
    """Every distance is exactly zero there, where a careless norm has gradient NaN."""
    truth = random_coefficients(toy_model, seed=1)
    gradient = jax.jit(jax.grad(lambda c: sum(all_terms(toy_model, parser, target, c).values())))(truth)
    assert all(np.isfinite(leaf).all() for leaf in gradient)


def test_photo_loss_against_the_sum_over_pixels():
    rng = np.random.default_rng(0)
    images, photos = rng.random((2, 3, 4, 5, 3)).astype(np.float32)
    masks, weights = rng.random((3, 4, 5)) > 0.5, rng.random((3, 4, 5)).astype(np.float32)
    masks[2] = False  # a view without face counts as 0
    expected = 0
    for view in range(2):
        pixels = np.argwhere(masks[view])
        distance = [
            weights[view, i, j] * np.linalg.norm(images[view, i, j] - photos[view, i, j]) for i, j in pixels
        ]
        expected += sum(distance) / sum(weights[view, i, j] for i, j in pixels) / 3
    coverage = masks.astype(np.float32)
    images *= coverage[..., None]
    found = losses.photo_loss(*map(jnp.asarray, (images, photos, coverage, weights)))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_the_photo_loss_knows_that_the_outline_moves(toy_model):
    """Against differences of the loss of a large image, while the face moves to the right.

    Mean over shifts within a pixel, as on the pixels' grid the derivative goes up and down.
    """
    coefficients = random_coefficients(toy_model, seed=1)
    base = jax.random.uniform(jax.random.key(0), (3, 4, 4, 3))

    def loss(shift, size, edges):
        moved = coefficients._replace(translation=coefficients.translation.at[:, 0].add(shift))
        face = place_face(toy_model, moved)
        colors = light_face(toy_model, face, moved)
        rendering = render_face(toy_model, face_cameras(3, size), face, colors, edges)
        photos = jax.image.resize(base, (3, size, size, 3), "cubic")
        return losses.photo_loss(rendering.images, photos, rendering.coverage, jnp.ones((3, size, size)))

    fine = jax.jit(lambda shift: loss(shift, 1024, None))
    true = float(fine(0.02) - fine(-0.02)) / 0.04
    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    smooth, jagged = (
        np.mean([gradient(shift, 128, edges) for shift in np.linspace(-0.02, 0.02, 5)])
        for edges in (mesh_edges(toy_model.triangles), None)
    )
    assert smooth == pytest.approx(true, rel=0.1)
    assert abs(jagged - true) > 0.5 * abs(true)


def test_where_the_model_has_no_photo_weight_photos_do_not_count(toy_model, parser, target):
    coefficients = random_coefficients(toy_model, seed=0)
    below = toy_model.mean_shape[:, 1] < -0.2
    model = dataclasses.replace(toy_model, photo_weight=jnp.where(below, 0.0, 1.0))
    rows = jnp.arange(32)[None, :, None, None]
    changed = target._replace(photos=jnp.where(rows > 24, 1.0, target.photos))
    losses_of = [
        [float(all_terms(each, parser, observed, coefficients)["photo"]) for observed in (target, changed)]
        for each in (toy_model, model)
    ]
    assert losses_of[0][0] != losses_of[0][1] and losses_of[1][0] == losses_of[1][1]


def test_a_model_without_albedo_modes_has_its_mean_albedo(toy_model, parser, target):
    coefficients = random_coefficients(toy_model, seed=0)
    model = dataclasses.replace(toy_model, albedo_basis=toy_model.albedo_basis[..., :0])

    def total(coefficients):
        terms = all_terms(model, parser, target, coefficients)
        return terms["photo"] + terms["albedo_prior"] + terms["flat_albedo"], terms["albedo_prior"]

    without = coefficients._replace(albedo=coefficients.albedo[:0])
    (loss, prior), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(without)
    assert prior == 0 and gradient.albedo.shape == (0,)
    assert jnp.isfinite(loss) and all(jnp.isfinite(leaf).all() for leaf in gradient)


def test_weight_map_dilates_and_has_three_levels_in_every_view():
    labels = np.zeros((3, 40, 40), np.int32)
    labels[:, 10:30, 10:30] = 1
    labels[:, 18:22, 15:18] = 4
    found = np.asarray(losses.weight_map(jnp.asarray(labels), (254.0, 128.0, 32.0), 6))
    level = np.choose(np.minimum(labels, 2), [32.0, 128.0, 254.0])
    expected = np.stack([grey_dilation(view, size=(7, 7)) for view in level])
    np.testing.assert_array_equal(found, expected)
    assert all(set(np.unique(view)) == {32.0, 128.0, 254.0} for view in found)


def test_landmark_loss_by_hand():
    weights = losses.landmark_weights("paper")
    assert sorted(np.flatnonzero(weights == 20)) == [*range(27, 36), *range(60, 68)]
    released = losses.landmark_weights("released")
    assert sorted(np.flatnonzero(released == 20)) == [28, 29, 30, *range(36, 48), *range(60, 68)]
    target = jnp.zeros((3, 68, 2))
    off_by_5 = target.at[:, 30].set(jnp.array([3.0, 4.0]))
    assert float(losses.landmark_loss(off_by_5, target, jnp.tile(weights, (3, 1)))) == pytest.approx(
        20 * 5 / 68
    )


def test_2d_landmarks_count_in_pixels_of_224(toy_model, parser, target):
    """The same relative error weighs the same at every image size."""
    point = random_coefficients(toy_model, seed=2)

    def term(size):
        cameras = face_cameras(3, size)
        truth, face = (place_face(toy_model, c) for c in (random_coefficients(toy_model, seed=1), point))
        seen = target._replace(landmarks=landmark_pixels(toy_model, cameras, truth.posed))
        terms = losses.face_losses(toy_model, cameras, point, face, seen)
        return terms["landmarks_2d"]

    assert float(term(32)) == pytest.approx(float(term(64)), rel=1e-4)


def test_3d_landmarks_ignore_a_similarity_of_the_target(toy_model):
    points = toy_model.mean_shape[toy_model.landmarks_3d]
    rotation = rotation_matrix(jnp.array([0.3, -0.5, 1.0]))
    other = points + 0.05 * np.random.default_rng(0).normal(size=points.shape).astype(np.float32)
    a = losses.aligned_landmark_loss(points, other)
    b = losses.aligned_landmark_loss(points, 2 * other @ rotation.T + 1)
    assert float(b) == pytest.approx(2 * float(a), rel=1e-3)


def test_3d_landmarks_that_are_not_known_do_not_count(toy_model):
    """As if they were not there, in value and gradient; without one of the seven, the loss is 0."""
    points = toy_model.mean_shape[toy_model.landmarks_3d]
    other = points + 0.05 * np.random.default_rng(0).normal(size=points.shape).astype(np.float32)
    rows = jnp.asarray(REGISTRATION)
    known = jnp.concatenate([rows, jnp.setdiff1d(jnp.arange(101), rows)[::3]])

    def by_hand(points):
        align = align_similarity(points[rows], other[rows])
        return jnp.mean(losses.safe_norm(align(points[known]) - other[known]))

    loss = jax.value_and_grad(losses.aligned_landmark_loss)
    some, gradient = loss(points, jnp.full_like(other, jnp.nan).at[known].set(other[known]))
    expected, expected_gradient = jax.value_and_grad(by_hand)(points)
    np.testing.assert_allclose(some, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-5)
    assert (np.delete(np.asarray(gradient), known, axis=0) == 0).all()
    for unknown in (rows[:1], jnp.arange(101)):
        nothing, gradient = loss(points, other.at[unknown].set(jnp.nan))
        assert nothing == 0 and (np.asarray(gradient) == 0).all()


def test_cross_entropy_of_a_certain_and_an_even_answer():
    labels = jnp.array([[3, 0]])
    assert float(losses.cross_entropy(jnp.zeros((1, 2, 10)), labels)) == pytest.approx(np.log(10))
    assert float(losses.cross_entropy(100 * jax.nn.one_hot(labels, 10), labels)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("least_share", [0.02, 0.5, 1.0])
def test_hard_pixels_are_the_doubtful_ones_and_at_least_a_share(least_share):
    """Sure of most pixels: a small least share leaves the doubtful ones, a large one the hardest of all."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, (3, 8, 9))
    certainty = np.where(rng.random((3, 8, 9)) < 0.2, 0.0, 6.0)
    logits = rng.normal(size=(3, 8, 9, 10)) + certainty[..., None] * (labels[..., None] == np.arange(10))
    probability = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    label_probability = np.sort(np.take_along_axis(probability, labels[..., None], -1).ravel())
    hard = label_probability[: max(int((label_probability < 0.7).sum()), round(least_share * labels.size))]
    assert 0.05 * labels.size < (label_probability < 0.7).sum() < 0.4 * labels.size
    loss = losses.hard_pixel_cross_entropy(jnp.asarray(logits), jnp.asarray(labels), least_share)
    np.testing.assert_allclose(loss, -np.log(hard).mean(), rtol=1e-5)
    gradient = jax.grad(losses.hard_pixel_cross_entropy)(
        jnp.asarray(logits), jnp.asarray(labels), least_share
    )
    assert (np.abs(gradient).max(axis=-1) > 0).sum() == len(hard)


def test_terms_without_weight_do_not_count():
    config = LossConfig(photo=3.0, landmarks_3d=0.0)
    terms = losses.counted(config, {"photo": jnp.array(2.0), "landmarks_3d": jnp.array(jnp.nan)})
    assert terms.keys() == {"photo"}
    assert float(losses.weighted_sum(config, terms, 0.5)) == 6


def test_white_light_and_flat_albedo():
    light = jnp.ones((3, 9)) * jnp.arange(9.0)
    assert float(losses.white_light_loss(light)) == 0
    assert float(losses.white_light_loss(light.at[0, 0].add(3.0))) == pytest.approx((4 + 1 + 1) / 27)
    albedo = jnp.array([[0.0] * 3, [1.0] * 3, [9.0] * 3])
    assert float(losses.flat_albedo_loss(albedo, jnp.array([1.0, 1.0, 0.0]))) == pytest.approx(0.25)


def test_weighted_sum_uses_the_config_and_waits_with_the_mask():
    config = dataclasses.replace(LossConfig(), mask_start=0.5)
    terms = {field.name: jnp.float32(2) for field in dataclasses.fields(config) if field.name in REACHES}
    without = sum(2 * getattr(config, name) for name in terms if name != "mask")
    assert float(losses.weighted_sum(config, terms, 0.4)) == pytest.approx(without)
    assert float(losses.weighted_sum(config, terms, 0.5)) == pytest.approx(without + 2 * config.mask)


@pytest.mark.parametrize("term", ["photo", "mask", "landmarks_2d", "landmarks_3d"])
def test_loss_gradients_against_finite_differences(toy_model, parser, target, term):
    """Image terms in albedo and light, landmark terms in shape and pose (a pixel's triangle may jump)."""
    names = ("albedo", "light") if term in ("photo", "mask") else ("identity", "expression", "rotation")
    with jax.enable_x64(True):
        double = lambda tree: jax.tree.map(  # noqa: E731
            lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree
        )
        model, aim, point = double(toy_model), double(target), double(random_coefficients(toy_model, seed=2))
        net = (parser[0], double(parser[1]))

        @jax.jit
        def function(free):
            return all_terms(model, net, aim, point._replace(**free))[term]

        free = {name: getattr(point, name) for name in names}
        for slow, fast in directional_derivatives(function, free):
            assert fast == pytest.approx(slow, rel=1e-5)
