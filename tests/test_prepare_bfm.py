"""`prepare_bfm` on small files of the owners' formats: which vertex and mode lands where, and bad files."""

import shutil

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from dfmvr_jax.commands import prepare_bfm
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.programs.prepare_bfm import TOPOLOGY
from tests.run_program import run_program
from tests.test_bfm import arrays

BASEL, EXPRESSION, CROP = 300, 250, 144  # vertices
MODES, EXPRESSION_MODES = 90, 70


@pytest.fixture
def source(tmp_path):
    """The six files and what they hold."""
    folder = tmp_path / "BFM"
    return folder, *write_owners_files(folder)


def write_owners_files(folder):
    rng = np.random.default_rng(0)
    folder.mkdir()
    front_crop = arrays()
    basel = {
        f"{kind}{part}": rng.normal(size=shape).astype(np.float32)
        for kind in ("shape", "tex")
        for part, shape in (("MU", (3 * BASEL, 1)), ("PC", (3 * BASEL, MODES)), ("EV", (MODES, 1)))
    }
    basel["shapeMU"] *= 1e5  # some decimetres
    expressions = rng.normal(size=(EXPRESSION_MODES + 1, 3 * EXPRESSION)).astype(np.float32)
    scales = rng.random(EXPRESSION_MODES)
    trim = rng.permutation(BASEL)[:EXPRESSION, None] + 1
    front = rng.permutation(EXPRESSION)[:CROP, None] + 1
    savemat(folder / "01_MorphableModel.mat", basel)
    (folder / "Exp_Pca.bin").write_bytes(np.int32(EXPRESSION_MODES).tobytes() + expressions.tobytes())
    np.savetxt(folder / "std_exp.txt", scales[None])
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": trim})
    savemat(folder / "BFM_front_idx.mat", {"idx": front})
    topology = {name: front_crop[name] for name in TOPOLOGY}
    savemat(folder / "facemodel_info.mat", topology | {"tri_mask2": np.ones((3, 3))})
    return basel, expressions, scales, trim, front


def test_every_vertex_and_mode_lands_where_it_belongs(source, monkeypatch, capsys, tmp_path):
    folder, basel, expressions, scales, trim, front = source
    out = tmp_path / "BFM_model_front.mat"
    code, said, _ = run_program(monkeypatch, capsys, prepare_bfm.main, "--source", folder, "--out", out)
    assert code == 0 and f"{CROP} vertices" in said and "(80, 64, 80)" in said
    made = loadmat(out)
    for vertex, axis, mode in ((0, 0, 0), (77, 1, 63), (CROP - 1, 2, 20)):
        row = 3 * vertex + axis
        in_expressions = front[vertex, 0] - 1
        in_basel = trim[in_expressions, 0] - 1
        shape_row = basel["shapePC"][3 * in_basel + axis, mode] * basel["shapeEV"][mode, 0]
        np.testing.assert_allclose(made["idBase"][row, mode], shape_row / 1e5, rtol=1e-5)
        texture_row = basel["texPC"][3 * in_basel + axis, mode] * basel["texEV"][mode, 0]
        np.testing.assert_allclose(made["texBase"][row, mode], texture_row, rtol=1e-5)
        expression_row = expressions[1 + mode, 3 * in_expressions + axis] * scales[mode]
        np.testing.assert_allclose(made["exBase"][row, mode], expression_row / 1e5, rtol=1e-5)
        np.testing.assert_allclose(
            made["meanshape"][0, row], basel["shapeMU"][3 * in_basel + axis, 0] / 1e5, rtol=1e-5
        )
        np.testing.assert_allclose(made["meantex"][0, row], basel["texMU"][3 * in_basel + axis, 0], rtol=1e-5)
    np.testing.assert_array_equal(made["tri"], arrays()["tri"])
    assert load_face_model(str(out)).dimensions == (80, 64, 80)


def test_missing_files_are_listed_with_where_to_get_them(source, monkeypatch, capsys, tmp_path):
    folder, *_ = source
    (folder / "01_MorphableModel.mat").unlink()
    (folder / "std_exp.txt").unlink()
    code, _, err = run_program(
        monkeypatch, capsys, prepare_bfm.main, "--source", folder, "--out", tmp_path / "x.mat"
    )
    assert code == 2 and err.count("\n") == 1
    assert "01_MorphableModel.mat (from https://faces.dmi.unibas.ch/bfm" in err
    assert "std_exp.txt (from https://github.com/microsoft/Deep3DFaceReconstruction" in err
    assert "Exp_Pca.bin" not in err


def test_a_missing_folder_is_named(monkeypatch, capsys, tmp_path):
    code, _, err = run_program(monkeypatch, capsys, prepare_bfm.main, "--source", tmp_path / "nowhere")
    assert code == 2 and "nowhere: there is no such folder" in err and err.count("\n") == 1


def rewrite(folder, name: str, **changes) -> None:
    content = {k: v for k, v in loadmat(folder / name).items() if not k.startswith("__")}
    savemat(folder / name, content | changes)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "Exp_Pca.bin").write_bytes(b""), "Exp_Pca.bin: has 0 bytes"),
        (lambda f: (f / "Exp_Pca.bin").write_bytes((f / "Exp_Pca.bin").read_bytes()[:-4]), "is it complete?"),
        (
            lambda f: (f / "std_exp.txt").write_text("1 2 3"),
            "std_exp.txt: has 3 numbers; expected the 70 modes",
        ),
        (
            lambda f: (f / "std_exp.txt").write_text("nan " * EXPRESSION_MODES),
            "std_exp.txt: has 70 numbers; expected the 70 modes of Exp_Pca.bin, all finite",
        ),
        (lambda f: (f / "std_exp.txt").write_text(""), "std_exp.txt: has 0 numbers"),
        (
            lambda f: rewrite(f, "facemodel_info.mat", tri=np.full((5, 3), CROP + 1)),
            f"facemodel_info.mat: array tri has values from {CROP + 1} to {CROP + 1}",
        ),
        (lambda f: (f / "std_exp.txt").write_text("a b"), "std_exp.txt: is no list of numbers"),
        (
            lambda f: (f / "BFM_exp_idx.mat").write_text("x"),
            "BFM_exp_idx.mat: cannot be read as a MATLAB file",
        ),
        (
            lambda f: shutil.copy(f / "BFM_front_idx.mat", f / "BFM_exp_idx.mat"),
            "BFM_exp_idx.mat: is BFM_front_idx.mat by what it holds; are the files' names exchanged?",
        ),
        (
            lambda f: rewrite(f, "BFM_exp_idx.mat", trimIndex=np.full((EXPRESSION, 1), BASEL + 1)),
            "expected indices from 1 to 300",
        ),
        (
            lambda f: rewrite(f, "BFM_front_idx.mat", idx=np.ones((9, 1))),
            "facemodel_info.mat: is of 144 vertices, BFM_front_idx.mat of 9",
        ),
        (
            lambda f: rewrite(
                f, "01_MorphableModel.mat", shapePC=np.ones((3 * BASEL, 5)), shapeEV=np.ones((5, 1))
            ),
            "01_MorphableModel.mat: has 5 modes; expected 80 or more",
        ),
        (
            lambda f: rewrite(f, "01_MorphableModel.mat", texPC=np.ones((7, MODES))),
            r"array texPC has shape (7, 90); expected (900, albedo)",
        ),
    ],
)
def test_files_that_are_wrong_are_named(source, monkeypatch, capsys, tmp_path, harm, message):
    folder, *_ = source
    harm(folder)
    out = tmp_path / "out" / "x.mat"
    code, _, err = run_program(monkeypatch, capsys, prepare_bfm.main, "--source", folder, "--out", out)
    assert code == 2 and err.count("\n") == 1
    assert message in err
    assert not out.exists()
