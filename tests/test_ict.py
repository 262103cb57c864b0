"""ICT-FaceKit as a head model: a made-up clone in every run, the real one where it is at hand."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import dfmvr_jax.face_model.ict_facekit as ict_facekit
from dfmvr_jax.commands import prepare_ict as command
from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import face_shape, load_face_model
from dfmvr_jax.face_model.ict_facekit import MARKS, NEUTRAL, read_facekit
from dfmvr_jax.face_model.ict_model import facekit_model
from dfmvr_jax.face_model.loading import load_npz
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
    for k, name in enumerate(NAMES):
        write_obj(models / f"{name}.obj", positions + 10 * np.asarray(head.expression_basis)[old, :, k])
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
    ours, theirs = (np.asarray(m.mean_shape)[m.landmarks] for m in (model, head))
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    found, expected = (np.asarray(m.part_labels)[m.landmarks_3d[:68]] for m in (model, head))
    assert (found == expected).mean() > 0.9
    skin = np.asarray(model.part_labels) == 1
    np.testing.assert_allclose(
        np.asarray(model.mean_albedo)[skin].mean(axis=0),
        np.asarray(head.mean_albedo)[np.asarray(head.part_labels) == 1].mean(axis=0),
        atol=0.02,
    )
    mirror = np.asarray(model.mirror)
    assert (mirror[mirror] == np.arange(len(mirror))).mean() > 0.99
    identity, expression, _ = (jnp.asarray(c) for c in sample_coefficients(np.random.default_rng(0), model))
    assert ((expression >= 0) & (expression <= 1)).all()
    np.testing.assert_allclose(
        face_shape(model, identity, 0 * expression)[model.landmarks],
        face_shape(head, jnp.zeros(80).at[:MODES].set(identity), jnp.zeros(64))[head.landmarks],
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
    (models / MARKS).write_text("{")
    refused(copy, models / MARKS)
    code, _, err = run_program(
        monkeypatch, capsys, command.main, "--source", clone, "--out", tmp_path / "ict.mat"
    )
    assert code == 2 and "npz" in err


def test_other_npz_files_are_named(tmp_path):
    other = tmp_path / "other.npz"
    np.savez(other, a=np.zeros(3))
    with pytest.raises(InputError, match=f"{other}.*no face model.*found a"):
        load_face_model(str(other))
    other.write_bytes(other.read_bytes()[:60])
    with pytest.raises(InputError, match=f"{other}: cannot be read"):
        load_face_model(str(other))
    with pytest.raises(InputError, match=f"{tmp_path / 'none.npz'}: cannot be read"):
        load_face_model(str(tmp_path / "none.npz"))
