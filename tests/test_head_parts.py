"""What a whole head has beyond a face: parts, texture, mirror, photo weights; ARKit's names."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from dfmvr_jax.conventions import HEAD_PARTS, PARSED_AS, PARTS
from dfmvr_jax.datasets.synthetic.scenes import render_scene, sample_subject
from dfmvr_jax.face_model import face_shape, load_face_model
from dfmvr_jax.face_model.arkit import ARKIT, arkit_name, blendshape_sampler
from dfmvr_jax.face_model.arkit_units import BLENDSHAPES, WITHOUT_COUNTERPART, units_of_blendshape
from dfmvr_jax.face_model.coarser import coarser
from dfmvr_jax.face_model.expression_units import EXPRESSION_UNITS
from dfmvr_jax.face_model.mouth_light import mouth_light
from dfmvr_jax.face_model.sampling import sample_coefficients
from dfmvr_jax.landmarks import MOUTH_CORNERS

EARS, NECK, SCALP, TEETH = (HEAD_PARTS.index(name) for name in ("ears", "neck", "scalp", "teeth"))


@pytest.fixture(scope="module", params=["builtin", "builtin-coarse"])
def head(request):
    return load_face_model(request.param)


@pytest.fixture(scope="module")
def coarse():
    return load_face_model("builtin-coarse")


def test_parts_are_where_they_belong(head):
    mean, labels = np.asarray(head.mean_shape), np.asarray(head.part_labels)
    ears, neck, scalp, teeth = (mean[labels == part] for part in (EARS, NECK, SCALP, TEETH))
    assert np.abs(ears[:, 0]).min() > 0.6 and (ears[:, 0] > 0).any() and (ears[:, 0] < 0).any()
    assert neck[:, 1].min() == mean[:, 1].min() and scalp[:, 1].max() == mean[:, 1].max()
    assert np.abs(teeth[:, 0]).max() < 0.4
    face = mean[(np.asarray(head.skin_mask) == 1) & (np.abs(mean[:, 0]) < np.abs(ears[:, 0]).max())]
    assert face[:, 2].min() > np.median(ears[:, 2]) - 0.05  # behind the ears is neck
    assert len(PARSED_AS) == len(HEAD_PARTS) and max(PARSED_AS) < len(PARTS)


def pieces(head, part: int) -> list[np.ndarray]:
    """The vertices of each connected piece of a part."""
    mine, triangles = np.asarray(head.part_labels) == part, np.asarray(head.triangles)
    i, j = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).T
    links = csr_array((1.0 * (mine[i] & mine[j]), (i, j)), (len(mine),) * 2)
    links.eliminate_zeros()
    number = np.where(mine, connected_components(links, directed=False)[1], -1)
    return [np.flatnonzero(number == one) for one in np.unique(number[mine])]


def test_ears_neck_and_scalp_have_no_specks(head):
    """Two ears of 4 cm from front to back, one neck, one scalp."""
    ears = pieces(head, EARS)
    assert (len(ears), len(pieces(head, NECK)), len(pieces(head, SCALP))) == (2, 1, 1)
    for ear in ears:
        assert np.ptp(np.asarray(head.mean_shape)[ear, 2]) < 0.45


def test_teeth_are_behind_the_lips_and_hide_the_tongue(head):
    """The upper ones end 2 mm below the lips' meeting, the lower ones begin a little further down."""
    mean = np.asarray(head.mean_shape)
    lips = mean[np.asarray(head.landmarks)[[62, 66]], 1].mean()
    rows = [mean[row] for row in pieces(head, TEETH)]
    lower, upper = sorted(
        (row[row[:, 2] > row[:, 2].max() - 0.05] for row in rows), key=lambda row: row[:, 1].mean()
    )
    assert lower[:, 1].max() == pytest.approx(lips - 0.035, abs=0.006)
    assert upper[:, 1].min() == pytest.approx(lips - 0.02, abs=0.006)


def test_a_smile_folds_the_cheeks_softly():
    """No sharper beside the mouth than smiles of ICT-FaceKit, whose sharpest folds turn 27 degrees per mm."""
    head = load_face_model("builtin")
    units = units_of_blendshape("mouthSmileLeft") + units_of_blendshape("mouthSmileRight")
    shape = np.asarray(face_shape(head, jnp.zeros(80), jnp.asarray(units, jnp.float32)), float)
    mean, triangles = np.asarray(head.mean_shape), np.asarray(head.triangles)
    corners = mean[head.landmarks[jnp.array(MOUTH_CORNERS)]]
    lips = np.isin(head.part_labels, [HEAD_PARTS.index(f"{name} lip") for name in ("upper", "lower")])
    beside = (cKDTree(corners).query(mean)[0] < 0.3) & (np.asarray(head.part_labels) == 1)
    beside &= cKDTree(mean[lips]).query(mean)[0] > 0.025
    sides = np.sort(np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    order = np.lexsort(sides.T)
    (first,) = np.nonzero(
        (sides[order][1:] == sides[order][:-1]).all(axis=1) & beside[sides[order][1:]].all(axis=1)
    )
    one, other = order[first] // 3, order[first + 1] // 3
    a, b, c = np.moveaxis(shape[triangles], 1, 0)
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    turn = np.degrees(np.arccos(np.sum(normals[one] * normals[other], axis=1).clip(-1, 1)))
    middles = 100 * (a + b + c) / 3  # mm
    turn /= np.linalg.norm(middles[one] - middles[other], axis=1).clip(0.3)
    assert len(turn) > 1000 and np.percentile(turn, 99.9) < 25


def test_the_parse_net_is_taught_the_face_alone(coarse):
    scene = render_scene(coarse, sample_subject(np.random.default_rng(0), coarse), 64)
    labels, shown = np.asarray(scene.labels), np.asarray(scene.coverage) > 0.9
    assert labels.max() < len(PARTS)
    assert (labels[shown] == 0).any()  # ears, neck and scalp are background


def test_only_the_face_counts_in_the_photo_loss(head):
    """Teeth are of the mouth; ears, neck and scalp do not count."""
    weight, labels = np.asarray(head.photo_weight), np.asarray(head.part_labels)
    counts = (labels < EARS) | (labels == TEETH)
    assert (weight[counts] == 1).all() and (weight[~counts] == 0).all()


def test_mirrored_vertices_are_pairs(head):
    mirror, mean = np.asarray(head.mirror), np.asarray(head.mean_shape)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
    skin = np.asarray(head.skin_mask) == 1
    gaps = np.linalg.norm(mean[mirror] * [-1, 1, 1] - mean, axis=1)
    assert gaps[skin].max() < 0.01  # 1 mm
    left_eye, right_eye = (
        np.asarray(head.part_labels) == HEAD_PARTS.index(f"{s} eye") for s in ("left", "right")
    )
    assert right_eye[mirror[left_eye]].all()


def test_the_texture_has_a_place_for_every_triangle(head):
    uv, corners = np.asarray(head.uv), np.asarray(head.uv_triangles)
    assert uv.min() >= 0 and uv.max() <= 1
    a, b, c = np.moveaxis(uv[corners].astype(float), 1, 0)
    (abx, aby), (acx, acy) = (b - a).T, (c - a).T
    area = (abx * acy - aby * acx) / 2
    assert (area > 0).mean() > 0.97  # seen from outside, none is turned over but in folds
    assert 0.5 < area[area > 0].sum() < 1  # of the square
    # corners of a triangle are those of its vertices: one vertex has few places
    places = np.unique(np.stack([np.asarray(head.triangles).ravel(), corners.ravel()], axis=-1), axis=0)
    assert np.bincount(places[:, 0]).max() <= 4
    # most of the texture's middle size belongs to the face
    shape = np.asarray(head.mean_shape)[np.asarray(head.triangles)].astype(float)
    size = np.linalg.norm(np.cross(shape[:, 1] - shape[:, 0], shape[:, 2] - shape[:, 0]), axis=1) / 2
    labels = np.asarray(head.part_labels)[np.asarray(head.triangles)[:, 0]]
    density = {part: area[labels == part].sum() / size[labels == part].sum() for part in (1, SCALP)}
    assert density[1] > 1.2 * density[SCALP]


def test_no_triangle_of_the_texture_covers_another(coarse):
    """Drawn one after the other, triangles leave nearly as many texels as they have area."""
    uv, corners = np.asarray(coarse.uv), np.asarray(coarse.uv_triangles)
    size = 1024
    counts = np.zeros((size, size), int)
    for triangle in uv[corners] * size:
        low, high = np.floor(triangle.min(axis=0)).astype(int), np.ceil(triangle.max(axis=0)).astype(int)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        inside = np.ones(x.shape, bool)
        for (x0, y0), (x1, y1) in zip(triangle, np.roll(triangle, -1, axis=0)):
            inside &= (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0
        counts[low[1] : high[1], low[0] : high[0]] += inside
    assert (counts > 1).sum() < 0.02 * (counts > 0).sum()


def test_arkit_has_52_names():
    assert len(set(ARKIT)) == 52 and "mouthSmileLeft" in ARKIT and "tongueOut" in ARKIT
    assert arkit_name("browDown_L") == "browDownLeft" and arkit_name("eyeWide_R") == "eyeWideRight"
    assert arkit_name("jawOpen") == "jawOpen"


def test_arkits_shapes_of_the_built_in_head(coarse):
    assert set(BLENDSHAPES) | set(WITHOUT_COUNTERPART) == set(ARKIT)
    assert not set(BLENDSHAPES) & set(WITHOUT_COUNTERPART)
    mean, marks = np.asarray(coarse.mean_shape), np.asarray(coarse.landmarks)

    def motion(name):
        units = jnp.asarray(units_of_blendshape(name), jnp.float32)
        return (np.asarray(face_shape(coarse, jnp.zeros(80), units)) - mean)[marks]

    right_corner, left_corner = MOUTH_CORNERS
    smile = motion("mouthSmileLeft")
    assert smile[left_corner, 0] > 0.05 and abs(smile[right_corner, 0]) < 0.01
    assert motion("jawOpen")[8, 1] < -0.2
    assert motion("eyeBlinkRight")[37, 1] < -0.05 and abs(motion("eyeBlinkRight")[43, 1]) < 1e-3
    assert motion("mouthLeft")[left_corner, 0] > 0.03 > -0.03 > motion("mouthRight")[right_corner, 0]
    mirrored = {54: 48, 48: 54}
    other = motion("mouthSmileRight")
    for here, there in mirrored.items():
        np.testing.assert_allclose(smile[here] * [-1, 1, 1], other[there], atol=0.01)
    assert not units_of_blendshape("tongueOut").any()
    with pytest.raises(ValueError, match="'mouthSmileLeftt' is none of ARKit's"):
        units_of_blendshape("mouthSmileLeftt")
    assert len(units_of_blendshape("jawOpen")) == len(EXPRESSION_UNITS)


def test_blendshapes_are_drawn_within_their_bounds():
    names = tuple(name for name in ARKIT if name != "tongueOut")
    sample = blendshape_sampler(names)
    assert sample is blendshape_sampler(names)  # one object: models with it are compiled once
    draws = np.stack([sample(np.random.default_rng(seed)) for seed in range(300)])
    assert draws.min() == 0 and draws.max() <= 1
    still = [k for k, name in enumerate(names) if not name.startswith("eyeLook")]
    assert 0.15 < (draws[:, still] == 0).all(axis=1).mean() < 0.45
    assert (draws > 0).any(axis=0).mean() > 0.8  # nearly all are used


def test_a_coarser_head_keeps_landmarks_and_modes(coarse):
    half = coarser(coarse, 6000)
    assert 5000 < half.num_vertices < 7000
    ours, theirs = (np.asarray(m.mean_shape)[m.landmarks_3d] for m in (half, coarse))
    np.testing.assert_allclose(ours[:68], theirs[:68], atol=1e-6)
    assert np.linalg.norm(ours - theirs, axis=1).max() < 0.1  # the others are the nearest vertices
    coefficients = [jnp.asarray(c) for c in sample_coefficients(np.random.default_rng(0), coarse)[:2]]
    np.testing.assert_allclose(
        face_shape(half, *coefficients)[half.landmarks],
        face_shape(coarse, *coefficients)[coarse.landmarks],
        atol=1e-6,
    )
    assert int(half.triangles.max()) == half.num_vertices - 1
    assert half.uv_triangles.shape == half.triangles.shape
    assert dataclasses.replace(half, name="x").dimensions == coarse.dimensions
    assert jax.tree.structure(half) != jax.tree.structure(coarse)  # their names differ


def test_it_is_dark_behind_lips_that_hardly_part(coarse):
    neutral = 100 * np.asarray(coarse.mean_shape, np.float64)
    opened = 100 * np.asarray(coarse.expression_basis, np.float64) @ units_of_blendshape("jawOpen")
    inner = np.isin(coarse.part_labels, [HEAD_PARTS.index(part) for part in ("mouth", "teeth")])
    shut, ajar, wide = (mouth_light(coarse, neutral + share * opened) for share in (0, 0.1, 1))
    assert (shut[inner] < 0.2).all() and (wide == 1).all()
    assert (shut[inner] < ajar[inner]).all() and (ajar[inner] < 1).all()
    assert (shut[~inner] == 1).all()
