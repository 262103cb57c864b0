"""The BFM loader, on small files of the same format: the real file is licence-gated."""

import numpy as np
import pytest
from scipy.io import savemat

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model, vertex_normals
from dfmvr_jax.face_model.bfm import load_bfm
from dfmvr_jax.face_model.morphable_model import vertex_rings

SIDE = 12
VERTICES = SIDE * SIDE


def arrays() -> dict[str, np.ndarray]:
    """A bent sheet of 144 vertices as MATLAB stores it: 1-based indices, colours 0..255, columns of xyz."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    x, y = columns / (SIDE - 1) * 1.6 - 0.8, 0.9 - rows / (SIDE - 1) * 1.8
    mean = np.stack([x, y, 0.5 - 0.4 * x**2], -1).reshape(-1, 3) + [0.1, 0.2, 3.0]
    corner = (rows * SIDE + columns)[:-1, :-1].ravel()
    triangles = np.concatenate(
        [
            np.stack([corner, corner + SIDE, corner + 1], -1),
            np.stack([corner + 1, corner + SIDE, corner + SIDE + 1], -1),
        ]
    )
    rings = vertex_rings(triangles, VERTICES)
    rings = np.pad(rings, ((0, 0), (0, 8 - rings.shape[1])), constant_values=len(triangles))
    return {
        "meanshape": mean.reshape(1, -1),
        "idBase": rng.normal(size=(3 * VERTICES, 80)),
        "exBase": rng.normal(size=(3 * VERTICES, 64)),
        "meantex": rng.uniform(0, 255, (1, 3 * VERTICES)),
        "texBase": rng.normal(0, 10, (3 * VERTICES, 80)),
        "tri": triangles + 1,
        "point_buf": rings + 1,
        "keypoints": rng.permutation(VERTICES)[:68].reshape(1, -1) + 1,
        "skinmask": (rng.random((1, VERTICES)) > 0.3) * 1.0,
        "frontmask2_idx": np.arange(10, VERTICES)[:, None] + 1,
    }


@pytest.fixture
def write(tmp_path):
    def write_mat(changes: dict, drop: tuple = ()):
        path = tmp_path / "BFM_model_front.mat"
        savemat(path, {k: v for k, v in (arrays() | changes).items() if k not in drop})
        return path

    return write_mat


def test_every_array_lands_where_it_belongs(write):
    stored = arrays()
    model = load_face_model(str(write({})))
    assert (model.num_vertices, model.dimensions) == (VERTICES, (80, 64, 80))
    assert model.name == "bfm"
    mean = stored["meanshape"].reshape(-1, 3)
    np.testing.assert_allclose(model.mean_shape, mean - mean.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(model.mean_albedo.ravel() * 255, stored["meantex"][0], atol=1e-4)
    for v, axis, k in ((0, 0, 0), (5, 2, 7), (VERTICES - 1, 1, 63)):
        row = 3 * v + axis
        np.testing.assert_allclose(model.identity_basis[v, axis, k], stored["idBase"][row, k], rtol=1e-6)
        np.testing.assert_allclose(model.expression_basis[v, axis, k], stored["exBase"][row, k], rtol=1e-6)
        np.testing.assert_allclose(model.albedo_basis[v, axis, k] * 255, stored["texBase"][row, k], rtol=1e-5)
    np.testing.assert_array_equal(model.triangles, stored["tri"] - 1)
    np.testing.assert_array_equal(model.landmarks, stored["keypoints"][0] - 1)
    np.testing.assert_array_equal(model.skin_mask, stored["skinmask"][0])
    assert (model.part_labels == 1).all()


def test_normals_with_padded_rings(write):
    """The padding F + 1 of `point_buf` becomes F, which `vertex_normals` takes for no triangle."""
    model = load_bfm(write({}))
    assert model.vertex_triangles.max() == len(model.triangles)
    normals = np.asarray(vertex_normals(model.mean_shape, model))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert (normals[:, 2] > 0).all()  # the sheet faces +z: counter-clockwise seen from outside


def test_the_101_points_are_the_68_and_33_that_spread(write):
    model = load_bfm(write({}))
    points = np.asarray(model.landmarks_3d)
    np.testing.assert_array_equal(points[:68], model.landmarks)
    assert len(set(points[68:].tolist())) == 33 and not set(points[68:]) & set(points[:68].tolist())
    assert points[68:].min() >= 10  # all in the front mask
    mean = np.asarray(model.mean_shape)
    front = np.arange(10, VERTICES)
    for count in range(68, 101):  # each is the farthest point of the mask from all before it
        gaps = np.linalg.norm(mean[front, None] - mean[points[:count]], axis=-1).min(axis=1)
        np.testing.assert_allclose(gaps[points[count] - 10], gaps.max(), rtol=1e-5)


def test_other_dimensions_come_from_the_file(write):
    model = load_bfm(write({"idBase": np.zeros((3 * VERTICES, 7)), "exBase": np.zeros((3 * VERTICES, 3))}))
    assert model.dimensions == (7, 3, 80)


@pytest.mark.parametrize(
    "changes, drop, message",
    [
        ({}, ("exBase",), "array exBase is missing; found meanshape.*expected meanshape"),
        (
            {"idBase": np.zeros((9, 80))},
            (),
            rf"idBase has shape \(9, 80\); expected \({3 * VERTICES}, identity\)",
        ),
        ({"meanshape": np.zeros((1, 100))}, (), "meanshape has 100 numbers; expected a multiple of 3"),
        ({"tri": np.ones((5, 4))}, (), r"tri has shape \(5, 4\); expected \(F, 3\)"),
        (
            {"tri": np.full((5, 3), VERTICES + 1)},
            (),
            f"tri has values.*expected indices from 1 to {VERTICES}",
        ),
        ({"tri": np.zeros((5, 3))}, (), "tri has values from 0 to 0"),
        ({"keypoints": np.ones((1, 51))}, (), r"keypoints has shape \(1, 51\); expected \(1, 68\)"),
        ({"meantex": np.full((1, 3 * VERTICES), np.nan)}, (), "meantex has values that are not finite"),
        ({"skinmask": "none"}, (), "skinmask holds"),
        ({"skinmask": np.ones((1, 5))}, (), rf"skinmask has shape \(1, 5\); expected \(1, {VERTICES}\)"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(write, changes, drop, message):
    path = write(changes, drop)
    with pytest.raises(InputError, match=message) as caught:
        load_bfm(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("array", "name", "remedy"),
    [
        ("shapeMU", "01_MorphableModel.mat", "prepare_bfm makes BFM_model_front.mat of it"),
        ("trimIndex", "BFM_exp_idx.mat", "prepare_bfm makes BFM_model_front.mat of it"),
        ("unheard", "", "array meanshape is missing; found unheard; expected meanshape"),
    ],
)
def test_other_files_of_the_basel_model_are_known(tmp_path, array, name, remedy):
    path = tmp_path / "BFM_model_front.mat"
    savemat(path, {array: np.zeros((3, 1))})
    with pytest.raises(InputError, match=f"BFM_model_front.mat: .*{name}.*{remedy}"):
        load_face_model(str(path))


def test_files_that_are_no_matlab_files(write, tmp_path):
    whole = write({}).read_bytes()
    expected = "expected a MATLAB file of version 5 to 7"
    for name, content, message in (
        ("truncated", whole[: len(whole) // 2], "cannot be read as a MATLAB file .* is it cut off"),
        ("empty", b"", f"is empty, {expected}; copy or download it again"),
        ("text", b"hello " * 100, "cannot be read as a MATLAB file"),
        ("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(600), f"is an HDF5 file, {expected}"),
        ("v73", b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM", r".*of version 7.3, .*save\(..., '-v7'\)"),
        ("page", b"<!DOCTYPE html><html>", f"is a web page, {expected}; download the file itself"),
        (
            "pointer",
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a pointer of Git LFS.*lfs pull",
        ),
        ("picture", b"\xff\xd8\xff\xe0" + bytes(99), f"is a JPEG picture, {expected}"),
    ):
        path = tmp_path / f"{name}.mat"
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{name}.mat: {message}") as caught:
            load_bfm(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="there is no such file"):
        load_face_model(str(tmp_path / "absent.mat"))
