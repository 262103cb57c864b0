"""ICT-FaceKit as a head model: a made-up clone in every run, the real one where it is at hand."""

import contextlib
import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

import dfmvr_jax.face_model.ict_facekit as ict_facekit
from dfmvr_jax.closest_points import closest_points
from dfmvr_jax.commands import prepare_ict as command
from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import face_shape, load_face_model
from dfmvr_jax.face_model.arkit_units import units_of_blendshape
from dfmvr_jax.face_model.coarser import coarser
from dfmvr_jax.face_model.ict_facekit import MARKS, NEUTRAL, FaceKit, read_facekit
from dfmvr_jax.face_model.ict_model import _in_one_square, facekit_model
from dfmvr_jax.face_model.loading import load_npz
from dfmvr_jax.face_model.model_file import write_model
from dfmvr_jax.face_model.sampling import sample_coefficients
from tests.run_program import run_program

NAMES = ("browDown_L", "browDown_R", "jawOpen", "mouthClose")
MODES = 5


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A small clone: the built-in head cut into ICT's pieces, in centimetres, with made-up modes."""
    head = load_face_model("builtin-coarse")
    labels, shape = np.asarray(head.part_labels), np.asarray(head.mean_shape)
    part = {name: HEAD_PARTS.index(name) for name in HEAD_PARTS}
    order = [
        np.isin(
            labels, [k for k in range(1, 10) if k not in (part["left eye"], part["right eye"], part["mouth"])]
        ),
        np.isin(labels, (part["ears"], part["neck"])),
        labels == part["scalp"],
        labels == part["mouth"],
        np.zeros_like(labels, bool),
        np.zeros_like(labels, bool),
        labels == part["teeth"],
        labels == part["left eye"],
        np.zeros_like(labels, bool),
        labels == part["right eye"],
    ]
    old = np.concatenate([np.flatnonzero(mine) for mine in order])
    number = np.full(len(labels), -1)
    number[old] = np.arange(len(old))
    root = tmp_path_factory.mktemp("ICT-FaceKit")
    models = root / "FaceXModel"
    models.mkdir()
    ends = np.cumsum([mine.sum() for mine in order])
    pieces = dict(zip(ict_facekit.PIECES, [*ends.tolist(), len(old), len(old), len(old)]))
    positions = 10 * shape[old]
    write_obj(
        models / NEUTRAL,
        positions,
        number[np.asarray(head.triangles)],
        np.asarray(head.uv),
        head.uv_triangles,
    )
    for mode in range(MODES):
        moved = 10 * np.asarray(head.identity_basis)[old, :, mode]
        write_obj(models / f"identity{mode:03d}.obj", positions + moved)
    units = np.eye(head.dimensions[1])[: len(NAMES)]
    units[NAMES.index("jawOpen")] = units_of_blendshape("jawOpen")
    for unit, name in zip(units, NAMES):
        write_obj(models / f"{name}.obj", positions + 10 * np.asarray(head.expression_basis)[old] @ unit)
    marks = {"expressions": NAMES, "idx_to_landmark_verts": number[np.asarray(head.landmarks)].tolist()}
    (models / MARKS).write_text(json.dumps(marks))
    patch = pytest.MonkeyPatch()
    patch.setattr(ict_facekit, "PIECES", pieces)
    patch.setattr(ict_facekit, "VERTICES", len(old))
    patch.setattr(ict_facekit, "IDENTITIES", MODES)
    patch.setattr(ict_facekit, "RIGHT_JAW", marks["idx_to_landmark_verts"][:8])
    patch.setattr(ict_facekit, "LEFT_JAW", marks["idx_to_landmark_verts"][9:17])
    yield root
    patch.undo()


def write_obj(path: Path, vertices, triangles=(), uv=(), uv_triangles=()):
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in uv]
    lines += [
        "f " + " ".join(f"{a + 1}/{b + 1}" for a, b in zip(face, corners))
        for face, corners in zip(np.asarray(triangles), np.asarray(uv_triangles))
    ]
    path.write_text("\n".join(lines) + "\n")


def test_a_clone_is_a_head_model(clone):
    model, head = load_face_model(str(clone)), load_face_model("builtin-coarse")
    assert model.name == "ict" and model.dimensions == (MODES, len(NAMES), 80)
    assert model.expression_names == ("browDownLeft", "browDownRight", "jawOpen", "mouthClose")
    prior = model.expression_prior
    assert (np.asarray(prior.lowest) == 0).all() and (np.asarray(prior.highest) == 1).all()
    # the head that it is made of lies where it lay, in decimetres, with its parts and its colours
    # but for the inner lips, which are put together
    ours, theirs = (np.asarray(m.mean_shape)[m.landmarks[:60]] for m in (model, head))
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    found, expected = (np.asarray(m.part_labels)[m.landmarks_3d[:68]] for m in (model, head))
    assert (found == expected).mean() > 0.95
    skin = np.asarray(model.part_labels) == 1
    np.testing.assert_allclose(
        np.asarray(model.mean_albedo)[skin].mean(axis=0),
        np.asarray(head.mean_albedo)[np.asarray(head.part_labels) == 1].mean(axis=0),
        atol=0.02,
    )
    narrow = int(np.asarray(ict_facekit.PIECES["narrow face"]))
    beside = [HEAD_PARTS.index(name) for name in ("ears", "scalp")]
    assert not np.isin(np.asarray(model.part_labels)[:narrow], beside).any()
    mirror = np.asarray(model.mirror)
    assert (mirror[mirror] == np.arange(len(mirror))).mean() > 0.99
    identity, expression, _ = (jnp.asarray(c) for c in sample_coefficients(np.random.default_rng(0), model))
    assert ((expression >= 0) & (expression <= 1)).all()
    np.testing.assert_allclose(
        face_shape(model, identity, 0 * expression)[model.landmarks[:60]],
        face_shape(head, jnp.zeros(80).at[:MODES].set(identity), jnp.zeros(64))[head.landmarks[:60]],
        atol=3e-3,
    )


@pytest.mark.parametrize("coarse", [(), ("--coarse",)], ids=["whole", "coarse"])
def test_it_is_prepared_into_one_file(clone, tmp_path, monkeypatch, capsys, coarse):
    out = tmp_path / "ict.npz"
    code, said, err = run_program(monkeypatch, capsys, command.main, "--source", clone, "--out", out, *coarse)
    assert code == 0, err
    assert "vertices" in said and str(out) in said
    model, whole = load_npz(out), facekit_model(read_facekit(clone))
    np.testing.assert_allclose(
        np.asarray(model.mean_shape)[model.landmarks],
        np.asarray(whole.mean_shape)[whole.landmarks],
        atol=1e-6,
    )
    np.testing.assert_allclose(  # half floats
        np.asarray(model.identity_basis)[model.landmarks],
        np.asarray(whole.identity_basis)[whole.landmarks],
        rtol=1e-3,
        atol=1e-6,
    )
    assert model.expression_sampler is whole.expression_sampler
    assert (model.num_vertices < whole.num_vertices) == bool(coarse)
    np.testing.assert_array_equal(model.albedo_examples, load_face_model("builtin").albedo_examples)


def test_a_coarser_head_is_whole(clone):
    """It faces outwards, lies on the old surface, is the same on both sides, and has the old textures."""
    whole = facekit_model(read_facekit(clone))
    coarse = coarser(whole, whole.num_vertices // 2)
    old, new = (np.asarray(m.mean_shape, np.float64) for m in (whole, coarse))
    for part in (1, 4, 5, 6):  # face, eyes, nose: pieces of one layer
        normals, centres, texture = zip(*(part_of(m, part) for m in (whole, coarse)))
        distance, nearest = cKDTree(centres[0]).query(centres[1])
        assert np.median(distance) < 0.02
        assert (np.sum(normals[1] * normals[0][nearest], axis=1) > 0).mean() > 0.99
        gaps = np.linalg.norm(texture[1] - texture[0][nearest], axis=1)
        assert np.quantile(gaps, 0.95) < 0.02  # of the whole texture
    edges = np.sort(coarse.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] <= 2).mean() > 0.999
    mirror = np.asarray(coarse.mirror)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
    assert np.linalg.norm(new[mirror] * [-1, 1, 1] - new, axis=1).max() < 0.02  # 2 mm
    away = closest_points(old, np.asarray(whole.triangles), new).points - new
    assert np.linalg.norm(away, axis=1).max() < 1e-4
    labels = np.asarray(coarse.part_labels)
    nearest = cKDTree(old).query(new)[1]
    assert (labels == np.asarray(whole.part_labels)[nearest]).mean() > 0.95
    assert len(set(np.asarray(coarse.landmarks_3d).tolist())) == len(whole.landmarks_3d)


def part_of(model, part):
    """Unit normals, middles and texture coordinates [k, 3], [k, 3], [k, 2] of a part's triangles."""
    triangles = np.asarray(model.triangles)
    mine = (np.asarray(model.part_labels)[triangles] == part).all(axis=1)
    corners = np.asarray(model.mean_shape, np.float64)[triangles[mine]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    texture = np.asarray(model.uv)[np.asarray(model.uv_triangles)[mine]].mean(axis=1)
    return normals, corners.mean(axis=1), texture


def test_the_inner_folder_will_do_too(clone):
    assert load_face_model(str(clone / "FaceXModel")).dimensions == (MODES, len(NAMES), 80)


def test_textures_that_lie_side_by_side_are_one_square():
    """Tiles of the files from 0 to 4, and an eye that has all of the first tile for itself."""
    corners = np.array([[0.5, 0.5], [1.5, 0.25], [3.25, 1.0]], np.float32)
    kit = FaceKit(
        neutral=np.zeros((2, 3)),
        identity=np.zeros((0, 2, 3)),
        expression=np.zeros((0, 2, 3)),
        expression_names=(),
        triangles=np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]]),
        uv=corners,
        uv_triangles=np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2], [0, 0, 0]]),
        landmarks=np.zeros(68, int),
        pieces=np.array([0, list(ict_facekit.PIECES).index("left sclera")]),
    )
    uv, rows = _in_one_square(kit)
    expected = [[1 / 3, 2 / 3], [2 / 3 + 1 / 6, 2 / 3 + 1 / 12], [2 / 3 + 1 / 12, 1 / 3], [1 / 6, 1 / 6]]
    np.testing.assert_allclose(uv[rows[:, 0]], expected, atol=1e-6)


def test_bad_clones_are_named(clone, tmp_path, monkeypatch, capsys):
    def refused(source, *words):
        code, _, err = run_program(
            monkeypatch, capsys, command.main, "--source", source, "--out", tmp_path / "x.npz"
        )
        assert code == 2 and err.strip().count("\n") == 0, err
        for word in words:
            assert str(word) in err
        assert not (tmp_path / "x.npz").exists()

    empty = tmp_path / "ICT-FaceKit"
    empty.mkdir()
    refused(empty, empty, "FaceXModel", "git clone")
    with pytest.raises(InputError, match="git clone"):
        load_face_model(str(empty))
    copy = tmp_path / "copy"
    models = copy / "FaceXModel"
    models.mkdir(parents=True)
    for file in (clone / "FaceXModel").iterdir():
        (models / file.name).symlink_to(file)
    (models / "jawOpen.obj").unlink()
    refused(copy, models, "jawOpen.obj")
    text = (clone / "FaceXModel" / "jawOpen.obj").read_text()
    (models / "jawOpen.obj").write_text(text[: len(text) // 2])
    refused(copy, models / "jawOpen.obj", "cut off")
    (models / "jawOpen.obj").write_text(text)
    (models / MARKS).unlink()
    whole_marks = json.loads((clone / "FaceXModel" / MARKS).read_text())
    for marks in (10 * [0], 68 * [-1], 68 * [[0, 0]]):
        (models / MARKS).write_text(json.dumps(whole_marks | {"idx_to_landmark_verts": marks}))
        refused(copy, models / MARKS, "68 different vertices")
    (models / MARKS).write_text("{")
    refused(copy, models / MARKS)
    (models / MARKS).write_text(json.dumps(whole_marks))
    text = (clone / "FaceXModel" / NEUTRAL).read_text()
    (models / NEUTRAL).unlink()
    faces = text.index("\nf ")
    for damaged in (
        text[: text.index("\n", (faces + len(text)) // 2)],  # half of the faces
        text[:faces],
        text[: faces + 5],  # within a face
        text.replace("\nf 1/", "\nf 999999/", 1) if "\nf 1/" in text else text[: faces + 9],
    ):
        (models / NEUTRAL).write_text(damaged)
        refused(copy, models / NEUTRAL, "clone it again")
    (models / NEUTRAL).write_text(text.replace("v ", "v nan ", 1))
    refused(copy, models / NEUTRAL, "finite numbers")
    (models / NEUTRAL).write_text(text.replace("\nf ", "\nf 99999999999/1 2/2 3/3\nf ", 1))
    refused(copy, models / NEUTRAL, "clone it again")
    (models / NEUTRAL).write_bytes(text.encode() + b"\nf \xff\xfe\n")
    refused(copy, models / NEUTRAL, "clone it again")
    folder = tmp_path / "folder.npz"
    folder.mkdir()
    code, _, err = run_program(monkeypatch, capsys, command.main, "--source", clone, "--out", folder)
    assert code == 2 and f"{folder}: is a folder" in err
    code, _, err = run_program(
        monkeypatch, capsys, command.main, "--source", clone, "--out", tmp_path / "ict.mat"
    )
    assert code == 2 and "npz" in err


def test_other_npz_files_are_named(tmp_path):
    other = tmp_path / "other.npz"
    np.savez(other, a=np.zeros(3))
    with pytest.raises(InputError, match=f"^{other}: is no face model; expected .*found a$"):
        load_face_model(str(other))
    np.savez(other, format=np.array("dfmvr_jax face model 1"), a=np.zeros(3))
    with pytest.raises(InputError, match=f"^{other}: was written by another version"):
        load_face_model(str(other))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(
        InputError, match=r"array.npz: is a NumPy array \(.npy\), expected an .npz file.*prepare_ict"
    ):
        load_face_model(str(tmp_path / "array.npz"))
    with pytest.raises(InputError, match=f"face model {tmp_path}: this folder has no FaceXModel"):
        load_face_model(str(tmp_path))
    with pytest.raises(InputError, match="there is no such file or folder; expected builtin"):
        load_face_model(str(tmp_path / "nowhere"))
    model = load_face_model("builtin-coarse")
    write_model(other, dataclasses.replace(model, triangles=model.triangles + 9**6))
    with pytest.raises(InputError, match=f"^{other}: cannot be read"):
        load_face_model(str(other))
    write_model(other, dataclasses.replace(model, mean_shape=10 * model.mean_shape))
    with pytest.raises(InputError, match="is .* mm high"):
        load_face_model(str(other))
    write_model(other, model)
    np.savez(other, **dict(np.load(other)))
    whole = other.read_bytes()
    arrays = dict(np.load(other))
    other.write_bytes(whole[:60])
    with pytest.raises(InputError, match=f"{other}: is no .npz file"):
        load_face_model(str(other))
    for place in range(0, 400, 7):  # within the first headers: numpy and zipfile raise errors of many kinds
        other.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with contextlib.suppress(InputError):
            load_npz(other)
    arrays["landmarks"] = arrays["landmarks"].astype(np.int64) + 2**40
    np.savez(other, **arrays)
    with pytest.raises(InputError, match="landmarks holds int64, or numbers that are too large"):
        load_npz(other)
    with pytest.raises(InputError, match="none.npz: there is no such file; .*prepare_ict"):
        load_face_model(str(tmp_path / "none.npz"))
