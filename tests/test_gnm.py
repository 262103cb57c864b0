"""GNM Head: read from a made-up file of the documented layout, as the real one is not at hand."""

import shutil

import numpy as np
import pytest

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.gnm import LANDMARKS, load_gnm
from dfmvr_jax.landmarks import WITHOUT_JAW

IDENTITIES, EXPRESSIONS = 6, 4


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_gnm_head(tmp_path_factory.mktemp("gnm"))


def write_gnm_head(folder):
    """The built-in head as GNM would hold it: metres, mode by mode, with corneas that hide the eyes."""
    head = load_face_model("builtin-coarse")
    shape, labels = np.asarray(head.mean_shape) / 10, np.asarray(head.part_labels)
    left_eye, right_eye = (labels == HEAD_PARTS.index(f"{side} eye") for side in ("left", "right"))
    eyes = np.flatnonzero(left_eye | right_eye)
    number = np.full(len(shape), -1)
    number[eyes] = len(shape) + np.arange(len(eyes))
    triangles = np.asarray(head.triangles)
    corneas = number[triangles[(number[triangles] >= 0).all(axis=1)]]
    cornea = np.arange(len(shape) + len(eyes)) >= len(shape)

    def twice(values):
        return np.concatenate([values, values[..., eyes, :]], axis=-2)

    groups = {
        "skin": np.isin(labels, (1, 2, 3, 6, 8, 9)),
        "left_eye": left_eye,
        "right_eye": right_eye,
        "tongue": labels == HEAD_PARTS.index("mouth"),
        "upper_teeth_and_gums": labels == HEAD_PARTS.index("teeth"),
    }
    weights = np.stack([np.concatenate([mine, mine[eyes]]) for mine in groups.values()] + [cornea]).astype(
        np.float32
    )
    triangles = np.concatenate([triangles, corneas])
    path = folder / "gnm_head.npz"
    np.savez(
        path,
        version="3.0",
        template_vertex_positions=twice(shape),
        vertex_identity_basis=twice(np.moveaxis(np.asarray(head.identity_basis), -1, 0)[:IDENTITIES] / 10),
        expression_basis=twice(np.moveaxis(np.asarray(head.expression_basis), -1, 0)[:EXPRESSIONS] / 10),
        triangles=triangles,
        triangle_uvs=np.concatenate([np.asarray(head.uv)[head.uv_triangles], np.zeros((len(corneas), 3, 2))]),
        vertex_groups=weights,
        vertex_group_names=np.array([*groups, "eye_exteriors"]),
        expression_names=np.array([f"lower_face_region_{k}" for k in range(EXPRESSIONS)]),
    )
    marks = np.asarray(head.landmarks)
    marks = np.concatenate([marks[:2], marks[2:7][::-1], marks[7:]])  # part of its jaw runs backwards
    rows = [[mark, 1.0, mark, 0.0, mark, 0.0] for mark in marks]
    np.savetxt(path.with_name(LANDMARKS), rows, fmt=["%d", "%.6f"] * 3)
    return path


def test_a_gnm_file_is_a_head_model(file):
    model, head = load_face_model(str(file)), load_face_model("builtin-coarse")
    assert model.name == "gnm" and model.dimensions == (IDENTITIES, EXPRESSIONS, 80)
    assert model.num_vertices == head.num_vertices  # no corneas
    np.testing.assert_array_equal(model.landmarks, head.landmarks)
    ours, theirs = (np.asarray(m.mean_shape) for m in (model, head))
    np.testing.assert_allclose(
        ours - ours.mean(axis=0), theirs - theirs.mean(axis=0), atol=1e-4
    )  # decimetres
    marks = np.asarray(load_face_model("builtin").landmarks)[WITHOUT_JAW]
    goal = np.asarray(load_face_model("builtin").mean_shape)[marks].mean(axis=0)
    np.testing.assert_allclose(ours[np.asarray(model.landmarks)[WITHOUT_JAW]].mean(axis=0), goal, atol=1e-4)
    np.testing.assert_allclose(model.identity_basis, head.identity_basis[..., :IDENTITIES], atol=1e-6)
    np.testing.assert_allclose(model.expression_basis, head.expression_basis[..., :EXPRESSIONS], atol=1e-6)
    same = np.asarray(model.part_labels) == np.asarray(head.part_labels)
    assert same.mean() > 0.95
    colours = [np.asarray(m.mean_albedo)[same] for m in (model, head)]
    assert np.abs(colours[0] - colours[1]).mean() < 0.03
    np.testing.assert_allclose(
        np.asarray(model.uv)[model.uv_triangles], np.asarray(head.uv)[head.uv_triangles], atol=1e-6
    )


def test_a_clone_has_its_landmarks_elsewhere(file, tmp_path):
    folder = tmp_path / "shape" / "data" / "versions" / "v3_0"
    folder.mkdir(parents=True)
    shutil.copy(file, folder)
    with pytest.raises(InputError, match=f"{folder / file.name}: needs the landmarks {LANDMARKS}"):
        load_gnm(folder / file.name)
    (tmp_path / "shape" / "data" / "landmarks").mkdir()
    shutil.copy(file.with_name(LANDMARKS), tmp_path / "shape" / "data" / "landmarks")
    assert load_gnm(folder / file.name).name == "gnm"


def test_bad_files_are_named(file, tmp_path):
    shutil.copy(file.with_name(LANDMARKS), tmp_path)
    with np.load(file) as whole:
        arrays = dict(whole)
    bad = tmp_path / "gnm_head.npz"
    for changes, problem in (
        ({"triangles": None}, "array triangles is missing"),
        ({"expression_basis": arrays["expression_basis"][:, :-1]}, "array expression_basis has shape"),
        ({"triangles": arrays["triangles"] + 9**6}, "points outside"),
        ({"triangles": arrays["triangles"] * 1.0}, "array triangles has .* of type float64"),
        ({"triangles": arrays["triangles"][:0]}, "array triangles has 0 values"),
        ({"expression_names": np.zeros(EXPRESSIONS)}, "array expression_names has .* of type float64"),
        ({"template_vertex_positions": arrays["template_vertex_positions"] * np.nan}, "not finite"),
    ):
        np.savez(bad, **{name: value for name, value in (arrays | changes).items() if value is not None})
        with pytest.raises(InputError, match=f"{bad}.*{problem}"):
            load_gnm(bad)
    bad.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match=f"{bad}: is no .npz file"):
        load_face_model(str(bad))
    with pytest.raises(InputError, match=f"{bad}: cannot be read"):
        load_gnm(bad)
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    bad.write_bytes(damaged)
    with pytest.raises(InputError, match=f"{bad}: cannot be read"):
        load_gnm(bad)
    np.savez(bad, **arrays | {"template_vertex_positions": 100 * arrays["template_vertex_positions"]})
    with pytest.raises(InputError, match="mm high"):
        load_face_model(str(bad))
    shutil.copy(file, bad)
    rows = np.loadtxt(file.with_name(LANDMARKS))
    for wrong in (rows[:, :4], rows[:10], np.concatenate([rows[:-1], -np.ones((1, 6))])):
        np.savetxt(tmp_path / LANDMARKS, wrong)
        with pytest.raises(InputError, match=f"{tmp_path / LANDMARKS}"):
            load_gnm(bad)
    (tmp_path / LANDMARKS).write_text("1 2 3\n")
    with pytest.raises(InputError, match=f"{tmp_path / LANDMARKS}"):
        load_gnm(bad)
