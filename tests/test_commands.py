"""The three programs as a user runs them: from nothing to a mesh, and with every kind of bad input."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from pygltflib import GLTF2

import evaluate
import reconstruct
import train
from dfmvr_jax.commands import export_torch, import_torch
from dfmvr_jax.commands.train import parse_train_flags
from dfmvr_jax.config import DataConfig
from dfmvr_jax.datasets import prepare
from dfmvr_jax.datasets.export import main as export_main
from dfmvr_jax.datasets.pipeline import load_split
from dfmvr_jax.errors import InputError
from dfmvr_jax.photos.detection import load_detector
from dfmvr_jax.photos.preparation import PhotoFile, find_photo_files
from dfmvr_jax.prediction import Prediction, load_parse_net, load_run
from dfmvr_jax.reconstruction import reconstruct as reconstruct_photos
from tests import miniature_sets
from tests.few_subjects import prepare_few
from tests.run_program import run_program

FLAGS = (
    *("--data.name", "synthetic/few", "--image-size", "32", "--epochs", "1"),
    *("--parse.epochs", "1", "--batch-size", "2", "--parse.batch-size", "2", "--parse.width", "8"),
    *("--learning-rate", "1e-5", "--parse.hard-pixels", "0.1"),
)
SMALLEST = ("--preset", "small+v1+v3", "--network.stage-sizes", "1", "1", "1", "1")
RELEASED = ("--preset", "small")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two steps on a data set of a few subjects: shows that the parts fit, not that it learns."""
    folder = tmp_path_factory.mktemp("trained")
    prepare_few(folder / "data", (4, 2, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys,
            "argv",
            [
                "train.py",
                *SMALLEST,
                *FLAGS,
                "--workdir",
                str(folder / "run"),
                "--data.directory",
                str(folder / "data"),
            ],
        )
        train.main()
        yield folder


def test_training_leaves_config_checkpoints_and_logs(trained):
    run_folder = trained / "run"
    assert json.loads((run_folder / "config.json").read_text())["image_size"] == 32
    assert (run_folder / "parse_net" / "2").is_dir() and (run_folder / "df_mvr" / "2").is_dir()
    assert list((run_folder / "logs" / "df_mvr").glob("events*"))


def test_evaluation_reports_beside_the_mean_face(trained, monkeypatch, capsys):
    code, out, _ = run_program(
        monkeypatch, capsys, evaluate.main, "--workdir", trained / "run", "--pictures", 1
    )
    assert code == 0
    report = trained / "run" / "evaluation"
    metrics = json.loads((report / "metrics.json").read_text())
    assert metrics["faces"] == 2 and metrics["checkpoint_step"] == 2
    assert "2 faces, checkpoint of step 2" in out
    assert metrics["predicted"]["rmse_mm"]["mean"] > 0 and metrics["mean_face"]["rmse_mm"]["mean"] > 0
    assert len((report / "subjects.csv").read_text().splitlines()) >= 3
    assert np.shape(Image.open(report / "error_maps.png"))[1] > 32 * 6
    assert "mean face" in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--pictures", -1), "--pictures -1: expected 0 or more"),
        (("--out", "/dev/null/x"), "/dev/null/x: cannot be written to"),
        (("--data-directory", "nowhere"), "--data.directory nowhere: there is no such folder"),
    ],
)
def test_an_evaluation_that_could_not_be_written_does_not_begin(trained, monkeypatch, capsys, flags, message):
    code, _, err = run_program(monkeypatch, capsys, evaluate.main, "--workdir", trained / "run", *flags)
    assert code == 2 and message in err and "evaluating" not in err


def test_evaluation_of_a_split_without_meshes_is_refused(trained, monkeypatch, capsys):
    code, _, err = run_program(
        monkeypatch, capsys, evaluate.main, "--workdir", trained / "run", "--split", "train"
    )
    assert code == 2 and "split train has no true meshes" in err


@pytest.fixture(scope="module")
def exported(trained):
    """A folder with the aligned photos of a subject, their landmarks and the true mesh."""
    with pytest.MonkeyPatch.context() as patch:
        folder = trained / "photos"
        data = ("--directory", trained / "data")
        patch.setattr(sys, "argv", ["export", "synthetic/few", *map(str, data), "--out", str(folder)])
        export_main()
    return folder


@pytest.mark.parametrize("views", [("left", "front", "right"), ("front",)], ids=["three photos", "one photo"])
def test_reconstruction_of_aligned_photos(trained, exported, monkeypatch, capsys, tmp_path, views):
    arguments = [item for view in views for item in (f"--{view}", exported / f"{view}.png")]
    if len(views) == 3:
        arguments = "--photos", exported
    code, out, _ = run_program(
        monkeypatch, capsys, reconstruct.main, "--checkpoint", trained / "run", "--out", tmp_path / "out",
        "--aligned", *arguments,
    )  # fmt: skip
    assert code == 0
    meshes = [trimesh.load(tmp_path / "out" / f"mesh.{kind}", process=False) for kind in ("ply", "obj")]
    assert np.ptp(meshes[0].vertices[:, 1]) > 150  # a head in millimetres
    np.testing.assert_allclose(meshes[0].vertices, meshes[1].vertices, atol=1e-3)
    glb = GLTF2.load_binary(tmp_path / "out" / "mesh.glb")
    assert [node.name for node in glb.nodes] == ["head", *(f"photo_{view}" for view in views)]
    assert glb.meshes[0].extras["targetNames"][-1] == "photographed" and glb.meshes[0].weights[-1] == 1
    assert 0.15 < np.ptp(trimesh.load_scene(tmp_path / "out" / "mesh.glb").bounds[:, 1]) < 0.4  # metres
    description = json.loads((tmp_path / "out" / "coefficients.json").read_text())
    assert np.shape(description["rotation"]) == (3, 3)
    assert [name for name, photo in description["photos"].items() if photo] == list(views)
    assert np.shape(Image.open(tmp_path / "out" / "overview.png"))[1] > 3 * 32
    assert np.shape(Image.open(tmp_path / "out" / "thumbnail.jpg")) == (32, 64, 3)
    page = (tmp_path / "out" / "view.html").read_text()
    assert all(f'"file":"{view}.png"' in page for view in views) and not (tmp_path / "index.html").exists()
    model = load_run(trained / "run").model
    for view in views:
        report = description["photos"][view]
        assert f"{view}: {exported / view}.png" in out and 0 < report["landmark_error_px"] < 32
        drawn, photo = (
            np.asarray(Image.open(folder))
            for folder in (tmp_path / "out" / f"overlay_{view}.png", report["file"])
        )
        # where the mesh files' landmarks come to lie by the matrix, the picture shows the face
        marks = np.asarray(meshes[0].vertices)[np.asarray(model.landmarks)]
        x, y, depth = np.array(report["vertex_mm_to_photo_pixel"]) @ np.column_stack([marks, np.ones(68)]).T
        error = np.hypot(*(np.stack([x, y]) / depth - np.loadtxt(exported / f"{view}.txt").T)).mean()
        np.testing.assert_allclose(error, report["landmark_error_px"], rtol=1e-3)
        column, row = (int(value) for value in (x[30] / depth[30], y[30] / depth[30]))
        assert drawn.shape == photo.shape and (drawn[row, column] != photo[row, column]).any()
        assert (drawn[0, 0] == photo[0, 0]).all()


def test_files_of_an_earlier_run_are_told(trained, exported, monkeypatch, capsys, tmp_path):
    """And stay, as those of the user do."""
    flags = ("--checkpoint", trained / "run", "--out", tmp_path / "out", "--aligned")
    assert run_program(monkeypatch, capsys, reconstruct.main, *flags, "--photos", exported)[0] == 0
    (tmp_path / "out" / "head_of_mine.ply").touch()
    code, _, err = run_program(
        monkeypatch, capsys, reconstruct.main, *flags, "--front", exported / "front.png"
    )
    assert code == 0 and err.splitlines()[-1].endswith(
        f"{tmp_path / 'out'}: of an earlier run, not of this one: overlay_left.png, overlay_right.png"
    )
    assert (tmp_path / "out" / "head_of_mine.ply").is_file()
    code, _, err = run_program(
        monkeypatch, capsys, reconstruct.main, *flags, "--photos", tmp_path / "out" / "overlay_left.png"
    )
    assert code == 2 and "overlay_left.png: is no photo, but a picture that an earlier run drew" in err


def test_one_picture_under_three_names_is_one_line(trained, exported, monkeypatch, capsys, tmp_path):
    for view in ("left", "front", "right"):
        shutil.copy(exported / "front.png", tmp_path / f"{view}.png")
    code, _, err = run_program(
        monkeypatch, capsys, reconstruct.main, "--checkpoint", trained / "run", "--out", tmp_path / "out",
        "--aligned", "--photos", tmp_path,
    )  # fmt: skip
    assert code == 2 and "front.png and left.png are the same picture; give three photos" in err
    assert err.count("\n") == 1


def test_a_folder_of_subjects_goes_on_after_a_bad_one(trained, exported, monkeypatch, capsys, tmp_path):
    subjects = tmp_path / "subjects"
    for name in ("a", "b", "c"):
        shutil.copytree(exported, subjects / name)
    (subjects / "b" / "left.png").write_bytes(b"no photo")
    (subjects / "c" / "front.png").unlink()
    (subjects / ".thumbnails").mkdir()
    (subjects / "__MACOSX").mkdir()
    code, out, err = run_program(
        monkeypatch, capsys, reconstruct.main, "--checkpoint", trained / "run", "--out", tmp_path / "out",
        "--aligned", "--photos", subjects,
    )  # fmt: skip
    assert code == 2
    assert (tmp_path / "out" / "a" / "mesh.ply").is_file() and not (tmp_path / "out" / "b").exists()
    assert err.splitlines()[0].startswith(f"error: {subjects / 'b' / 'left.png'}: is no picture of a kind")
    assert "c: 2 photos of a subject (left.png, right.png); give all three" in err.splitlines()[1]
    assert "2 of 3 subjects were left out" in err.splitlines()[-1]
    assert "3 people, 2 failed" in (tmp_path / "out" / "index.html").read_text()
    shutil.copy(exported / "front.png", subjects)
    code, _, err = run_program(
        monkeypatch, capsys, reconstruct.main, "--checkpoint", trained / "run", "--out", tmp_path / "out",
        "--aligned", "--photos", subjects,
    )  # fmt: skip
    assert code == 2 and "one person or many?" in err and err.count("\n") == 1


def test_one_person_that_cannot_be_listed_ends_no_batch(trained, exported, monkeypatch, capsys, tmp_path):
    subjects = tmp_path / "subjects"
    for name in ("a", "b"):
        shutil.copytree(exported, subjects / name)
    listed = find_photo_files

    def locked(folder):
        if folder.name == "a":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr("dfmvr_jax.programs.people.find_photo_files", locked)
    code, _, err = run_program(
        monkeypatch, capsys, reconstruct.main, "--checkpoint", trained / "run", "--out", tmp_path / "out",
        "--aligned", "--photos", subjects,
    )  # fmt: skip
    assert code == 2 and "Permission denied" in err and "1 of 2 subjects were left out" in err
    assert (tmp_path / "out" / "b" / "mesh.ply").is_file()


def test_python_says_what_it_wants():
    for photos, message in (
        ("front.jpg", "give a list of photos"),
        ([PhotoFile(Path("a.jpg"), None, 7)], "a.jpg: view 7; expected 0, 1, 2"),
    ):
        with pytest.raises(InputError, match=message):
            reconstruct_photos(photos, "runs/none")
    with pytest.raises(InputError, match="detector 'foo': expected one of mediapipe"):
        load_detector("foo")


def test_plain_photos_need_no_more_than_a_detector(
    trained, face_mesh, shared_dir, monkeypatch, capsys, tmp_path
):
    """Real photos on larger, wider ones, in no order."""
    for view, name in (("right", "1.jpg"), ("left", "2.jpg"), ("front", "3.jpg")):
        photo = Image.new("RGB", (700, 500), "gray")
        photo.paste(
            Image.open(shared_dir / "photos" / "subject1" / f"{view}.png").resize((400, 400)), (150, 60)
        )
        photo.save(tmp_path / name)
    code, out, _ = run_program(
        monkeypatch, capsys, reconstruct.main, "--checkpoint", trained / "run", "--out", tmp_path / "out",
        "--fit", "none", "--photos", *(tmp_path / f"{k}.jpg" for k in (1, 2, 3)),
    )  # fmt: skip
    assert code == 0
    photos = json.loads((tmp_path / "out" / "coefficients.json").read_text())["photos"]
    assert [Path(photos[view]["file"]).name for view in ("left", "front", "right")] == [
        "2.jpg",
        "3.jpg",
        "1.jpg",
    ]
    assert all(0 < photo["landmark_error_of_eye_distance"] < 0.5 for photo in photos.values())
    assert np.shape(Image.open(tmp_path / "out" / "overlay_left.png")) == (500, 700, 3)


def test_the_parse_net_alone(trained, monkeypatch, capsys, tmp_path):
    flags = (
        "--preset parse-small --data.name synthetic/few --image-size 32 --parse.batch-size 2 --parse.width 8"
    )
    code, out, _ = run_program(
        monkeypatch, capsys, train.main, *flags.split(), "--parse.hard-pixels", 0.1,
        "--workdir", tmp_path / "parse", "--data.directory", trained / "data",
    )  # fmt: skip
    assert code == 0
    assert "parse net: mean IoU 0." in out and "(background " in out and "lower lip " in out
    assert (tmp_path / "parse" / "parse_net" / "2").is_dir() and not (tmp_path / "parse" / "df_mvr").exists()
    metrics = (tmp_path / "parse" / "logs" / "parse_net").glob("events*")
    assert b"iou_lower_lip" in next(metrics).read_bytes()
    assert f"next: python train.py --parse.checkpoint {tmp_path / 'parse'}" in out


@pytest.mark.full
def test_an_imported_run_reconstructs_evaluates_and_starts_a_training(
    torch, trained, monkeypatch, capsys, tmp_path
):
    """Through PyTorch and back, with a 19-class parse net of another file."""
    from dfmvr_jax.torch_weights.twin import BiSeNet

    parse_net = tmp_path / "79999_iter.pth"
    torch.save(BiSeNet(classes=19).state_dict(), parse_net)
    imported, data = tmp_path / "imported", ("--data.directory", trained / "data")
    parse_flags = ("--parse.width", 64, "--parse.num-classes", 19, "--parse.enlarge", 1)
    one_photo = ("--front", tmp_path / "front.png", "--out", tmp_path / "out", "--aligned")
    for program, *arguments in (
        (train.main, *RELEASED, *FLAGS, *data, "--workdir", tmp_path / "trained"),
        (export_torch.main, tmp_path / "trained", "--out", tmp_path / "x.pth"),
        (import_torch.main, tmp_path / "x.pth", parse_net, "--out", imported),
        (evaluate.main, "--workdir", imported, "--pictures", 0),
        (export_main, "synthetic/few", "--directory", trained / "data", "--out", tmp_path),
        (reconstruct.main, "--checkpoint", imported, *one_photo),
        (
            train.main,
            *RELEASED,
            *FLAGS,
            *data,
            *parse_flags,
            "--init-from",
            imported,
            "--workdir",
            tmp_path / "run",
        ),
    ):
        code, out, err = run_program(monkeypatch, capsys, program, *arguments)
        assert code == 0, (program, err)
    assert "parse net" not in out and "parse_net" not in out  # it was given, so not trained
    assert (tmp_path / "run" / "parse_net" / "0").is_dir()
    metrics = (tmp_path / "imported" / "evaluation" / "metrics.json").read_text()
    assert json.loads(metrics)["predicted"]["rmse_mm"]["mean"] > 0
    old, new = (load_run(folder) for folder in (tmp_path / "imported", tmp_path / "run"))
    photos, given = np.full((3, 32, 32, 3), 0.5, np.float32), np.ones(3, bool)
    before, after = (run.predict(photos, given).coefficients for run in (old, new))
    change = np.abs(after.rotation - before.rotation).max()
    assert 0 < change < 0.1  # two steps at a rate of 1e-5 from where it started


def test_training_again_with_other_settings_is_refused(trained, monkeypatch, capsys):
    before = (trained / "run" / "config.json").read_text()
    code, _, err = run_program(
        monkeypatch, capsys, train.main, "--preset", "small", "--workdir", trained / "run"
    )
    assert code == 2
    assert "with other settings" in err and err.count("\n") == 1
    assert (trained / "run" / "config.json").read_text() == before


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        (train.main, ["--preset", "nosuch", "--workdir", "x"], "choose from paper, released, small"),
        (train.main, ["--workdir", "{tmp}/x", "--batch-size", "0"], "--batch-size 0: expected a positive"),
        (train.main, ["--workdir", "{tmp}/x", "--network.width", "24"], "--network.width 24: expected 8, 16"),
        (
            train.main,
            ["--workdir", "{tmp}/x", "--image-size", "100"],
            "--image-size 100: expected a multiple",
        ),
        (train.main, ["--workdir", "{tmp}/x", "--picture-every", "0"], "--picture-every 0: expected 1"),
        (train.main, ["--workdir", "{tmp}/x", "--parse.epochs", "0"], "--parse.epochs 0: expected 1"),
        (train.main, ["--workdir", "{tmp}/x", "--learning-rate", "0"], "--learning-rate 0.0: expected more"),
        (train.main, ["--workdir", "{tmp}/x", "--seed", "-1"], "--seed -1: expected 0 or more"),
        (
            train.main,
            ["--workdir", "{tmp}/x", "--loss.mask-start", "2"],
            "2.0: expected a share, from 0 to 1",
        ),
        (train.main, ["--workdir", "{tmp}/x", "--data.name", "nosuch/a"], "nosuch/a"),
        (
            train.main,
            ["--workdir", "{tmp}/x", "--init-from", "{tmp}/nowhere"],
            "nowhere/config.json is missing",
        ),
        (train.main, ["--workdir", "{tmp}/x", "--face-model", "{tmp}/bfm.mat"], "bfm.mat"),
        (evaluate.main, ["--workdir", "{tmp}/nowhere"], "nowhere"),
        (
            evaluate.main,
            ["--workdir", __file__],
            "is a file, expected the folder of a run; a PyTorch",
        ),
        (reconstruct.main, ["--checkpoint", "c", "--out", "o"], "either by --photos or by --left"),
        (
            reconstruct.main,
            ["--checkpoint", "c", "--out", "o", "--left", "a", "--front", "b"],
            "give all three",
        ),
        (
            reconstruct.main,
            ["--checkpoint", "c", "--out", "o", "--front", "b", "--left-landmarks", "l.txt"],
            "no --left photo",
        ),
    ],
)
def test_bad_flags_end_in_one_line_and_code_2(monkeypatch, capsys, tmp_path, program, arguments, message):
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    monkeypatch.chdir(tmp_path)
    code, _, err = run_program(monkeypatch, capsys, program, *arguments)
    assert code == 2
    assert message in err and err.count("\n") == 1
    assert not (tmp_path / "x").exists()  # so that the mended command may use this workdir
    assert not (tmp_path / "runs").exists()  # nor has it spent half an hour on a data set


@pytest.mark.parametrize("program", [train.main, evaluate.main, reconstruct.main])
def test_misspelt_flags_and_help(monkeypatch, capsys, program):
    code, *_ = run_program(monkeypatch, capsys, program, "--nosuch-flag", "3")
    assert code == 2
    code, out, _ = run_program(monkeypatch, capsys, program, "--help")
    assert code == 0 and f"Example: python {program.__module__.rpartition('.')[2]}.py --" in out


def test_a_false_flag_is_false(monkeypatch, capsys):
    for words, expected in (
        ("--parse.once False", False),
        ("--parse.once True", True),
        ("--parse.once", True),
        ("--preset small --parse.no-once", False),
        ("--preset small", True),
    ):
        monkeypatch.setattr(sys, "argv", ["train.py", "--workdir", "x", *words.split()])
        assert parse_train_flags("").config.parse.once is expected, words
    code, *_ = run_program(monkeypatch, capsys, train.main, "--workdir", "x", "--parse.once", "maybe")
    assert code == 2


def test_a_network_gone_wild_writes_nothing(trained, monkeypatch, capsys, tmp_path):
    """As imported random weights do on photos."""

    def load_wild_run(*_):
        run = load_run(trained / "run")

        def wild(*inputs) -> Prediction:
            coefficients, labels = run.predict(*inputs)
            return Prediction(coefficients._replace(identity=np.full(80, np.nan)), labels)

        return run._replace(predict=wild)

    monkeypatch.setattr("dfmvr_jax.programs.reconstruct.load_run", load_wild_run)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "front.png")
    flags = ["--checkpoint", trained / "run", "--front", tmp_path / "front.png", "--out", tmp_path / "out"]
    code, _, err = run_program(monkeypatch, capsys, reconstruct.main, *flags, "--aligned")
    assert code == 2 and "numbers that are not finite" in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_missing_photo_is_named(trained, monkeypatch, capsys, tmp_path):
    code, _, err = run_program(
        monkeypatch, capsys, reconstruct.main,
        "--checkpoint", trained / "run", "--out", tmp_path / "out", "--front", tmp_path / "nosuch.png",
    )  # fmt: skip
    assert code == 2
    assert "nosuch.png" in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_evaluation_on_scans_of_real_photos(trained, face_mesh, monkeypatch, capsys, tmp_path):
    """From files in a data set's own format to millimetres."""
    subjects = miniature_sets.render_subjects(2)
    miniature_sets.write_bosphorus(tmp_path / "bosphorus", subjects)
    code, _, _ = run_program(
        monkeypatch, capsys, prepare.main, "bosphorus", "--source", tmp_path / "bosphorus", "--directory",
        tmp_path / "data", "--image-size", 32, "--face-model", "builtin-coarse", "--processes", 1,
        "--parse-net", trained / "run",
    )  # fmt: skip
    assert code == 0
    split = load_split(DataConfig(name="bosphorus/full", directory=str(tmp_path / "data")), "test")
    labels = load_parse_net(trained / "run")[1](split[0]["photos"][None])[0]
    assert (split[0]["labels"] == np.asarray(labels)).mean() > 0.98
    code, out, _ = run_program(
        monkeypatch, capsys, evaluate.main, "--workdir", trained / "run", "--data-name", "bosphorus/full",
        "--data-directory", tmp_path / "data", "--out", tmp_path / "out", "--pictures", 1,
    )  # fmt: skip
    assert code == 0 and "mean face" in out
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["faces"] == 2 and 0.3 < metrics["mean_face"]["rmse_mm"]["mean"] < 5
