"""Data sets of real photos, each on a miniature of the same folders and file formats."""

import csv
import dataclasses
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from dfmvr_jax.closest_points import closest_points
from dfmvr_jax.config import Config, DataConfig, LossConfig
from dfmvr_jax.conventions import UNIT_MM, VIEWS
from dfmvr_jax.datasets import prepare, show
from dfmvr_jax.datasets.photo_sets import staging
from dfmvr_jax.datasets.photo_sets.builder import REPORT_FILE, PhotoSetConfig
from dfmvr_jax.datasets.photo_sets.celebamask_hq import check_on_face
from dfmvr_jax.datasets.photo_sets.examples import check_face_like
from dfmvr_jax.datasets.photo_sets.mesh_files import read_obj, read_points
from dfmvr_jax.datasets.photo_sets.multi_pie import MultiPie
from dfmvr_jax.datasets.photo_sets.pixel_face import IBUG_OF_106, PixelFace, read_stored_photo
from dfmvr_jax.datasets.photo_sets.range_images import delaunay_triangles, points_at, read_range_image
from dfmvr_jax.datasets.photo_sets.samples import Sample
from dfmvr_jax.datasets.photo_sets.splits import split_samples
from dfmvr_jax.datasets.pipeline import check_labels, check_landmarks_3d, check_views, load_split
from dfmvr_jax.datasets.preparation import STAGING_FOLDER
from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.metrics import Scan, check_scan
from dfmvr_jax.evaluation.registration import register_landmarks
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.geometry import move
from dfmvr_jax.landmarks import WITHOUT_JAW, five_points
from dfmvr_jax.photos.alignment import mean_landmarks, transform_points
from dfmvr_jax.photos.reading import read_photo
from tests import miniature_sets
from tests.miniature_sets import BORDER, MODEL, SIZE, YAW
from tests.run_program import run_program

CROP = 64
WRITERS = {
    "photo_folder": miniature_sets.write_photo_folder,
    "pixel_face": miniature_sets.write_pixel_face,
    "multi_pie": miniature_sets.write_multi_pie,
    "bosphorus": miniature_sets.write_bosphorus,
    "celebamask_hq": miniature_sets.write_celebamask_hq,
}


@pytest.fixture(scope="module")
def model():
    return load_face_model(MODEL)


@pytest.fixture(scope="module")
def subjects():
    return miniature_sets.render_subjects(3)


def prepare_command(name, source, directory, *flags):
    return [
        "prepare", name, "--source", source, "--directory", directory, "--image-size", CROP, "--processes", 1,
        "--face-model", MODEL, *flags,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, subjects, face_mesh):
    """A function that prepares a miniature set once, and gives its folder and its examples by split."""
    root, known = tmp_path_factory.mktemp("photo_sets"), {}

    def get(name):
        if name not in known:
            WRITERS[name](root / name, subjects)
            with pytest.MonkeyPatch.context() as patch:
                command = prepare_command(name, root / name, root / "data")
                patch.setattr(sys, "argv", list(map(str, command)))
                prepare.main()
            config = DataConfig(name=f"{name}/full", directory=str(root / "data"))
            splits = {}
            for split in ("train", "validation", "test"):
                try:
                    splits[split] = load_split(config, split)
                except InputError as error:
                    assert "has no split" in str(error) and name == "bosphorus"
            known[name] = root / name, splits
        return known[name]

    return get


def examples_of(splits):
    return [split[index] for split in splits.values() for index in range(len(split))]


def number_of(example):
    """Of the rendered subject."""
    return int(example["subject"][-2:].strip("person")) - (1 if example["subject"].startswith("00") else 0)


def assert_landmarks_are_true(example, subject, scale=1.0, border=BORDER):
    """Those of the crop, in the photo, against those that were rendered; the jaw's are another matter."""
    for view in range(len(example["photos"])):
        found = transform_points(
            example["to_photo"][view].astype(float), example["landmarks"][view].astype(float)
        )
        true = (np.asarray(subject.scene.landmarks[view], float) + border) * scale
        front = np.asarray(subject.scene.landmarks[1], float) * scale
        error = np.linalg.norm(found - true, axis=1)[WITHOUT_JAW].mean()
        assert error < 0.08 * np.linalg.norm(front[36] - front[45]), view


def report_of(splits):
    with open(Path(next(iter(splits.values())).path) / REPORT_FILE) as file:
        return list(csv.DictReader(file))


# ---------------------------------------------------------------------- each of the sets


def test_photo_folder(prepared, subjects):
    source, splits = prepared("photo_folder")
    assert {split: len(examples) for split, examples in splits.items()} == {
        "train": 1, "validation": 1, "test": 1
    }  # fmt: skip
    for example in examples_of(splits):
        subject = subjects[number_of(example)]
        assert [Path(file.decode()).name for file in example["files"]] == ["c.png", "a.png", "b.png"]
        np.testing.assert_allclose(np.degrees(example["yaw"]), [-YAW, 0, YAW], atol=9)
        assert_landmarks_are_true(example, subject)
        assert np.isnan(example["landmarks_3d"]).all() and len(example["scan_points"]) == 0
        photo = subject.framed(0) / 255
        middle = transform_points(example["to_photo"][0].astype(float), np.array([[CROP / 2, CROP / 2]]))[0]
        seen = photo[int(middle[1]) - 2 : int(middle[1]) + 3, int(middle[0]) - 2 : int(middle[0]) + 3]
        np.testing.assert_allclose(
            example["photos"][0, 31:33, 31:33].mean((0, 1)), seen.mean((0, 1)), atol=0.1
        )
    directory = Path(splits["train"].path).parents[2]
    assert len(load_split(DataConfig(name="photo_folder", directory=str(directory)), "test")) == 1
    assert splits["train"].metadata == {
        "image_size": CROP, "face_model": MODEL, "views": 3, "labels": "none", "landmarks_3d": "none"
    }  # fmt: skip


def test_pixel_face(prepared, subjects, model):
    source, splits = prepared("pixel_face")
    by_subject = {}
    for split, examples in splits.items():
        for index in range(len(examples)):
            by_subject.setdefault(examples[index]["subject"], set()).add(split)
    assert set(by_subject) == {"00100", "00101", "00102"}
    assert all(len(splits) == 1 for splits in by_subject.values())
    assert sum(map(len, splits.values())) == 6  # subject k has k + 1 expressions

    shared = WITHOUT_JAW
    for split, examples in splits.items():
        for index in range(len(examples)):
            example = examples[index]
            subject = subjects[int(example["subject"]) - 100]
            assert_landmarks_are_true(example, subject)
            points = example["landmarks_3d"].astype(float)
            assert np.isfinite(points[shared]).all() and np.isnan(points[: WITHOUT_JAW.start]).all()
            assert np.isnan(points[68:]).all()
            true = np.asarray(subject.scene.vertices, float)[np.asarray(model.landmarks)[shared]]
            placed = register_landmarks(points[shared], np.arange(51), true)
            np.testing.assert_allclose(placed, true, atol=1e-3)
            if split == "train":
                assert len(example["scan_points"]) == 0
            else:
                scan, vertices = example["scan_points"].astype(float), subject.vertices_mm
                assert scan.shape == vertices.shape
                np.testing.assert_allclose(
                    np.linalg.norm(scan - scan[0], axis=1),
                    np.linalg.norm(vertices - vertices[0], axis=1),
                    atol=0.01,
                )
                np.testing.assert_array_equal(example["scan_triangles"], model.triangles)
                seven = np.asarray(model.landmarks)[[36, 39, 42, 45, 33, 48, 54]]
                np.testing.assert_allclose(example["scan_landmarks"], scan[seven], atol=0.01)


def test_multi_pie(prepared, subjects):
    source, splits = prepared("multi_pie")
    examples = examples_of(splits)
    assert sorted(example["name"] for example in examples) == [f"00{k}_01_01_06_30" for k in (1, 2, 3)]
    for example in examples:
        cameras = [Path(file.decode()).name.split("_")[3] for file in example["files"]]
        assert cameras == ["130", "051", "041"]
        assert_landmarks_are_true(example, subjects[int(example["subject"]) - 1], 128 / SIZE, border=0)


def test_bosphorus(prepared, subjects, model):
    source, splits = prepared("bosphorus")
    assert set(splits) == {"test"} and len(splits["test"]) == 3
    for example in examples_of(splits):
        subject = subjects[int(example["subject"].removeprefix("bs"))]
        assert_landmarks_are_true(example, subject)
        front, coefficients = VIEWS.index("front"), subject.scene.coefficients
        posed = UNIT_MM * np.asarray(
            move(subject.scene.vertices, coefficients.rotation[front], coefficients.translation[front])
        )
        points = example["scan_points"].astype(float)
        assert 5000 < len(points) < 160**2
        on_surface = closest_points(posed.astype(float), np.asarray(model.triangles), points).points
        np.testing.assert_allclose(points, on_surface, atol=0.05)  # grazing triangles in float32
        seven = posed[np.asarray(model.landmarks)[[36, 39, 42, 45, 33, 48, 54]]]
        errors = np.linalg.norm(example["scan_landmarks"] - seven, axis=1)
        assert errors.max() < 15 and errors.mean() < 7  # those of the detector, not of the look-up:
        image = read_range_image(source / example["subject"] / f"{example['subject']}_N_N_0.bnt")
        pixels = subject.framed_landmarks(front)[[36, 39, 42, 45, 33, 48, 54]]
        looked_up = points_at(image, pixels, subject.framed(front).shape[:2], 5.0)
        # corners of eyes lie on the edge of the lids: a pixel beside them, depth is that of the eyeball
        assert np.linalg.norm(looked_up - seven, axis=1).max() < 5.0
        triangles = points[example["scan_triangles"]]
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        assert (normals[:, 2] > 0).all()  # all towards the camera
        assert len(example["scan_triangles"]) > 1.7 * len(points)


@pytest.mark.parametrize("names_of_viewer", [False, True])
def test_celebamask_hq(prepared, subjects, tmp_path, monkeypatch, names_of_viewer):
    source, splits = prepared("celebamask_hq")
    if names_of_viewer:
        miniature_sets.write_celebamask_hq(tmp_path / "source", subjects, names_of_viewer=True)
        command = prepare_command("celebamask_hq", tmp_path / "source", tmp_path / "data")
        monkeypatch.setattr(sys, "argv", list(map(str, command)))
        prepare.main()
        config = DataConfig(name="celebamask_hq/full", directory=str(tmp_path / "data"))
        splits = {split: load_split(config, split) for split in splits}
    metadata = splits["train"].metadata
    assert metadata["views"] == 1 and metadata["labels"] == "exact"
    for example in examples_of(splits):
        number = int(example["subject"])
        assert example["photos"].shape == (1, CROP, CROP, 3) and example["labels"].shape == (1, CROP, CROP)
        true = np.asarray(subjects[number].scene.labels[number % 3])
        x, y = np.meshgrid(np.arange(CROP) + 0.5, np.arange(CROP) + 0.5)
        in_photo = (
            transform_points(example["to_photo"][0].astype(float), np.stack([x.ravel(), y.ravel()], -1)) / 2
        )
        inside = ((in_photo > 0) & (in_photo < SIZE)).all(axis=1)
        columns, rows = np.floor(in_photo[inside]).astype(int).T
        found = example["labels"][0].ravel()
        assert (found[inside] == true[rows, columns]).mean() > 0.98  # masks have 512 pixels, not 224
        assert (found[~inside] == 0).all()
        assert set(found) >= {0, 1, 2, 3, 6, 8, 9}


def test_masks_without_a_face_leave_out_one_photo(subjects, tmp_path, monkeypatch, capsys, face_mesh):
    miniature_sets.write_celebamask_hq(tmp_path / "source", subjects)
    masks = tmp_path / "source" / "CelebAMask-HQ-mask-anno" / "0"
    for path in masks.glob("00001_*.png"):
        miniature_sets.save(np.zeros((512, 512), np.uint8), path)
    for part in ("mouth", "u_lip", "l_lip"):  # a hand lies there: that is right
        (masks / f"00002_{part}.png").unlink(missing_ok=True)
    command = prepare_command("celebamask_hq", tmp_path / "source", tmp_path / "data")
    code, printed, _ = run_program(monkeypatch, capsys, prepare.main, *command[1:])
    assert code == 0 and "left out: 1 of 3 samples" in printed
    assert "00001_skin.png: 0% of what lies between the landmarks is face by the masks" in printed


def test_labels_are_held_against_the_face():
    landmarks = np.stack(np.meshgrid(np.linspace(10, 50, 4), np.linspace(10, 54, 17)), -1).reshape(68, 2)
    labels = np.zeros((64, 64), np.uint8)
    labels[8:58, 8:54] = 1
    check_on_face(labels, landmarks)
    check_on_face(labels, five_points(landmarks))
    for wrong, message in (
        (np.where(labels == 1, 6, labels), "0% .* is skin"),  # nose everywhere
        (labels * (np.arange(64) > 45)[:, None], "% of what lies between the landmarks is face"),
    ):
        with pytest.raises(InputError, match=message):
            check_on_face(wrong.astype(np.uint8), landmarks)


def test_a_second_face_is_told_and_counted(prepared, subjects, tmp_path, monkeypatch, capsys):
    source, _ = prepared("photo_folder")
    shutil.copytree(source, tmp_path / "people")
    both = np.concatenate([subjects[0].framed(1), subjects[1].framed(1)], axis=1)
    miniature_sets.save(both, tmp_path / "people" / "person0" / "a.png")
    command = prepare_command("photo_folder", tmp_path / "people", tmp_path / "data")
    code, printed, _ = run_program(monkeypatch, capsys, prepare.main, *command[1:])
    assert code == 0 and "doubtful: 1 of 3 samples" in printed
    assert "person0: a.png shows 2 large faces, of which number 1 by size was taken" in printed
    with open(tmp_path / "data" / "photo_folder" / "full" / "1.0.0" / REPORT_FILE) as file:
        doubts = {row["name"]: row["doubt"] for row in csv.DictReader(file)}
    assert doubts["person0"].startswith("a.png shows 2 large faces") and doubts["person1"] == ""


def test_every_set_can_be_looked_at(prepared, tmp_path, monkeypatch, capsys):
    for name, columns in (("pixel_face", 6), ("celebamask_hq", 4)):
        _, splits = prepared(name)
        directory = Path(splits["train"].path).parents[2]
        out = tmp_path / f"{name}.png"
        arguments = (f"{name}/full", "--directory", directory, "--out", out, "--subjects", 1)
        code, printed, _ = run_program(monkeypatch, capsys, show.main, *arguments)
        assert code == 0 and ("no part labels" in printed) == (name == "pixel_face")
        side = 3 * CROP
        with Image.open(out) as sheet:
            width, height = sheet.size
        assert columns * side < width < (columns + 1.3) * side and side < height < 1.3 * side


# ---------------------------------------------------------------------- the one path


def test_what_will_not_do_is_left_out_with_its_reason(prepared, subjects, tmp_path, monkeypatch, capsys):
    good, _ = prepared("photo_folder")
    source = tmp_path / "people"
    bad = ("empty", "nobody", "damaged", "two_photos", "one_photo", "turned", "away")
    for name in ("a_good", "b_good", "c_good", *bad):
        shutil.copytree(good / "person0", source / name)
    for photo in "abc":
        (source / "empty" / f"{photo}.png").unlink()
    (source / "one_photo" / "c.png").with_name("d.heic").write_bytes(b"of a phone")
    shutil.copy(source / "a_good" / "a.png", source / "loose.jpg")
    shutil.copytree(source / "a_good", source / ".hidden")
    (source / "c_good").rename(tmp_path / "elsewhere")
    (source / "c_good").symlink_to(tmp_path / "elsewhere")
    (source / "c_good" / "again").symlink_to(source)  # links in a circle
    miniature_sets.save(np.full((200, 200, 3), 90, np.uint8), source / "nobody" / "a.png")
    (source / "damaged" / "b.png").write_bytes((source / "damaged" / "b.png").read_bytes()[:2000])
    (source / "two_photos" / "b.png").unlink()
    for name in "bc":
        (source / "one_photo" / f"{name}.png").unlink()
    Image.open(source / "turned" / "c.png").point(lambda value: 0.9 * value).save(source / "turned" / "b.png")
    for old, new in zip("cab", ("right", "front", "left")):  # left and right swapped
        (source / "away" / f"{old}.png").rename(source / "away" / f"{new}.png")
    command = prepare_command("photo_folder/mine", source, tmp_path / "data")
    code, printed, _ = run_program(monkeypatch, capsys, prepare.main, *command[1:])
    assert code == 0 and "left out: 8 of 11 samples" in printed
    folder = tmp_path / "data" / "photo_folder" / "mine" / "1.0.0"
    with open(folder / "report.csv") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    expected = {
        "empty": "has 0 photos, expected 3",
        "nobody": "nobody/a.png: no face found",
        "damaged": "damaged/b.png: cannot be read as an image",
        "two_photos": "has 2 photos, expected 3",
        "one_photo": "has 2 photos, expected 3",
        "turned": "do not show the head from the left, the front and the right",
        "away": "the nose points to the wrong side",
    }
    for name, reason in expected.items():
        assert reason in rows[name]["left out because"] and rows[name]["split"] == ""
    assert "expected 3" in rows["loose.jpg"]["left out because"] and ".hidden" not in rows
    # of few people those that can be used are split, so that there are some of each
    assert {rows[name]["split"] for name in ("a_good", "b_good", "c_good")} == {"train", "validation", "test"}
    config = DataConfig(name="photo_folder/mine", directory=str(tmp_path / "data"))
    for name in ("a_good", "b_good", "c_good"):
        split = load_split(config, rows[name]["split"])
        assert name in [split[index]["subject"] for index in range(len(split))]
    assert not list(folder.parent.glob("unfinished*"))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["photo_folder"]

    code, printed, _ = run_program(monkeypatch, capsys, prepare.main, *command[1:])
    assert code == 0 and "is there already" in printed
    code, _, error = run_program(monkeypatch, capsys, prepare.main, *command[1:], "--seed", 1)
    assert code == 2 and "other settings (--seed is 0 there, 1 here)" in error


def test_nothing_that_will_do(tmp_path, monkeypatch, capsys, face_mesh):
    for name in "abc":
        miniature_sets.save(
            np.full((200, 200, 3), 90, np.uint8), tmp_path / "people" / "nobody" / f"{name}.png"
        )
    command = prepare_command("photo_folder", tmp_path / "people", tmp_path / "data")[1:]
    code, _, error = run_program(monkeypatch, capsys, prepare.main, *command)
    assert code == 2 and "none of its 1 samples can be used" in error and "no face found" in error
    report = tmp_path / "data" / "photo_folder" / "full" / "unfinished" / "report.csv"
    assert str(report) in error and "no face found" in report.read_text()


def test_stopped_preparation_goes_on(prepared, tmp_path, monkeypatch, capsys):
    source, whole = prepared("multi_pie")
    made, make = [], staging._stage_one

    def stop_after_two(job):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(job[0].name)
        return make(job)

    command = prepare_command("multi_pie", source, tmp_path)[1:]
    with monkeypatch.context() as patch:
        patch.setattr(staging, "_stage_one", stop_after_two)
        assert run_program(patch, capsys, prepare.main, *command)[0] == 130
    unfinished = tmp_path / "multi_pie" / "full" / STAGING_FOLDER
    times = {path: path.stat().st_mtime_ns for path in unfinished.glob("*.npz")}
    assert len(times) == 2

    code, _, error = run_program(monkeypatch, capsys, prepare.main, *command, "--seed", 1)
    assert code == 2 and "other settings (--seed is 0 there, 1 here)" in error and "\n" not in error.strip()
    next(iter(times)).write_bytes(b"")  # as after a power failure: is made again
    again = []
    monkeypatch.setattr(staging, "_stage_one", lambda job: again.append(job[2].exists()) or make(job))
    assert run_program(monkeypatch, capsys, prepare.main, *command)[0] == 0
    assert sorted(again) == [False, True, True]
    config = DataConfig(name="multi_pie/full", directory=str(tmp_path))
    assert_same_examples(whole, {split: load_split(config, split) for split in whole})


def test_several_processes_give_the_same(prepared, tmp_path, monkeypatch, capsys):
    source, whole = prepared("multi_pie")
    command = prepare_command("multi_pie", source, tmp_path)
    command[command.index("--processes") + 1] = 2
    assert run_program(monkeypatch, capsys, prepare.main, *command[1:])[0] == 0
    config = DataConfig(name="multi_pie/full", directory=str(tmp_path))
    assert_same_examples(whole, {split: load_split(config, split) for split in whole})


def assert_same_examples(one, other):
    for split in one:
        assert len(one[split]) == len(other[split])
        for index in range(len(one[split])):
            a, b = one[split][index], other[split][index]
            assert a.keys() == b.keys()
            for key in a:
                np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_a_name_cannot_lead_out_of_the_folder(tmp_path):
    def make(sample):
        return {"x": np.ones(3)}

    inside = tmp_path / "inside"
    inside.mkdir()
    samples = [Sample("s", name, ()) for name in ("../../outside", "/etc/outside", "a/b", "nul\udce9")]
    outcomes = list(staging.stage(samples, make, inside, 1))
    assert len(list(inside.iterdir())) == 4 and list(tmp_path.iterdir()) == [inside]
    np.testing.assert_array_equal(staging.read_staged(outcomes[0].file)["x"], np.ones(3))


def test_a_full_disk_is_one_line(prepared, tmp_path, monkeypatch, capsys):
    source, _ = prepared("multi_pie")

    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", refuse)
    command = prepare_command("multi_pie", source, tmp_path)[1:]
    code, _, error = run_program(monkeypatch, capsys, prepare.main, *command)
    assert code == 2 and "No space left" in error and "\n" not in error.strip().splitlines()[-1]
    assert not list(tmp_path.rglob("*.unfinished"))


@pytest.mark.parametrize("name", WRITERS)
def test_folders_of_something_else(name, tmp_path, monkeypatch, capsys, face_mesh):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "holiday.txt").write_text("sun")
    command = prepare_command(name, tmp_path / "source", tmp_path / "data")[1:]
    code, _, error = run_program(monkeypatch, capsys, prepare.main, *command)
    assert code == 2 and f"{tmp_path}/source: has no" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pixel_face",), "--source is missing"),
        (("pixel_fac", "--source", "."), "unknown data set 'pixel_fac'; known are bosphorus/full"),
        (("pixel_face", "--source", "nowhere"), "there is no such folder"),
        (("pixel_face", "--source", __file__), "is a file; unpack it"),
        (("pixel_face/../x", "--source", "."), "letters, digits"),
        (("pixel_face", "--source", ".", "--image-size", 50), "multiple of 16"),
        (("pixel_face", "--source", ".", "--test-share", 2), "from 0 to 1"),
        (("pixel_face", "--source", ".", "--split-list", "nowhere"), "nowhere"),
        (("bosphorus", "--source", ".", "--left-yaw", 90), "--left-yaw 90: expected one of 10, 20, 30, 45"),
        (("multi_pie", "--source", ".", "--angles", 44), "--angles 44: expected some of 15, 30, 45, 60"),
        (("multi_pie", "--source", ".", "--parse-net", "nowhere"), "nowhere/config.json is missing"),
        (("multi_pie", "--source", ".", "--face-model", "nowhere"), "face model nowhere"),
        (("multi_pie", "--source", ".", "--processes", 0), "--processes 0: expected 1 or more"),
        (("photo_folder", "--source", ".", "--angles", 15), "--angles: says nothing of photo_folder"),
        (("synthetic/smal",), "synthetic/small"),
        (("synthetic/small", "--source", "."), "--source: synthetic/small is rendered here"),
        (("synthetic/small", "--image-size", 64), "--image-size: synthetic/small is rendered here"),
        (("synthetic/small", "--face-model", "ict.npz"), "name it VARIANT-NAME for other faces"),
        (("synthetic/small-ict", "--face-model", "none.npz"), "none.npz: there is no such file"),
    ],
)
def test_mistakes_are_one_line(arguments, message, tmp_path, monkeypatch, capsys, face_mesh):
    arguments = (*arguments, "--directory", tmp_path)
    code, _, error = run_program(monkeypatch, capsys, prepare.main, *arguments)
    assert code == 2 and message in error and len(error.strip().splitlines()) == 1


def test_a_set_that_is_not_prepared_says_how(tmp_path):
    config = DataConfig(name="pixel_face/full", directory=str(tmp_path))
    with pytest.raises(InputError, match="dfmvr-prepare pixel_face/full --source DIR --data.directory"):
        load_split(config, "train")


def test_training_takes_only_what_it_can_use(prepared, model):
    pixel_face = prepared("pixel_face")[1]["train"]
    config = Config(image_size=CROP, face_model="another")
    check_landmarks_3d(pixel_face, config, model)
    check_views(pixel_face)
    with pytest.raises(InputError, match="no part labels.*<parse.checkpoint>"):
        check_labels(pixel_face)
    other_order = dataclasses.replace(model, landmarks_3d=model.landmarks_3d[::-1])
    with pytest.raises(InputError, match="are iBUG's.*<loss.landmarks_3d> 0"):
        check_landmarks_3d(pixel_face, config, other_order)
    multi_pie = prepared("multi_pie")[1]["train"]
    with pytest.raises(InputError, match="no 3D landmarks.*<loss.landmarks_3d> 0"):
        check_landmarks_3d(multi_pie, config, model)
    check_landmarks_3d(multi_pie, dataclasses.replace(config, loss=LossConfig(landmarks_3d=0.0)), model)
    celebamask = prepared("celebamask_hq")[1]["train"]
    check_labels(celebamask)
    with pytest.raises(InputError, match="single photos.*parse-full"):
        check_views(celebamask)


# ---------------------------------------------------------------------- splits


def samples_of(subjects, splits=None):
    return [
        Sample(subject, f"{subject}/{k}", (), split=splits and splits[subject])
        for subject in subjects
        for k in "ab"
    ]


def splits_by_subject(samples):
    by_subject = {}
    for sample in samples:
        assert by_subject.setdefault(sample.subject, sample.split) == sample.split
    return by_subject


def test_subjects_are_split_by_chance_and_reproducibly():
    names = [f"s{k:03d}" for k in range(400)]
    kept, left_out = split_samples(samples_of(names), 0.2, 0.05, 0, None)
    splits = splits_by_subject(kept)
    counts = {split: list(splits.values()).count(split) for split in ("train", "validation", "test")}
    assert abs(counts["test"] - 80) < 25 and abs(counts["validation"] - 16) < 12 and not left_out
    assert splits == splits_by_subject(split_samples(samples_of(names[::-1]), 0.2, 0.05, 0, None)[0])
    assert splits != splits_by_subject(split_samples(samples_of(names), 0.2, 0.05, 1, None)[0])
    fewer = splits_by_subject(split_samples(samples_of(names[:390]), 0.2, 0.05, 0, None)[0])
    assert fewer == {name: splits[name] for name in names[:390]}  # the others stay where they are
    everything = splits_by_subject(split_samples(samples_of(names), 1.0, 0.05, 0, None)[0])
    assert set(everything.values()) == {"test"}


def test_few_subjects_still_have_each_split():
    splits = splits_by_subject(split_samples(samples_of("abc"), 0.2, 0.05, 0, None)[0])
    assert sorted(splits.values()) == ["test", "train", "validation"]
    assert splits_by_subject(split_samples(samples_of("a"), 0.2, 0.05, 0, None)[0]) == {"a": "train"}


def test_splits_of_the_folders():
    folder_splits = {"a": "train", "b": "train", "c": "test"}
    splits = splits_by_subject(split_samples(samples_of("abc", folder_splits), 0.2, 0.05, 0, None)[0])
    assert splits["c"] == "test" and sorted(splits.values()) == ["test", "train", "validation"]
    twice = samples_of("abc", folder_splits) + [Sample("a", "a/c", (), split="test")]
    with pytest.raises(
        InputError, match="subject a is in test and in train|subject a is in train and in test"
    ):
        split_samples(twice, 0.2, 0.05, 0, None)


def test_list_of_subjects(tmp_path):
    path = tmp_path / "list.txt"
    subjects = ["a", "b", "c d", "e train"]
    path.write_text("\ufeffa train\nb  test\n\nc d validation\n", "utf-8")
    kept, left_out = split_samples(samples_of(subjects), 0.2, 0.05, 0, path)
    assert splits_by_subject(kept) == {"a": "train", "b": "test", "c d": "validation"}
    assert {sample.subject for sample in left_out} == {"e train"}
    path.write_text("c d\ne train\n")
    splits = splits_by_subject(split_samples(samples_of(subjects), 0.2, 0.05, 0, path)[0])
    assert {subject for subject, split in splits.items() if split == "test"} == {"c d", "e train"}
    for text, message in (
        ("a training\n", "names 'a training', which is none of the subjects .a, b, c d"),
        ("a test\nbb test\n", "names 'bb', which is none"),
        ("a train\na test\n", "a is in train and in test"),
        ("a train\nb\n", "says the split of some subjects only"),
        ("", "is empty"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=f"{path}: {message}"):
            split_samples(samples_of(subjects), 0.2, 0.05, 0, path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=f"{path}: cannot be read"):
        split_samples(samples_of(subjects), 0.2, 0.05, 0, path)


# ---------------------------------------------------------------------- files of the data sets


def write_pixel_face_folders(root, *folders):
    for folder in folders:
        for view in "012":
            miniature_sets.save(np.zeros((4, 4, 3), np.uint8), root / folder / view / "t.jpg")


def test_subjects_of_pixel_face(tmp_path):
    write_pixel_face_folders(tmp_path / "a", "s1/e1", "s1/e2", "s2/e1")
    config = PhotoSetConfig(name="x", source=str(tmp_path / "a"))
    samples = PixelFace.find_samples(config)
    assert [(sample.subject, sample.name, sample.split) for sample in samples] == [
        ("s1", "s1/e1", None), ("s1", "s1/e2", None), ("s2", "s2/e1", None)
    ]  # fmt: skip
    (tmp_path / "a" / "val_obj").mkdir()
    (tmp_path / "a" / "val_obj" / "s1e2.obj").write_text("")
    assert PixelFace.find_samples(config)[1].truth["scan"].name == "s1e2.obj"

    write_pixel_face_folders(tmp_path / "b", "train/g/s1/e1", "val/g/s2/e1")
    samples = PixelFace.find_samples(PhotoSetConfig(name="x", source=str(tmp_path / "b")))
    assert [(sample.subject, sample.split) for sample in samples] == [("s1", "train"), ("s2", "test")]

    write_pixel_face_folders(tmp_path / "c", "train/s1/e1/x", "train/s2/e1/x")
    config = PhotoSetConfig(name="x", source=str(tmp_path / "c"))
    with pytest.raises(InputError, match="e1 is the name of folders in s1 and in s2.*<subject_folder> 3"):
        PixelFace.find_samples(config)
    samples = PixelFace.find_samples(PhotoSetConfig(name="x", source=str(tmp_path / "c"), subject_folder=3))
    assert [sample.subject for sample in samples] == ["s1", "s2"]
    with pytest.raises(InputError, match="has not enough folders above it"):
        PixelFace.find_samples(PhotoSetConfig(name="x", source=str(tmp_path / "a" / "s1" / "e1")))


def test_stored_photos_of_pixel_face_are_turned_and_mirrored(tmp_path):
    upright = np.random.default_rng(0).integers(0, 255, (6, 4, 3), np.uint8)
    miniature_sets.save(np.rot90(upright[:, ::-1], 1), tmp_path / "t.png")
    np.testing.assert_array_equal(read_stored_photo(tmp_path / "t.png"), upright)
    assert read_photo(tmp_path / "t.png").shape == (4, 6, 3)


def test_points_in_another_order_are_refused(model):
    reference = mean_landmarks(model)[WITHOUT_JAW]
    check_face_like(100 * reference + 7, reference)
    for wrong in (reference[::-1], reference * [-1, 1, 1], np.zeros_like(reference)):
        with pytest.raises(InputError, match="mm on average from where a mean face has them"):
            check_face_like(wrong, reference)


def test_scans_in_other_units_or_frames_are_refused():
    points = np.random.default_rng(0).normal(size=(500, 3)) * 40
    seven = points[:7].copy()
    seven[0], seven[3] = [-45, 0, 0], [45, 0, 0]
    scan = Scan(np.concatenate([points, seven]), seven)
    check_scan(scan)
    for wrong in (scan._replace(points=100 * points + 500), scan._replace(points=points + [0, 0, 900])):
        with pytest.raises(InputError, match="mm off the scan's points"):
            check_scan(wrong)


def test_samples_of_one_name_are_refused(prepared, subjects, tmp_path, monkeypatch, capsys):
    miniature_sets.write_bosphorus(tmp_path / "one", subjects[:1])
    shutil.copytree(tmp_path / "one", tmp_path / "one" / "copy")
    command = prepare_command("bosphorus", tmp_path / "one", tmp_path / "data")[1:]
    code, _, error = run_program(monkeypatch, capsys, prepare.main, *command)
    assert code == 2 and "two samples are called bs000: " in error and "one/copy/bs000/" in error


def test_names_that_are_no_unicode(prepared, tmp_path, monkeypatch, capsys):
    source, _ = prepared("photo_folder")
    for number, folder in enumerate(("person0", "person1", b"caf\xe9".decode(errors="surrogateescape"))):
        shutil.copytree(source / f"person{number}", tmp_path / "people" / folder)
        odd = b"\xe9.png".decode(errors="surrogateescape")
        (tmp_path / "people" / folder / "a.png").rename(tmp_path / "people" / folder / odd)
    command = prepare_command("photo_folder", tmp_path / "people", tmp_path / "data")[1:]
    assert run_program(monkeypatch, capsys, prepare.main, *command)[0] == 0
    report = tmp_path / "data" / "photo_folder" / "full" / "1.0.0" / "report.csv"
    assert "caf\\udce9" in report.read_text()


def test_what_no_check_foresaw_leaves_out_one_sample(tmp_path):
    def make(sample):
        return {"x": {"a": np.ones(3), "c": np.ones(3)}[sample.name]}

    samples = [Sample(name, name, ()) for name in "abc"]
    outcomes = list(staging.stage(samples, make, tmp_path, 1))
    assert [outcome.reason for outcome in outcomes] == ["", "KeyError: 'b'", ""]


@pytest.mark.slow
def test_workers_end_with_the_parent_and_are_missed(tmp_path):
    """The parent killed: so are the workers. A worker killed: one line."""
    script = tmp_path / "script.py"
    script.write_text(
        """
import os, signal, sys, time
from pathlib import Path
from dfmvr_jax.datasets.photo_sets.samples import Sample, ScanMesh
from dfmvr_jax.datasets.photo_sets.staging import stage
from dfmvr_jax.errors import InputError

def make(sample):
    Path(sys.argv[1], f"{os.getpid()}.pid").write_text("")
    time.sleep(0.2)
    os.kill(os.getppid() if sys.argv[2] == "parent" else os.getpid(), signal.SIGKILL)
    time.sleep(60)

if __name__ == "__main__":
    try:
        list(stage([Sample(name, name, ()) for name in "abcd"], make, Path(sys.argv[1]), 2))
    except InputError as error:
        print(error)
"""
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    for victim in ("parent", "worker"):
        folder = tmp_path / victim
        folder.mkdir()
        command = [sys.executable, script, folder, victim]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert (done.returncode, "fewer <processes>" in done.stdout) == (
            (-9, False) if victim == "parent" else (0, True)
        )
        pids = [int(path.stem) for path in folder.glob("*.pid")]
        deadline = time.monotonic() + 10
        while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert pids and not any(psutil.pid_exists(pid) for pid in pids)


def test_the_106_points_name_each_of_ibugs_once():
    assert len(IBUG_OF_106) == len(set(IBUG_OF_106)) == 51
    # the seven that the released code aligns by are rows 47, 50, 53, 56, 79, 85 of its 101, five rows having
    # been left out before them: corners of eyes and mouth
    corners = np.array([36, 39, 42, 45, 48, 54]) - WITHOUT_JAW.start
    assert (IBUG_OF_106[corners] - 5).tolist() == [47, 50, 53, 56, 79, 85]


def write_range_image(path, points, photo_xy, background=-1e9, rows=None, photo_name=b"x.png"):
    columns = np.column_stack([points, photo_xy]).T.astype("<f8")
    header = struct.pack("<HHdH", rows or len(points), 1, background, len(photo_name)) + photo_name
    path.write_bytes(header + struct.pack("<I", columns.size) + columns.tobytes())


@pytest.mark.parametrize("from_bottom", [False, True])
def test_range_images(tmp_path, from_bottom):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 3)) * 30
    photo_xy = np.stack([points[:, 0], -points[:, 1]], axis=-1) / 400 + 0.5
    stored = np.stack([photo_xy[:, 0], 1 - photo_xy[:, 1]], axis=-1) if from_bottom else photo_xy
    with_holes = np.concatenate([points, np.full((5, 3), -1e9)])
    write_range_image(tmp_path / "x.bnt", with_holes, np.concatenate([stored, np.full((5, 2), -1e9)]))
    image = read_range_image(tmp_path / "x.bnt")
    np.testing.assert_allclose(image.points, points)
    np.testing.assert_allclose(image.photo_xy, photo_xy)
    pixels = photo_xy[[3, 7]] * [640, 480] + 0.1
    np.testing.assert_allclose(points_at(image, pixels, (480, 640), 1.0), points[[3, 7]])
    with pytest.raises(InputError, match="a hole"):
        points_at(image, pixels + [300, 0], (480, 640), 1.0)


def test_damaged_range_images(tmp_path):
    path = tmp_path / "x.bnt"
    points, photo_xy = np.random.default_rng(0).normal(size=(2, 50, 3))
    write_range_image(path, points, photo_xy[:, :2])
    whole = path.read_bytes()
    for content, message in (
        (whole[:-8], "bytes; a range image"),
        (whole[:5], "too short"),
        (b"", "too short"),
        (whole[:2] + b"\xff" + whole[3:], "bytes; a range image"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{path}: .*{message}"):
            read_range_image(path)
    write_range_image(path, np.full((50, 3), -1e9), photo_xy[:, :2])
    with pytest.raises(InputError, match="the scanner saw 0 points"):
        read_range_image(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_range_image(tmp_path / "nothing.bnt")


def test_triangles_do_not_bridge_holes():
    y, x = np.mgrid[:20, :30].astype(float)
    points = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3)
    points = points[(points[:, 0] < 8) | (points[:, 0] > 20)]
    triangles = delaunay_triangles(points)
    assert len(triangles) == 2 * 19 * (7 + 8)
    assert np.ptp(points[triangles][..., 0], axis=1).max() <= 1
    with pytest.raises(InputError, match="no extent"):
        delaunay_triangles(np.zeros((10, 3)))


def test_damaged_points_and_meshes(tmp_path):
    path = tmp_path / "points.txt"
    for text in ("1 2 3\n4 5\n", "1 2 3\n", "a b c\n", "1 2 nan\n4 5 6\n", ""):
        path.write_text(text)
        with pytest.raises(InputError, match=f"{path}: "):
            read_points(path, 2)
    path.write_text("1 2 3\n4 5 6\n")
    np.testing.assert_array_equal(read_points(path, 2), [[1, 2, 3], [4, 5, 6]])
    mesh = tmp_path / "x.obj"
    for text in ("", "nonsense", "v 1 2\nf 1 2 3\n", "v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"):
        mesh.write_text(text)
        with pytest.raises(InputError, match=f"{mesh}: "):
            read_obj(mesh)
    mesh.write_text("mtllib ../../secret.mtl\nv 0 0 0 255 0 0\nv 1 0 0 0 0 0\nv 0 1 0 0 0 0\nf 1 2 3\n")
    vertices, triangles = read_obj(mesh)
    np.testing.assert_array_equal(vertices, [[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(triangles, [[0, 1, 2]])
    with pytest.raises(InputError, match="there|cannot be read"):
        read_obj(tmp_path / "nothing.obj")


def test_cameras_of_multi_pie(tmp_path):
    for camera in ("051", "130", "041", "080", "190", "110"):
        miniature_sets.save(
            np.zeros((4, 4, 3), np.uint8), tmp_path / "x" / f"007_02_01_{camera}_13_crop_128.png"
        )
    (tmp_path / "x" / "007_02_01_051_13_crop_128.5pt").write_text("1 2\n" * 5)
    samples = MultiPie.find_samples(PhotoSetConfig(name="x", source=str(tmp_path)))
    assert [sample.name for sample in samples] == ["007_02_01_13_30", "007_02_01_13_45"]
    assert samples[0].subject == "007"
    assert samples[0].photos[0].landmarks.name == "007_02_01_051_13_crop_128.5pt"


def test_a_changed_list_of_subjects_is_another_setting(tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("anna test\n")
    config = PhotoSetConfig(name="x", source=str(tmp_path), split_list=str(listed))
    before = config.settings()
    assert config.settings() == before
    listed.write_text("anna train\n")
    assert config.settings()["split_list"] != before["split_list"]
