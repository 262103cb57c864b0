"""Heads fitted to photos, as a user has them: the program and the Python API, on generated people."""

import contextlib
import dataclasses
import io
import json
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from PIL import Image
from pygltflib import GLTF2
from scipy.spatial.transform import Rotation

import reconstruct
from benchmarks.accuracy import corresponding_error, face_of, neutral_of
from benchmarks.generated_people import Shooting, generate_person
from dfmvr_jax import fit
from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.config import Config
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.fitting.against_scan import compare_person
from dfmvr_jax.fitting.fit_person import choose_faces, fit_person, misfits, read_people
from dfmvr_jax.fitting.fitter import Fitter, load_fitter
from dfmvr_jax.fitting.network_start import choose_views, network_start
from dfmvr_jax.fitting.photos import read_fitting_photo
from dfmvr_jax.fitting.stages import first_head, layout_of
from dfmvr_jax.fitting.wishes import Wishes
from dfmvr_jax.landmarks import five_points
from dfmvr_jax.photos.preparation import PhotoFile
from dfmvr_jax.prediction import Prediction, Run
from dfmvr_jax.programs.fit import check_scan
from dfmvr_jax.programs.people import for_each_person
from tests.run_program import run_program

MODEL = "builtin-coarse"
SHOOTING = Shooting(size=420)
ANN, BOB = 1000, 1001
PROGRAM = ("--face-model", MODEL, "--effort", "quick", "--texture-size", "512")


@pytest.fixture(scope="module")
def model():
    return load_face_model(MODEL)


@pytest.fixture(scope="module")
def ann(model):
    return generate_person(model, ANN, SHOOTING)


@pytest.fixture(scope="module")
def bob(model):
    return generate_person(model, BOB, SHOOTING)


@pytest.fixture(scope="module")
def fitter(face_mesh) -> Fitter:
    return load_fitter(MODEL, "quick")


@pytest.fixture(scope="module")
def points_fitter(fitter) -> Fitter:
    return dataclasses.replace(fitter, kind="points")


def save(photos, folder):
    """Files of pictures, named a, b, c and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{'abcdefgh'[number]}.jpg" for number in range(len(photos))]
    for path, photo in zip(paths, photos):
        Image.fromarray(photo).save(path, quality=95)
    return paths


def files(photos) -> list[PhotoFile]:
    """Pictures that lie on no disk."""
    return [
        PhotoFile(Path(f"{number}.jpg"), read=lambda _, photo=photo: photo)
        for number, photo in enumerate(photos)
    ]


@pytest.fixture(scope="module")
def family(face_mesh, ann, bob, tmp_path_factory):
    """The program run on three people: one with a photo of a wall, one with one photo, one without a face."""
    folder = tmp_path_factory.mktemp("family")
    save(ann.photos, folder / "photos" / "ann")
    wall = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    Image.fromarray(wall).save(folder / "photos" / "ann" / "wall.png")
    save(bob.photos[1:2], folder / "photos" / "bob")
    save([wall], folder / "photos" / "nobody")

    out, err = io.StringIO(), io.StringIO()
    flags = ("--photos", folder / "photos", "--out", folder / "out", *PROGRAM, "--pupils-mm", "64")
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        patch.setattr(sys, "argv", ["reconstruct.py", *map(str, flags)])
        reconstruct.main()
    return folder, end.value.code, out.getvalue(), err.getvalue()


def test_each_person_gets_files_and_bad_photos_are_named(family):
    folder, code, out, err = family
    assert code == 2  # one of the three has no face
    assert f"warning: left out: {folder / 'photos' / 'ann' / 'wall.png'}: no face found" in err
    assert f"error: {folder / 'photos' / 'nobody' / 'a.jpg'}: no face found" in err
    assert "1 of 3 subjects were left out" in err and "Traceback" not in err
    assert not (folder / "out" / "nobody").exists()
    assert out.count("landmarks off by") == 4 and "size: by the distance of the pupils" in out
    written = {path.name for path in (folder / "out" / "ann").iterdir()}
    names = ("1_a", "2_b", "3_c")
    expected = {"mesh.ply", "mesh.glb", "mesh.obj", "coefficients.json", "overview.png", "view.html"}
    expected |= {"thumbnail.jpg", "mesh.mtl", "texture.png", "texture_photographed.png"}
    assert written == expected | {f"head_{name}.ply" for name in names} | {
        f"overlay_{name}.jpg" for name in names
    }


def test_the_head_lies_on_its_photos(family, ann, model):
    """By the matrices of coefficients.json and the mesh files alone."""
    folder, *_ = family
    found = json.loads((folder / "out" / "ann" / "coefficients.json").read_text())
    assert len(found["landmarks_mm"]) == 68 and list(found["left_out"])[0].endswith("wall.png")
    marks = np.asarray(model.landmarks)
    for number, photo in enumerate(found["photos"]):
        head = trimesh.load(folder / "out" / "ann" / f"head_{number + 1}_{'abc'[number]}.ply", process=False)
        x, y, depth = (
            np.array(photo["vertex_mm_to_photo_pixel"])
            @ np.column_stack([head.vertices[marks], np.ones(68)]).T
        )
        pose, place = (np.asarray(part[number], float) for part in ann.coefficients[4:])
        seen = ann.photographed[number][marks] @ Rotation.from_euler("xyz", pose).as_matrix().T + place
        true = 210 + ann.focal * 420 * seen[:, :2] * [1, -1] / -seen[:, 2:]
        gap = np.linalg.norm(np.stack([x, y], axis=1) / depth[:, None] - true, axis=1)[17:].mean()
        eyes = np.linalg.norm(true[36] - true[45])
        assert gap < 0.06 * eyes
        assert photo["landmark_error_of_eye_distance"] < 0.06
        overlay = np.asarray(Image.open(folder / "out" / "ann" / f"overlay_{number + 1}_{'abc'[number]}.jpg"))
        assert overlay.shape == (420, 420, 3) and depth.min() > 0


def test_a_page_lists_all_and_each_has_one(family):
    folder, *_ = family
    index = (folder / "out" / "index.html").read_text()
    assert "3 people, 1 failed" in index and index.count("<a ") == 2
    assert "3 photos, 1 left out" in index and "no face found" in index
    page = (folder / "out" / "ann" / "view.html").read_text()
    assert "<title>ann</title>" in page and '"file":"c.jpg"' in page and '"Open the jaw"' in page


def test_a_scan_gives_errors_and_a_map(ann, points_fitter, tmp_path):
    """The truth itself, in another place; and of two people's photos it is asked whose it is."""
    (photo,) = save(ann.photos[1:2], tmp_path)
    person = fit([photo], face_model=points_fitter)
    scan = tmp_path / "scan.ply"
    chosen = ann.neutral[:, 2] > -0.3
    trimesh.PointCloud(100 * ann.neutral[chosen] + [0, 30, 0]).export(scan)
    by_shape = compare_person(person, scan)
    np.savetxt(scan.with_suffix(".txt"), 100 * ann.neutral[np.asarray(person.model.landmarks)] + [0, 30, 0])
    by_landmarks = compare_person(person, scan)
    assert (by_shape.laid_by, by_landmarks.laid_by) == ("shape", "landmarks")
    assert 0.3 < by_landmarks.rmse_mm < 4 and abs(by_shape.rmse_mm - by_landmarks.rmse_mm) < 0.2
    seen = ~np.isnan(by_landmarks.errors_mm)
    assert 0.1 < seen.mean() < 0.9

    person.save(tmp_path / "out", by_landmarks)
    found = json.loads((tmp_path / "out" / "coefficients.json").read_text())["scan"]
    assert found["rmse_mm"] == by_landmarks.rmse_mm and found["file"] == "scan.ply"
    assert f"RMSE {by_landmarks.rmse_mm:.2f} mm" in (tmp_path / "out" / "view.html").read_text()
    with pytest.raises(InputError, match="is of one person, and --photos has 2"):
        check_scan(scan, 2)
    with pytest.raises(InputError, match="gone.ply: there is no such file"):
        check_scan(tmp_path / "gone.ply", 1)


def test_the_glb_opens_as_the_photo_nearest_to_frontal(family):
    folder, *_ = family
    file = GLTF2.load_binary(folder / "out" / "ann" / "mesh.glb")
    photos = [f"photo_{name}" for name in ("1_a", "2_b", "3_c")]
    assert [node.name for node in file.nodes] == ["head", *photos]
    names, weights = file.meshes[0].extras["targetNames"], np.array(file.meshes[0].weights)
    assert names[-3:] == photos and "jawOpen" in names
    found = json.loads((folder / "out" / "ann" / "coefficients.json").read_text())
    frontal = np.argmin([abs(photo["yaw_degrees"]) for photo in found["photos"]])
    assert weights[names.index(photos[frontal])] == weights.sum() == 1


def test_heads_are_textured(family, model):
    """All files; the skin of the one photo's person is the photo's, and continues on the neck."""
    folder, *_ = family
    file = GLTF2.load_binary(folder / "out" / "ann" / "mesh.glb")
    assert len(file.images) == 1
    texture = np.asarray(Image.open(folder / "out" / "bob" / "texture.png"))
    photographed = np.asarray(Image.open(folder / "out" / "bob" / "texture_photographed.png"))
    assert texture.shape == photographed.shape == (512, 512, 3)
    column, row = (512 * np.asarray(model.uv) * [1, -1] + [0, 512]).astype(int).clip(0, 511).T
    of_skin = np.isin(np.asarray(model.part_labels), [1, 11])  # the face's and the neck's
    corners = np.asarray(model.uv_triangles)[of_skin[np.asarray(model.triangles)].all(axis=1)].ravel()
    skin = texture[row[corners], column[corners]]
    assert (skin.mean(axis=1) > 0.4 * skin.mean()).mean() > 0.93  # brows are darker
    photo = np.asarray(Image.open(folder / "photos" / "bob" / "a.jpg"))
    found = json.loads((folder / "out" / "bob" / "coefficients.json").read_text())["photos"][0]
    tip = np.array(found["vertex_mm_to_photo_pixel"]) @ [
        *trimesh.load(folder / "out" / "bob" / "head_1_a.ply", process=False).vertices[model.landmarks[30]],
        1,
    ]
    x, y = (tip[:2] / tip[2]).astype(int)
    at = np.asarray(model.uv)[
        np.asarray(model.uv_triangles)[np.asarray(model.triangles) == model.landmarks[30]][0]
    ]
    there = photographed[int(512 * (1 - at[1])), int(512 * at[0])]
    assert np.abs(there - photo[y - 1 : y + 2, x - 1 : x + 2].mean(axis=(0, 1))).mean() < 20


def test_the_pupils_give_the_size(family, model):
    folder, *_ = family
    found = json.loads((folder / "out" / "bob" / "coefficients.json").read_text())
    marks = np.array(found["landmarks_mm"])
    assert np.linalg.norm(marks[36:42].mean(axis=0) - marks[42:48].mean(axis=0)) == pytest.approx(
        64, rel=1e-4
    )
    assert found["size"]["source"] == "pupils"
    mesh = trimesh.load(folder / "out" / "bob" / "mesh.ply", process=False)
    np.testing.assert_allclose(mesh.vertices[np.asarray(model.landmarks)], marks, atol=1e-2)
    assert abs(np.array(found["free_form"])).max() < 0.01  # one photo says too little for it


def test_fits_come_nearer_than_the_mean_face(family, ann, fitter, points_fitter):
    """Three photos; the code is compiled already. Settings were chosen on others (numbers below 1000)."""
    chosen = face_of(fitter.model, ann.neutral)

    def error(head: np.ndarray) -> float:
        return corresponding_error(head, ann.neutral, chosen)[1]

    mean = error(np.asarray(fitter.model.mean_shape))
    by_points = error(neutral_of(fit_person(points_fitter, files(ann.photos)), Wishes()))
    by_colours = error(neutral_of(fit_person(fitter, files(ann.photos)), Wishes()))
    assert by_points < 0.95 * mean and by_colours < 0.75 * mean and by_colours < by_points


def test_wishes_are_kept(points_fitter, ann):
    wishes = Wishes(same_expression=True, focal_mm=50.0)
    person = fit([*files(ann.photos)], face_model=points_fitter, wishes=wishes)
    first, *others = person.photos
    for photo in others:
        np.testing.assert_allclose(photo.expression, first.expression, atol=1e-5)
    assert first.focal_px == pytest.approx(50 / 43.27 * np.hypot(420, 420), rel=0.02)
    assert person.size.source == "model" and person.started_by == "points"
    assert person.landmarks_mm.shape == (68, 3) and person.vertices_mm.shape[1] == 3
    seen = person.confidence > 0.5
    assert 0.1 < seen.mean() < 0.9


def test_wishes_that_cannot_be_meant_are_refused(points_fitter, ann):
    for wishes, message in (
        (Wishes(pupils_mm=640.0), "<pupils_mm> 640.0: expected 30 to 90"),
        (Wishes(faces=(0,)), "<face> 0"),
    ):
        with pytest.raises(InputError, match=message):
            fit([*files(ann.photos)], face_model=points_fitter, wishes=wishes)


def test_of_two_faces_the_persons_own_is_taken(points_fitter, ann, bob):
    """Though the other is larger."""
    large, small = (Image.fromarray(photo) for photo in (bob.photos[1], ann.photos[1]))
    both = Image.new("RGB", (900, 420))
    both.paste(large, (0, 0))
    both.paste(small.resize((330, 330)), (500, 40))
    photos = files([ann.photos[0], np.asarray(both), ann.photos[2]])
    found = fit_person(points_fitter, photos)
    assert found.photos[1].face.landmarks[:, 0].min() > 450
    assert found.photos[1].doubt == "shows 2 large faces, of which number 2 by size was taken"
    assert found.photos[0].doubt == found.photos[2].doubt == ""
    read, _ = read_people(points_fitter, photos, Wishes(faces=(1, 1, 1)))
    assert [len(faces) for faces in read] == [1, 1, 1] and read[1][0].doubt == ""
    assert read[1][0].face.landmarks[:, 0].max() < 450
    read, _ = read_people(points_fitter, photos, Wishes(faces=(1, 2, 1)))
    assert read[1][0].face.landmarks[:, 0].min() > 450


def test_of_two_people_in_all_photos_one_is_taken(points_fitter, ann, bob):
    """The one who is nearer to the camera in most of them."""
    photos = []
    for view, nearer in enumerate((ann, bob, ann)):
        sizes = {id(person): 420 if person is nearer else 300 for person in (ann, bob)}
        both = Image.new("RGB", (900, 420), "gray")
        for person, left in ((ann, 0), (bob, 460)):
            one = Image.fromarray(person.photos[view]).resize((sizes[id(person)],) * 2)
            both.paste(one, (left, 0))
        photos.append(np.asarray(both))
    read, _ = read_people(points_fitter, files(photos), Wishes())
    assert [len(faces) for faces in read] == [2, 2, 2]
    chosen = choose_faces(points_fitter.by_mesh, read, points_fitter.config, Wishes())
    assert [photo.face.landmarks[:, 0].max() < 450 for photo in chosen] == [True] * 3
    assert [photo.doubt.partition("number ")[2][0] for photo in chosen] == ["1", "2", "1"]


def test_one_picture_under_three_names_counts_once(points_fitter, ann):
    front, left = ann.photos[1], ann.photos[0]
    read, left_out = read_people(points_fitter, files([front, front, left, front]), Wishes())
    assert [faces[0].path.name for faces in read] == ["0.jpg", "2.jpg"]
    assert left_out[Path("3.jpg")] == "3.jpg: is the same picture as 0.jpg" and len(left_out) == 2


def test_points_that_fit_nobody_are_left_out(points_fitter, ann):
    """Landmarks of another place, as a wrong file gives them: that photo is named."""
    photos = [
        read_fitting_photo(file, lambda: points_fitter.detector, points_fitter.model, points_fitter.config)[0]
        for file in files(ann.photos)
    ]
    fitting = points_fitter.by_mesh
    layout = layout_of(fitting, photos, points_fitter.config)
    usual = misfits(fitting, photos, first_head(fitting.model, photos, layout))
    assert usual.shape == (3,) and (usual > 0).all()

    mesh = photos[1].face.mesh
    broken = photos[1].face._replace(mesh=mesh[::-1].copy())

    class Detector:
        def __call__(self, photo):
            faces = points_fitter.detector(photo)
            return [broken] if np.array_equal(photo, ann.photos[1]) else faces

    spoiled = dataclasses.replace(points_fitter)
    spoiled.__dict__["detector"] = Detector()
    found = fit_person(spoiled, files(ann.photos))
    assert list(found.left_out) == [Path("1.jpg")] and len(found.photos) == 2
    assert "somebody else, or its points are wrong" in found.left_out[Path("1.jpg")]


def test_leaving_a_photo_out(points_fitter, ann):
    """The head of two photos fits the third less well than when it is one of three."""
    checking = dataclasses.replace(
        points_fitter, config=dataclasses.replace(points_fitter.config, check=True)
    )
    found = fit_person(checking, files(ann.photos))
    own = np.mean([error.of_eye_distance for error in found.errors])
    left_out = np.mean([error.of_eye_distance for error in found.left_out_errors])
    assert own < left_out < 0.12


def test_a_networks_guess_is_a_second_start(points_fitter, ann):
    """One that knows the truth, and one that knows nothing."""
    model = points_fitter.model
    config = dataclasses.replace(Config(), image_size=32, face_model=MODEL)

    def run_that_says(identity) -> Run:
        def predict(crops, given) -> Prediction:
            assert crops.shape == (3, 32, 32, 3) and given.all() and crops.mean() > 0.1
            zero = jnp.zeros
            coefficients = Coefficients(
                identity, zero(model.dimensions[1]), zero(1), zero((3, 9)), zero((3, 3)), zero((3, 3))
            )
            return Prediction(coefficients, np.zeros((3, 32, 32), int))

        return Run(None, config, model, None, 0, predict)

    guess = jnp.asarray(ann.coefficients.identity)
    person = fit(files(ann.photos), face_model=points_fitter, checkpoint=run_that_says(guess))
    assert person.started_by in ("network", "points")  # both end at the same head
    mean = fit(files(ann.photos), face_model=points_fitter, checkpoint=run_that_says(0 * guess))
    assert mean.started_by == "points"
    nothing = fit(files(ann.photos), face_model=points_fitter, checkpoint=run_that_says(guess * np.nan))
    assert nothing.started_by == "points"
    other = dataclasses.replace(model, name="other")
    with pytest.raises(InputError, match="speaks of the face model other, the fit of builtin-coarse"):
        network_start(Run(None, config, other, None, 0, None), model)


def test_the_views_that_a_network_gets(points_fitter, ann):
    photos = [
        read_fitting_photo(file, lambda: points_fitter.detector, points_fitter.model, points_fitter.config)[0]
        for file in files(ann.photos)
    ]
    views = choose_views([photos[2], photos[0], photos[1], photos[1]])
    assert [view.pose.yaw < 0 for view in (views[0], views[2])] == [True, False]
    assert abs(views[1].pose.yaw) < 0.2
    assert [view is not None for view in choose_views([photos[0]])] == [True, False, False]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--fit", "none", "--photos", "a.jpg"), "needs its run: give --workdir"),
        (("--aligned", "--photos", "a.jpg"), "needs its run: give --workdir"),
        (("--fit", "points", "--aligned", "--photos", "a.jpg"), "--aligned: a fit takes whole photos"),
        (("--photos", "a.jpg", "--focal", "2"), "--focal-mm 2.0: expected 8 to 1200"),
        (("--photos", "a.jpg", "--pupils-mm", "640"), "--pupils-mm 640.0: expected 30 to 90"),
        (("--photos", "a.jpg", "--face", "0"), "--face 0: expected 1"),
        (("--photos", "a.jpg", "b.jpg", "--face", "1", "2", "1"), "3 numbers for 2 photos"),
        (
            ("--photos", "a.jpg", "--fit", "none", "--workdir", "w", "--check"),
            "--check: is of fits, and there",
        ),
        (
            ("--photos", "a.jpg", "--fit", "none", "--workdir", "w", "--effort", "best"),
            "--effort: is of fits",
        ),
        (("--front", "a.jpg", "--workdir", "w", "--same-expression"), "--same-expression: is of fits"),
        (("--aligned", "--photos", "a", "--workdir", "w", "--texture-size", "0"), "--texture-size: is of"),
        (("--aligned", "--photos", "a", "--workdir", "w", "--pupils-mm", "60"), "--pupils-mm: is of fits"),
        (
            ("--aligned", "--photos", "a", "--workdir", "w", "--face", "2"),
            "--face: an aligned photo shows one",
        ),
        (("--photos", "a.jpg", "--texture-size", "1000"), "--texture-size 1000: expected one of 256, 512"),
        (("--photos", "a.jpg", "--face-model", "nobody"), "face model nobody: expected builtin"),
        (("--photos", "nowhere.jpg", "--face-model", MODEL), "nowhere.jpg: there is no such photo"),
        (("--photos", "{tmp}", "--face-model", MODEL), "there are no photos; give one or more"),
        ((), "give the photos either by --photos or by --left"),
    ],
)
def test_what_cannot_be_meant_is_one_line(monkeypatch, capsys, tmp_path, flags, message):
    flags = [flag.format(tmp=tmp_path) for flag in flags]
    code, _, err = run_program(monkeypatch, capsys, reconstruct.main, "--out", tmp_path / "out", *flags)
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1, err


def test_python_says_what_a_fit_wants():
    with pytest.raises(InputError, match="give a list of photos, of one person"):
        fit("a.jpg")
    with pytest.raises(InputError, match="there are no photos"):
        fit([])
    with pytest.raises(InputError, match="a texture of 300 texels"):
        fit(["a.jpg"], texture_size=300)
    with pytest.raises(InputError, match="a fit of kind 'none': expected 'points'"):
        fit(["a.jpg"], kind="none")


def test_landmarks_of_another_size_are_refused(points_fitter, ann, tmp_path):
    photo = tmp_path / "a.png"
    Image.fromarray(ann.photos[1]).save(photo)
    np.savetxt(
        photo.with_suffix(".txt"), 4 * ann.photos[1].shape[0] + np.random.default_rng(0).random((68, 2))
    )
    with pytest.raises(InputError, match=r"a.png: its landmarks lie around .* but a face is seen around"):
        fit([photo], face_model=points_fitter)


def test_given_landmarks_are_held_against_the_photo(points_fitter, ann, tmp_path):
    """68 are taken, five choose the face, and either is refused where the face is elsewhere."""

    def read(points, name, fitter=points_fitter):
        np.savetxt(tmp_path / name, points)
        file = PhotoFile(Path("a.jpg"), tmp_path / name, read=lambda _: ann.photos[1])
        (photo,) = read_fitting_photo(file, lambda: fitter.detector, fitter.model, fitter.config)
        return photo

    (seen,) = points_fitter.detector(ann.photos[1])
    assert read(seen.landmarks + 1, "68.txt").face.mesh is None
    assert read(five_points(seen.landmarks) + 1, "5.txt").face.mesh is not None
    nothing = dataclasses.replace(points_fitter)
    nothing.__dict__["detector"] = lambda photo: []
    assert read(seen.landmarks, "68.txt", nothing).doubt.startswith("no face was seen in it")
    with pytest.raises(InputError, match="a.jpg: its landmarks are not a face's"):
        read(np.random.default_rng(0).permutation(seen.landmarks), "mixed.txt", nothing)
    turned = np.stack([seen.landmarks[:, 1], 420 - seen.landmarks[:, 0]], axis=1)
    for points in (turned, five_points(turned)):
        with pytest.raises(InputError, match="a.jpg: its landmarks are those of the photo turned by 90"):
            read(points, "turned.txt")


def test_results_do_not_go_among_the_photos(monkeypatch, capsys, tmp_path, ann):
    save(ann.photos[:1], tmp_path / "ann")
    flags = ("--photos", tmp_path / "ann", "--out", tmp_path / "ann", *PROGRAM)
    code, _, err = run_program(monkeypatch, capsys, reconstruct.main, *flags)
    assert code == 2 and "is the folder of the photos" in err


def test_whatever_happens_to_one_of_many_the_others_go_on(tmp_path, capsys):
    done, told = [], {}

    def do(files, folder):
        if folder.name == "a":
            raise ZeroDivisionError("by a hair")
        done.append(folder.name)

    people = {tmp_path / name: [PhotoFile(tmp_path / f"{name}.jpg")] for name in "abc"}
    with pytest.raises(InputError, match="1 of 3"):
        for_each_person(people, lambda files, where: None, do, lambda folder, why: told.update({folder: why}))
    assert done == ["b", "c"] and "by a hair" in told[tmp_path / "a"]
    assert "error: a: ZeroDivisionError" in capsys.readouterr().err
