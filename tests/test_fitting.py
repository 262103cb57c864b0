"""The stages of a fit, each against a slow and obvious reference."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from dfmvr_jax.conventions import AMBIENT
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import vertex_normals
from dfmvr_jax.face_model.prior import Prior, prior_loss
from dfmvr_jax.fitting import calibration, colours, paint, point_table
from dfmvr_jax.fitting.config import FitConfig, effort_config
from dfmvr_jax.fitting.fitted_person import photo_names
from dfmvr_jax.fitting.free_form import free_form_modes, with_free_form
from dfmvr_jax.fitting.gauss_newton import System, minimise
from dfmvr_jax.fitting.likeness import Portrait, choose_alike, difference
from dfmvr_jax.fitting.normals import normal_basis
from dfmvr_jax.fitting.photos import camera_of_photo, focal_of_film
from dfmvr_jax.fitting.point_table import YAWS, PointTable, read_table, table_of_landmarks, write_table
from dfmvr_jax.fitting.points import PhotoPoints, at_yaw, place_points, point_normal, project_places, seen_yaw
from dfmvr_jax.fitting.projection import project_points
from dfmvr_jax.fitting.size import find_size, pupil_distance
from dfmvr_jax.fitting.stages import PADDED, padded_number
from dfmvr_jax.fitting.unknowns import Head, make_layout, move_head, prior_system
from dfmvr_jax.render.shade import spherical_harmonics

CONFIG = dataclasses.replace(FitConfig(), samples=(60,), outline=5.0)
PHOTOS = 2


@pytest.fixture(scope="module")
def layout(toy_model):
    return make_layout(toy_model, np.zeros(PHOTOS, int), np.zeros(PHOTOS), np.full(PHOTOS, 0.4), False)


@pytest.fixture(scope="module")
def head(toy_model):
    """Two photos of a head from 3 units away, turned by a third of a radian."""
    rng = np.random.default_rng(0)
    identities, expressions, _ = toy_model.dimensions
    turns = Rotation.from_euler("xyz", [[0.1, -0.3, 0.05], [0, 0.35, 0]]).as_matrix()
    return Head(
        identity=jnp.asarray(rng.normal(size=identities), jnp.float32),
        expression=jnp.asarray(0.5 * rng.normal(size=(PHOTOS, expressions)), jnp.float32),
        rotation=jnp.asarray(turns, jnp.float32),
        translation=jnp.array([[0.1, 0, -3.0], [0, 0.1, -3.2]]),
        log_focal=jnp.full(PHOTOS, 0.1),
    )


def derivative_by_steps(cost, head, layout, step: float = 2e-3):
    """Central differences of a cost by every unknown."""
    found = []
    for number in range(layout.size):
        along = np.zeros(layout.size)
        along[number] = step
        more, less = (float(cost(move_head(head, layout, sign * along))) for sign in (1, -1))
        found.append((more - less) / 2 / step)
    return np.array(found, float)


# ---------------------------------------------------------------- the method


def test_a_linear_problem_takes_one_step_and_a_bad_step_is_taken_back():
    rows, wanted = np.random.default_rng(0).normal(size=(9, 4)), np.arange(9.0)

    def cost(x):
        return 0.5 * float(((rows @ x - wanted) ** 2).sum())

    def linearise(x):
        return System(cost(x), rows.T @ (rows @ x - wanted), rows.T @ rows), x

    found = minimise(linearise, lambda x, step: (cost(x + step), x + step), np.zeros(4), 8)
    np.testing.assert_allclose(found, np.linalg.lstsq(rows, wanted)[0], atol=1e-4)

    # a gradient that points the wrong way: no step helps, and nothing moves
    def misled(x):
        return System(cost(x), -rows.T @ (rows @ x - wanted), rows.T @ rows), x

    stays = minimise(misled, lambda x, step: (cost(x + step), x + step), np.zeros(4), 8)
    np.testing.assert_array_equal(stays, 0)


def test_a_cost_that_is_not_finite_is_no_step():
    def linearise(x):
        return System(1.0, np.ones(1), np.eye(1)), x

    assert minimise(linearise, lambda x, step: (math.nan, x + step), np.zeros(1), 5) == 0


# ---------------------------------------------------------------- unknowns


def test_photos_share_what_they_share(toy_model):
    identities, expressions, _ = toy_model.dimensions
    cameras = np.array([0, 1, 0])
    own = make_layout(toy_model, cameras, np.zeros(3), np.full(3, 0.4), False)
    assert own.size == identities + 3 * expressions + 3 * 6 + 2
    shared = np.intersect1d(own.places[0], own.places[2])
    assert len(shared) == identities + 1  # the focal length too
    assert len(np.intersect1d(own.places[0], own.places[1])) == identities
    frozen = make_layout(toy_model, cameras, np.zeros(3), np.full(3, 0.4), False, 2)
    assert (frozen.precision[identities - 2 : identities] > 1000).all()
    np.testing.assert_array_equal(frozen.precision[: identities - 2], 1)
    same = make_layout(toy_model, cameras, np.zeros(3), np.full(3, 0.4), True)
    assert same.size == own.size - 2 * expressions


def test_the_prior_is_that_of_the_model(toy_model, head):
    count = toy_model.dimensions[1]
    prior = Prior(jnp.full(count, 0.35), jnp.zeros(count), jnp.ones(count))
    model = dataclasses.replace(toy_model, expression_prior=prior)
    layout = make_layout(model, np.zeros(PHOTOS, int), np.full(PHOTOS, 0.3), np.full(PHOTOS, 0.4), False)
    cost, gradient, diagonal = prior_system(head, layout)
    expected = prior_loss(head.identity) + sum(prior_loss(one, prior) for one in head.expression)
    expected += (float(head.log_focal[0]) - 0.3) ** 2 / 0.4**2
    np.testing.assert_allclose(cost, expected / 2, rtol=1e-5)
    found = derivative_by_steps(lambda head: float(prior_system(head, layout)[0]), head, layout, 1e-2)
    poses = layout.places[:, -7:-1].ravel()  # have next to no prior
    rest = np.setdiff1d(np.arange(layout.size), poses)
    np.testing.assert_allclose(np.asarray(gradient)[rest], found[rest], atol=0.02 * abs(found).max())
    assert (np.asarray(diagonal) > 0).all()


# ---------------------------------------------------------------- points


def test_the_projection_and_its_derivative(toy_model, head, layout):
    """Against the camera of the renderer, moved by each unknown."""
    basis = jnp.concatenate([toy_model.identity_basis, toy_model.expression_basis], axis=-1)

    def pixels(head):
        shape = colours.head_shapes(toy_model, head)[0]
        focal = 100 * jnp.exp(head.log_focal[0])
        return project_points(shape, basis, head.rotation[0], head.translation[0], focal, jnp.zeros(2))

    found, derivative, depth = pixels(head)
    shape = np.asarray(colours.head_shapes(toy_model, head)[0], float)
    seen = shape @ np.asarray(head.rotation[0]).T + np.asarray(head.translation[0])
    expected = 100 * np.exp(0.1) * seen[:, :2] * [1, -1] / -seen[:, 2:]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(depth, -seen[:, 2], rtol=1e-5)
    for own, number in enumerate(layout.places[0]):
        along = np.zeros(layout.size)
        along[number] = 0.01
        slow = (pixels(move_head(head, layout, along))[0] - pixels(move_head(head, layout, -along))[0]) / 0.02
        scale = abs(np.asarray(slow)).max() + 1e-3
        np.testing.assert_allclose(derivative[..., own], slow, atol=0.01 * scale + 0.02)


@pytest.fixture(scope="module")
def points(toy_model, head):
    places = place_points(toy_model, table_of_landmarks(toy_model))
    empty = PhotoPoints(
        pixels=jnp.zeros((PHOTOS, 68, 2)),
        weight=jnp.ones((PHOTOS, 68)),
        centre=jnp.full((PHOTOS, 2), 50.0),
        longer_side=jnp.full(PHOTOS, 100.0),
        unit=jnp.full(PHOTOS, 35.0),
    )
    seen = project_places(places, head, empty)[0]
    noise = np.random.default_rng(1).normal(0, 2, seen.shape)
    weight = jnp.ones((PHOTOS, 68)).at[1, 5].set(0)
    return places, empty._replace(pixels=seen + noise, weight=weight)


def test_points_cost_what_robust_squares_cost(head, points, layout):
    places, seen = points
    normal = point_normal(places, head, seen, FitConfig())
    found, _, deviation = project_places(places, head, seen)
    expected = 0.0
    for photo in range(PHOTOS):
        for point in range(68):
            gap = (np.asarray(found)[photo, point] - np.asarray(seen.pixels)[photo, point]) / float(
                deviation[photo, point]
            )
            bound = FitConfig().points_robust ** 2
            expected += float(seen.weight[photo, point]) * bound * math.log1p(gap @ gap / bound) / 2
    np.testing.assert_allclose(normal.cost.sum(), expected / FitConfig().points_correlation ** 2, rtol=1e-4)


def test_the_gradient_of_points(head, points, layout):
    places, seen = points
    gradient, hessian = colours.scatter_normal(
        *point_normal(places, head, seen, FitConfig())[1:], layout.places, layout.size
    )
    cost = jax.jit(lambda head: point_normal(places, head, seen, FitConfig()).cost.sum())
    slow = derivative_by_steps(cost, head, layout)
    np.testing.assert_allclose(gradient, slow, atol=0.02 * abs(slow).max())
    assert np.linalg.eigvalsh(hessian).min() > -1e-3 * np.linalg.eigvalsh(hessian).max()


def test_places_follow_the_yaw(toy_model):
    """Between the yaws of the table they lie between its places, beyond its last ones there."""
    table = table_of_landmarks(toy_model)
    corners = table.corners.copy()
    corners[-1] = np.roll(corners[-1], 1, axis=0)
    places = place_points(toy_model, table._replace(corners=corners))
    halfway = at_yaw(places, jnp.asarray((YAWS[-2] + YAWS[-1]) / 2))
    np.testing.assert_allclose(halfway.mean, (places.mean[-2] + places.mean[-1]) / 2, atol=1e-5)
    np.testing.assert_allclose(at_yaw(places, jnp.asarray(2.0)).mean, places.mean[-1], atol=1e-5)
    unused = place_points(toy_model, table._replace(deviation_mm=np.full_like(table.deviation_mm, np.inf)))
    assert float(at_yaw(unused, jnp.asarray(0.1)).deviation.min()) > 1e5


def test_a_head_at_the_pictures_side_is_seen_turned():
    """One that looks straight ahead, to the camera's right: its left side is seen less."""
    assert float(seen_yaw(jnp.eye(3), jnp.array([0.0, 0, -5]))) == 0
    assert float(seen_yaw(jnp.eye(3), jnp.array([2.0, 0, -5]))) > 0.3
    turned = jnp.asarray(Rotation.from_euler("y", 0.5).as_matrix(), jnp.float32)
    np.testing.assert_allclose(seen_yaw(turned, jnp.array([0.0, 0, -5])), 0.5, atol=1e-5)


def test_a_step_that_cannot_be_solved_for_is_one_that_does_not_help():
    """A Hessian that rounding made indefinite: more damping mends it."""
    steps = []

    def linearise(x):
        return System(float(x @ x) / 2 + 1, x, np.array([[1.0, 1.2], [1.2, 1.0]])), x

    def try_step(x, step):
        steps.append(step)
        return float((x + step) @ (x + step)) / 2 + 1, x + step

    found = minimise(linearise, try_step, np.array([1.0, -1.0]), 30)
    assert steps and np.linalg.norm(found) < 0.5


def test_a_bump_moves_in_one_direction(toy_model):
    """Else the insides of nostrils, whose normals point backwards, would come through the skin."""
    modes = free_form_modes(toy_model, dataclasses.replace(CONFIG, free_form_radius_mm=8.0))
    shape = np.asarray(toy_model.mean_shape)
    checked = 0
    for mode in np.moveaxis(modes, -1, 0):
        moved = np.linalg.norm(mode, axis=1)
        here = (moved > 0.3 * moved.max()) & (shape[:, 0] > 0.25)  # three radii from the mirror image
        if here.sum() > 1 and moved[here].max() == moved.max():
            directions = mode[here] / moved[here, None]
            np.testing.assert_allclose(
                directions, np.broadcast_to(directions[0], directions.shape), atol=0.02
            )
            checked += 1
    assert checked > 3


# ---------------------------------------------------------------- colours


@pytest.fixture(scope="module")
def pictures(toy_model, head):
    """Smooth pictures, the samples, and the look settled on them."""
    rng = np.random.default_rng(2)
    coarse = rng.uniform(0.2, 0.8, (PHOTOS, 4, 4, 3))
    size = 128
    images = np.stack([
        np.stack([
            np.asarray(Image.fromarray(np.float32(c)).resize((size, size), Image.Resampling.BICUBIC))
            for c in np.moveaxis(one, -1, 0)
        ], -1)
        for one in coarse
    ])  # fmt: skip
    seen = colours.PhotoColours(
        images=jnp.asarray(images, jnp.float32),
        inside=jnp.ones((PHOTOS, size, size)),
        centre=jnp.full((PHOTOS, 2), size / 2),
        longer_side=jnp.full(PHOTOS, 1.4 * size),
        weight=jnp.ones(PHOTOS),
    )
    marks = np.asarray(toy_model.mean_shape)[np.asarray(toy_model.landmarks)]
    samples = colours.choose_samples(toy_model, marks, CONFIG)
    weight = colours.weigh_samples(toy_model, samples, head, seen, CONFIG)
    there = colours.look_at_samples(toy_model, samples, head, seen)
    albedo = jnp.zeros(toy_model.dimensions[2])
    look = colours.settle_look(albedo, weight, there, samples, CONFIG)
    return seen, samples, weight, look


def test_samples_lie_on_the_face_within_the_outline(toy_model):
    marks = np.asarray(toy_model.mean_shape)[np.asarray(toy_model.landmarks)]
    few = colours.choose_samples(toy_model, marks, dataclasses.replace(CONFIG, outline=0.3, samples=(1000,)))
    middle = marks[:, :2].mean(axis=0)
    radius = np.linalg.norm(marks[:, :2] - middle, axis=1).max()
    away = np.linalg.norm(np.asarray(toy_model.mean_shape)[few.vertices][:, :2] - middle, axis=1)
    assert 0 < len(few.vertices) < toy_model.num_vertices / 4 and away.max() <= 0.3 * radius + 1e-6
    assert not np.isin(np.asarray(toy_model.part_labels)[few.vertices], [7, 13]).any()


def test_each_photo_counts_alike(pictures):
    _, _, weight, _ = pictures
    np.testing.assert_allclose(weight.sum(axis=1), CONFIG.measurements, rtol=1e-4)


def test_the_gradient_of_colours(toy_model, head, layout, pictures):
    seen, samples, _, look = pictures

    @jax.jit
    def cost(head):
        there = colours.look_at_samples(toy_model, samples, head, seen)
        return colours.colour_cost(samples, there, look)

    there = colours.look_at_samples(toy_model, samples, head, seen)
    gradient, _ = colours.colour_normal(samples, there, look, layout.places, layout.size)
    slow = derivative_by_steps(cost, head, layout, 5e-3)
    assert np.corrcoef(gradient, slow)[0, 1] > 0.99
    np.testing.assert_allclose(gradient, slow, atol=0.1 * abs(slow).max())


def test_the_hessian_is_what_is_left_when_albedo_follows(toy_model, head, layout, pictures):
    """Against least squares for unknowns and albedo together, and the Schur complement of albedo."""
    seen, samples, _, look = pictures
    there = colours.look_at_samples(toy_model, samples, head, seen)
    _, hessian = colours.colour_normal(samples, there, look, layout.places, layout.size)
    count = len(samples.vertices)
    prior, all_shading = np.asarray(look.prior), np.asarray(colours.shading_of(look, there))
    albedo = np.asarray(colours.free_albedo(look, there, samples))
    light = look.light.at[..., 0].add(AMBIENT)
    by_shading = jax.vmap(colours.shading_by_unknowns, (0, 0, None))(light, there, samples)
    slow = np.zeros((layout.size, layout.size))
    for sample in range(count):
        for channel in range(3):
            rows, cross, own = np.zeros((layout.size, layout.size)), np.zeros(layout.size), prior[sample]
            for photo in range(PHOTOS):
                precision = float(look.precision[photo, sample])
                shading = float(all_shading[photo, sample, channel])
                derivative = np.zeros(layout.size)
                derivative[layout.places[photo]] = (
                    np.asarray(there.by_unknowns[photo, sample, channel])
                    - albedo[sample, channel] * by_shading[photo][sample, channel]
                )
                rows += precision * np.outer(derivative, derivative)
                cross -= precision * shading * derivative
                own += precision * shading**2
            slow += rows - np.outer(cross, cross) / own
    np.testing.assert_allclose(hessian, slow, atol=2e-3 * abs(slow).max())


def test_light_and_albedo_are_found(toy_model, head):
    """On colours that a known light gives the model's own albedo."""
    samples = colours.choose_samples(
        toy_model, np.asarray(toy_model.mean_shape), dataclasses.replace(CONFIG, samples=(400,))
    )
    rng = np.random.default_rng(3)
    light = jnp.asarray(0.15 * rng.normal(size=(PHOTOS, 3, 9)), jnp.float32).at[..., 0].add(2.7)
    albedo = jnp.asarray(rng.normal(size=toy_model.dimensions[2]), jnp.float32)
    normals = rng.normal(size=(PHOTOS, len(samples.vertices), 3)) + [0, 0, 2]
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = jnp.asarray(normals, jnp.float32)
    harmonics = spherical_harmonics(normals)
    shading = jnp.einsum("vsb,vcb->vsc", harmonics, light.at[..., 0].add(AMBIENT))
    color = shading * (samples.mean_albedo + samples.albedo_basis @ albedo)
    color = color.at[0, :20].set(0.0)  # hair
    turns = jnp.broadcast_to(jnp.eye(3), (PHOTOS, 3, 3))
    there = colours.Seen(color, jnp.zeros((*color.shape, 1)), normals, turns)
    weight = jnp.full((PHOTOS, len(samples.vertices)), 3.0)
    start = jnp.zeros(toy_model.dimensions[2])
    found = colours.settle_look(start, weight, there, samples, CONFIG, 40)
    model_colors = samples.mean_albedo + samples.albedo_basis @ found.albedo
    again = jnp.einsum("vsb,vcb->vsc", harmonics, found.light.at[..., 0].add(AMBIENT)) * model_colors
    assert float(jnp.abs(again - color)[:, 20:].mean()) < 0.05 * float(color.max())
    precision = np.asarray(found.precision)
    assert precision[0, :20].max() < 0.1 * np.median(precision)  # and is not believed


@pytest.mark.parametrize("tone", [0.4, 0.7, 1.0])
def test_the_tone_of_skin_is_neither_the_models_mean_nor_all_the_photos(toy_model, tone):
    """Of a face whose albedo is so many times the mean, in usual light: light and albedo share the factor."""
    samples = colours.choose_samples(
        toy_model, np.asarray(toy_model.mean_shape), dataclasses.replace(CONFIG, samples=(400,))
    )
    mean = samples.mean_albedo
    samples = samples._replace(albedo_basis=0.3 * mean[..., None])  # one mode: the tone
    normals = np.random.default_rng(5).normal(size=(PHOTOS, len(samples.vertices), 3)) + [0, 0, 2]
    normals = jnp.asarray(normals / np.linalg.norm(normals, axis=-1, keepdims=True), jnp.float32)
    color = jnp.broadcast_to(CONFIG.exposure * tone * mean, (PHOTOS, *mean.shape))
    there = colours.Seen(
        color, jnp.zeros((*color.shape, 1)), normals, jnp.broadcast_to(jnp.eye(3), (PHOTOS, 3, 3))
    )
    weight = jnp.ones((PHOTOS, len(samples.vertices)))
    look = colours.settle_look(jnp.zeros(1), weight, there, samples, CONFIG, 40)
    found = float(jnp.mean(colours.free_albedo(look, there, samples) / mean))
    # to the first order: the variances' share of what the model and the exposure say of the tone
    share = 0.3**2 / (0.3**2 + CONFIG.exposure_deviation**2)
    assert tone - 0.03 < found <= 1.0 + 1e-3 and found == pytest.approx(tone ** (share + 0.15), abs=0.12)
    np.testing.assert_allclose(
        colours.shading_of(look, there) * colours.free_albedo(look, there, samples), color, rtol=0.02
    )


def test_normals_move_with_the_shape(toy_model):
    """Against the derivatives of `vertex_normals`, a mode at a time."""
    basis = np.concatenate(
        [np.asarray(toy_model.identity_basis), np.asarray(toy_model.expression_basis)], axis=-1
    )
    vertices = np.arange(0, toy_model.num_vertices, 7)
    found = normal_basis(toy_model, vertices, basis)
    assert found.shape == (len(vertices), 3, basis.shape[-1])
    normals = jax.jit(lambda shape: vertex_normals(shape, toy_model))
    for mode in range(0, basis.shape[-1], 3):
        slow = jax.jvp(normals, (toy_model.mean_shape,), (jnp.asarray(basis[..., mode]),))[1][vertices]
        np.testing.assert_allclose(found[..., mode], slow, atol=1e-3 * abs(slow).max())


def test_noise_is_measured_though_albedo_follows(toy_model):
    """On colours of known noise: samples that one photo sees tell nothing, those of two half."""
    rng = np.random.default_rng(4)
    count, noise = 4000, 0.02
    samples = colours.choose_samples(toy_model, np.asarray(toy_model.mean_shape), CONFIG)
    take = rng.integers(0, len(samples.vertices), count)
    samples = jax.tree.map(lambda leaf: leaf[take], samples)
    normals = jnp.broadcast_to(jnp.array([0.0, 0.0, 1.0]), (PHOTOS, count, 3))
    turns = jnp.broadcast_to(jnp.eye(3), (PHOTOS, 3, 3))
    look = colours.first_look(toy_model, PHOTOS, samples)
    look = look._replace(precision=jnp.asarray(rng.random((PHOTOS, count)) < 0.6, jnp.float32))
    look = look._replace(precision=1e4 * look.precision, prior=jnp.full(count, 1.0))
    empty = colours.Seen(jnp.zeros((PHOTOS, count, 3)), jnp.zeros((PHOTOS, count, 3, 1)), normals, turns)
    color = colours.shading_of(look, empty) * samples.mean_albedo + noise * rng.normal(
        size=(PHOTOS, count, 3)
    )
    there = empty._replace(color=jnp.asarray(color, jnp.float32))
    albedo = colours.free_albedo(look, there, samples)
    residual = there.color - colours.shading_of(look, there) * albedo
    found = colours.measure_noise(residual, colours.freedom(look, there), CONFIG)
    assert float(found) == pytest.approx(noise, rel=0.1)
    naive = np.median(np.abs(residual)[np.asarray(look.precision) > 0]) / 0.6745
    assert naive < 0.8 * noise  # what it would be without


def test_pictures_are_read_between_their_pixels():
    image = jnp.arange(12.0).reshape(3, 4, 1)
    found = colours.sample_image(image, jnp.array([[0.5, 0.5], [1.0, 0.5], [1.5, 2.0]]))
    np.testing.assert_allclose(found[:, 0], [0.0, 0.5, 7.0])
    across, down = colours.slopes(image)
    np.testing.assert_allclose(across[1, 1:3, 0], 1)
    np.testing.assert_allclose(down[1, :, 0], 4)


# ---------------------------------------------------------------- free form


@pytest.fixture(scope="module")
def coarse():
    return load_face_model("builtin-coarse")


def test_bumps_are_smooth_and_mirrored(coarse):
    config = dataclasses.replace(CONFIG, free_form_centres=30)
    modes = free_form_modes(coarse, config)
    mirror = np.asarray(coarse.mirror)
    height = np.linalg.norm(modes, axis=1)
    assert 0.5 * config.free_form_mm < 100 * height.max() <= 2.2 * config.free_form_mm
    reflected = modes[mirror] * np.array([-1, 1, 1])[:, None]
    same, against = (np.abs(reflected - sign * modes).mean(axis=(0, 1)) for sign in (1, -1))
    size = np.abs(modes).mean(axis=(0, 1))
    assert (np.minimum(same, against) < 0.1 * size).all()
    assert (same < against).sum() == 30 and (against < same).sum() > 10
    wide = with_free_form(coarse, config)
    assert wide.dimensions[0] == coarse.dimensions[0] + modes.shape[-1]
    weight = np.asarray(coarse.photo_weight)
    assert abs(modes[weight == 0]).max() == 0


# ---------------------------------------------------------------- tables


def test_the_shipped_tables_are_those_of_the_models(coarse):
    for model in (coarse, load_face_model("builtin")):
        table = read_table(point_table.SHIPPED / f"{model.name}.npz", model)
        assert table is not None
        used = np.isfinite(table.deviation_mm)
        assert used.mean() > 0.95
        np.testing.assert_allclose(table.barycentrics.sum(axis=-1), 1)
        front = np.median(table.deviation_mm[len(YAWS) // 2][used[len(YAWS) // 2]])
        assert front < 2.5 < np.median(table.deviation_mm[0][used[0]])  # worse from the side


def test_a_table_of_another_model_or_a_damaged_one_is_not_used(coarse, toy_model, tmp_path):
    path = tmp_path / "table.npz"
    table = table_of_landmarks(coarse)
    write_table(path, table, coarse)
    again = read_table(path, coarse)
    np.testing.assert_array_equal(again.corners, table.corners)
    np.testing.assert_allclose(again.deviation_mm, table.deviation_mm)
    assert read_table(path, toy_model) is None
    path.write_bytes(b"no table")
    with pytest.raises(InputError, match="is no table of points"):
        read_table(path, coarse)


def test_a_damaged_table_in_the_cache_is_made_anew(toy_model, tmp_path, monkeypatch):
    path = tmp_path / "table.npz"
    monkeypatch.setattr(point_table, "cached_table", lambda model: path)
    write_table(path, table_of_landmarks(toy_model), toy_model)
    assert point_table.find_table(toy_model) is not None
    path.write_bytes(path.read_bytes()[:200])
    assert point_table.find_table(toy_model) is None


def test_a_head_in_which_no_face_is_found_has_no_table(toy_model):
    with pytest.raises(InputError, match="toy: the detector finds a face in 0% of rendered heads"):
        calibration.calibrate(toy_model, lambda photo: [], heads=2)


def test_a_table_is_the_middle_of_what_was_seen(coarse):
    """Places scattered about known ones; one point that is hardly ever found is not used."""
    rng = np.random.default_rng(0)
    vertices = rng.choice(np.flatnonzero(np.asarray(coarse.skin_mask) == 1), calibration.POINTS)
    true = np.asarray(coarse.mean_shape, float)[vertices]
    places = true + 0.02 * rng.normal(size=(len(YAWS), 16, calibration.POINTS, 3))
    places[:, :, 0] = np.nan
    places[:, 0] += 1.0  # an outlier of every point
    table = calibration._summarise(coarse, places, np.ones(len(coarse.triangles), bool))
    assert np.isinf(table.deviation_mm[:, 0]).all() and np.isfinite(table.deviation_mm[:, 1:]).all()
    shape = np.asarray(coarse.mean_shape, float)
    found = np.einsum("ypc,ypcd->ypd", table.barycentrics, shape[table.corners])
    assert np.median(np.linalg.norm(found - true, axis=-1)[:, 1:]) < 0.012
    assert 1.0 < np.median(table.deviation_mm[:, 1:]) < 4.0  # 2 mm along each axis


def test_points_of_a_lip_on_the_other_do_not_count(coarse):
    labels, triangles = np.asarray(coarse.part_labels), np.asarray(coarse.triangles)
    lower = np.flatnonzero((labels[triangles] == 9).all(axis=1))[0]
    ids = np.full((calibration.SIZE, calibration.SIZE), lower)
    barycentrics = np.full((*ids.shape, 3), 1 / 3)
    points = np.full((calibration.POINTS, 2), 10.0)
    points[7] = -5.0  # outside
    places = calibration._places(coarse, points, ids, barycentrics)
    missed = np.isnan(places[:, 0])
    assert missed[list(calibration.UPPER_LIP)].all() and not missed[list(calibration.LOWER_LIP)].any()
    assert missed[7] and missed.sum() == len(calibration.UPPER_LIP) + 1


@pytest.mark.full
def test_calibrating_anew_gives_the_shipped_table(coarse, face_mesh):
    from dfmvr_jax.photos.detection import load_detector

    shipped = read_table(point_table.SHIPPED / "builtin-coarse.npz", coarse)
    found = calibration.calibrate(coarse, load_detector("mediapipe"), heads=12, seed=7)
    shape = np.asarray(coarse.mean_shape, float)

    def places(table: PointTable) -> np.ndarray:
        return np.einsum("ypc,ypcd->ypd", table.barycentrics, shape[table.corners])

    gap = 100 * np.linalg.norm(places(shipped) - places(found), axis=-1)
    assert np.median(gap) < 1.5


# ---------------------------------------------------------------- cameras, sizes, paint


def test_focal_lengths_of_film():
    """A lens of 36 mm sees as much as 36 mm of film are wide, in a photo of film's shape."""
    assert focal_of_film(36.0, (2000, 3000)) == pytest.approx(1, rel=1e-3)
    assert focal_of_film(36.0, (3000, 2000)) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(("film", "known"), [(26, True), (0, False), (65535, False), (None, False)])
def test_exif_tells_the_focal_length(tmp_path, film, known):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x010F] = "Phones"
    if film is not None:
        exif.get_ifd(0x8769)[0xA405] = film
    Image.new("RGB", (400, 300)).save(path, exif=exif)
    camera = camera_of_photo(path, (300, 400))
    assert (camera.focal is not None) == known
    assert camera.focal is None or camera.focal == pytest.approx(26 / 43.27 * 500 / 400)
    assert camera.key != camera_of_photo(tmp_path / "none.jpg", (300, 400)).key


def test_the_size_by_pupils(coarse):
    shape = np.asarray(coarse.mean_shape, float)
    size = find_size(shape, coarse, 70.0)
    assert 100 * size.scale * pupil_distance(shape, coarse) == pytest.approx(70)
    assert size.source == "pupils" and size.deviation < 0.01
    guessed = find_size(shape, coarse, None)
    assert guessed.source == "model" and guessed.scale == pytest.approx(1)
    assert 0.01 < guessed.deviation < 0.1
    assert find_size(1.1 * shape, coarse, None).scale == pytest.approx(1 / 1.1)


def test_photos_colour_the_face_and_fade_out(coarse):
    marks = np.asarray(coarse.mean_shape)[np.asarray(coarse.landmarks)]
    face = paint.on_face(coarse, marks)
    shape = np.asarray(coarse.mean_shape)
    assert face[shape[:, 2].argmax()] == 1 and (face[np.asarray(coarse.part_labels) >= 10] == 0).any()
    assert ((face > 0) & (face < 1)).sum() > 20


def test_code_is_shared_between_numbers_of_photos():
    assert [padded_number(count) for count in (1, 2, 3, 4, 20, 30)] == [3, 3, 3, 6, 24, 30]
    assert sorted(PADDED) == list(PADDED)


def portraits_of(albedos, photos, noise=0.03, samples=400):
    """What photos show of some people's skin: for each photo the people who are in it, the largest first."""
    rng = np.random.default_rng(1)
    shown = []
    for people in photos:
        normals = rng.normal(size=(samples, 3)) * [1, 1, 0.3] + [0, 0, 1]
        harmonics = np.asarray(
            spherical_harmonics(jnp.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))), float
        )
        light = rng.normal(0, 0.1, (3, 9)) + np.eye(9)[0] * rng.uniform(0.6, 1.2, (3, 1))
        shown.append([])
        for person in people:
            color = albedos[person] * (harmonics @ light.T) + rng.normal(0, noise, (samples, 3))
            known = albedos[person] * rng.normal(1, 0.1, (samples, 1))  # by a light that was guessed
            shown[-1].append(Portrait(color, rng.uniform(0, 1, samples), harmonics, known))
    return shown


def test_a_face_is_told_by_its_skin():
    """In whatever light; and the one who is in all photos is found among strangers."""
    albedos = np.random.default_rng(0).uniform(0.3, 0.7, (40, 400, 1)) * [1.0, 0.8, 0.7]
    (first,), (other, stranger), (hidden,) = portraits_of(albedos, [[0], [0, 1], [0]])
    assert difference(first, other) < 0.5 * difference(first, stranger)
    assert difference(first, hidden._replace(weight=0 * hidden.weight)) == 1
    for photos, expected in (
        ([[0], [1, 0], [2, 0]], [0, 1, 1]),
        ([[0, 1], [1, 0], [0, 1]], [0, 1, 0]),  # two in all photos: the one in the foreground of more
        ([[1, 0, 2], [3, 4, 0], [0, 5]], [1, 2, 0]),
        ([[10 + k, 0, 20 + k] for k in range(9)], [1] * 9),  # of which not all combinations are tried
    ):
        assert choose_alike(portraits_of(albedos, photos)) == expected, photos


def test_efforts_differ_and_names_are_plain():
    efforts = [effort_config(effort) for effort in ("quick", "normal", "best")]
    rounds = [len(config.blurs) * config.colour_rounds for config in efforts]
    assert rounds == sorted(rounds) and [config.check for config in efforts] == [False, False, True]
    from pathlib import Path

    names = photo_names([Path("a b/é?.jpg"), Path("x/front.png"), Path("y/front.png")])
    assert len(set(names)) == 3 and names[1] == "2_front" and all(name.isascii() for name in names)
