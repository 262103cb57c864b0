"""Faces and landmarks in photos nobody has prepared."""

import sys
import types
import urllib.error
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from dfmvr_jax.commands import fetch
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.datasets.synthetic.scenes import photograph, render_scene, sample_subject
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.landmarks import WITHOUT_JAW, five_points
from dfmvr_jax.photos import face_mesh_files
from dfmvr_jax.photos.alignment import head_yaw, mean_landmarks, transform_points, warp
from dfmvr_jax.photos.detection import find_face, load_detector
from dfmvr_jax.photos.faces import FoundFace, by_size, numbers_of_faces
from dfmvr_jax.photos.given_points import face_at
from dfmvr_jax.photos.photo_camera import photo_camera, projection_matrix
from dfmvr_jax.photos.preparation import (
    PhotoFile,
    assign_views,
    find_photo_files,
    prepare_photo,
)
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.render.camera import project
from tests.run_program import run_program

SUBJECTS = 4


@pytest.fixture(scope="module")
def model():
    return load_face_model("builtin-coarse")


@pytest.fixture(scope="module")
def detector(face_mesh):
    return load_detector("mediapipe")


@pytest.fixture(scope="module")
def scenes(model):
    """Synthetic subjects: photos [3, h, w, 3], landmarks [3, 68, 2] and yaw [3] of each."""
    made = []
    for k in range(SUBJECTS):
        rng = np.random.default_rng([5, k])
        scene = render_scene(model, sample_subject(rng, model), 224)
        photos = photograph(rng, scene)
        yaws = np.asarray(scene.coefficients.rotation)[:, 1]
        made.append((photos, np.asarray(scene.landmarks, np.float64), yaws))
    return made


def placed(photo, side, centre, angle=0.0, canvas=700):
    """The photo shrunk or enlarged to `side` pixels, turned, on grey; and the way of its points there."""
    turn = Rotation.from_euler("z", angle).as_matrix()[:2, :2] * len(photo) / side
    to_photo = np.column_stack([turn, np.full(2, len(photo) / 2) - turn @ centre])
    shown = warp(np.full_like(photo, 255), to_photo, canvas)
    to_canvas = np.linalg.inv(np.vstack([to_photo, [0, 0, 1]]))[:2]
    return to_uint8(warp(photo, to_photo, canvas) + 0.4 * (1 - shown)), to_canvas


def error_in_eye_distances(found, true, front):
    """Mean distance, the jaw left out, by the distance of the outer eye corners in the front view."""
    distances = np.linalg.norm(found - true, axis=1)[WITHOUT_JAW]
    return distances.mean() / np.linalg.norm(front[36] - front[45])


def test_landmarks_of_synthetic_faces(detector, scenes, model):
    errors, yaw_errors = np.zeros((2, SUBJECTS, 3))
    for k, (photos, landmarks, yaws) in enumerate(scenes):
        for view in range(3):
            (face,) = detector(photos[view])
            assert face.probability > 0.9
            errors[k, view] = error_in_eye_distances(face.landmarks, landmarks[view], landmarks[1])
            yaw_errors[k, view] = np.degrees(abs(head_yaw(face.landmarks, model) - yaws[view]))
    print("normalised mean error, left, front, right:", errors.mean(axis=0).round(4))
    print("degrees of yaw:", yaw_errors.mean().round(1))
    assert errors.max() < 0.07 and errors[:, 1].mean() < 0.045
    assert yaw_errors.max() < 9


@pytest.mark.parametrize(
    ("side", "angle"), [(690, 0.0), (120, 0.0), (60, 0.0), (400, 0.5), (400, np.pi / 2), (400, -np.pi / 2)]
)
def test_faces_of_every_size_and_turn(detector, scenes, side, angle):
    photos, landmarks, _ = scenes[0]
    photo, to_canvas = placed(photos[1], side, (350, 350), angle)
    face = by_size(detector(photo))[0]
    true = transform_points(to_canvas, landmarks[1])
    assert error_in_eye_distances(face.landmarks, true, true) < 0.08


def test_a_photo_on_its_head(detector, scenes):
    photos, landmarks, _ = scenes[1]
    face, _ = find_face(np.ascontiguousarray(photos[1][::-1, ::-1]), detector)
    assert error_in_eye_distances(224 - face.landmarks, landmarks[1], landmarks[1]) < 0.06


def test_the_largest_of_several_faces(detector, scenes):
    large, to_large = placed(scenes[0][0][1], 380, (220, 300))
    small, to_small = placed(scenes[1][0][1], 240, (560, 350))
    photo = np.concatenate([large[:, :430], small[:, 430:]], axis=1)
    for number, true in (
        (1, transform_points(to_large, scenes[0][1][1])),
        (2, transform_points(to_small, scenes[1][1][1])),
    ):
        found = find_face(photo, detector, number)[0].landmarks
        assert error_in_eye_distances(found, true, true) < 0.06
    with pytest.raises(InputError, match="has 2 faces, no number 3"):
        find_face(photo, detector, 3)


def test_another_face_as_large_is_a_doubt(detector, scenes, model, tmp_path):
    """Unless somebody chose, or the other is small."""
    large, _ = placed(scenes[0][0][1], 380, (220, 300))
    for side, doubtful in ((300, True), (120, False)):
        other, _ = placed(scenes[1][0][1], side, (560, 350))
        photo = np.concatenate([large[:, :430], other[:, 430:]], axis=1)
        file = PhotoFile(tmp_path / "a.png", read=lambda _, photo=photo: photo)
        seen = prepare_photo(file, lambda: detector, model, 64)
        assert (seen.doubt == "shows 2 large faces, of which number 1 by size was taken") is doubtful
        chosen = prepare_photo(file, lambda: detector, model, 64, 2)
        assert chosen.doubt == "" and chosen.landmarks[:, 0].mean() > 430 > seen.landmarks[:, 0].mean()


def test_a_face_for_each_photo():
    assert numbers_of_faces((), 2) == [None, None] and numbers_of_faces((3,), 2) == [3, 3]
    assert numbers_of_faces((1, 2), 2) == [1, 2]
    with pytest.raises(InputError, match="faces 1 2: 2 numbers for 3 photos"):
        numbers_of_faces((1, 2), 3)


# ------------------------------------------------------------------- landmarks that a user gives


WIDTH, HEIGHT = 700, 500


@pytest.fixture(scope="module")
def seen_face(model):
    """68 landmarks in a photo of 700 x 500 pixels."""
    turned = Rotation.from_euler("y", 0.2).apply(mean_landmarks(model))
    pixels = np.asarray(project(face_camera(), jnp.asarray(turned, jnp.float32)), np.float64)
    return FoundFace(1.5 * pixels + [250, 60], 1.0)


@pytest.mark.parametrize("count", [68, 5])
@pytest.mark.parametrize(
    ("copy", "message"),
    [
        (lambda x, y: (y, WIDTH - x), "turned by 90 degrees, as its file stores it"),  # EXIF 6
        (lambda x, y: (HEIGHT - y, x), "turned by 90 degrees, as its file stores it"),  # EXIF 8
        (lambda x, y: (WIDTH - x, HEIGHT - y), "standing on its head"),
        (lambda x, y: (WIDTH - x, y), "mirrored"),
        (lambda x, y: (x / 4, y / 4), "of another size, 0.2[45]"),
        (lambda x, y: (3 * x, 3 * y), "of another size, (3|2.9)"),
        (lambda x, y: (x - 240, y), "its landmarks lie around .* but a face is seen around"),
    ],
    ids=["stored", "stored the other way", "on its head", "mirrored", "small", "large", "a neighbour's"],
)
def test_landmarks_of_another_copy_are_refused(seen_face, copy, message, count):
    points = np.stack(copy(*seen_face.landmarks.T), axis=1) + np.random.default_rng(0).normal(0, 1, (68, 2))
    points = five_points(points) if count == 5 else points
    with pytest.raises(InputError, match=message):
        face_at(points, [seen_face], (HEIGHT, WIDTH))


@pytest.mark.parametrize("count", [68, 5])
def test_landmarks_of_a_face_that_is_seen_are_taken(seen_face, count):
    """Roughly: people annotate otherwise than detectors. And of several faces their own."""
    eyes = np.linalg.norm(seen_face.landmarks[36] - seen_face.landmarks[45])
    points = seen_face.landmarks + np.random.default_rng(0).normal(0, 0.08 * eyes, (68, 2))
    points = five_points(points) if count == 5 else points
    other = seen_face._replace(landmarks=seen_face.landmarks - [300, 0])
    assert face_at(points, [other, seen_face], (HEIGHT, WIDTH)) is seen_face
    small = seen_face._replace(landmarks=0.3 * seen_face.landmarks + [400, 20])  # of somebody behind
    assert face_at(points, [small], (HEIGHT, WIDTH)) is face_at(points, [], (HEIGHT, WIDTH)) is None


def test_landmarks_that_nothing_confirms_are_a_doubt(seen_face, model, tmp_path):
    np.savetxt(tmp_path / "a.txt", seen_face.landmarks)
    photo = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    file = PhotoFile(tmp_path / "a.png", tmp_path / "a.txt", read=lambda _: photo)

    def no_networks():
        raise InputError("the networks are missing")

    for get_detector, doubt in (
        (lambda: lambda _: [seen_face], ""),
        (lambda: lambda _: [], "no face was seen in it to hold its landmarks against"),
        (no_networks, "its landmarks were not held against the photo: InputError: the networks are missing"),
    ):
        assert prepare_photo(file, get_detector, model, 64).doubt == doubt


def test_landmarks_made_on_the_pixels_that_a_phone_stores_are_refused(detector, scenes, model, tmp_path):
    photo, to_photo = placed(scenes[0][0][1], 400, (330, 360))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.ascontiguousarray(np.rot90(photo))
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif)
    upright = transform_points(to_photo, scenes[0][1][1])
    file = PhotoFile(tmp_path / "a.jpg", tmp_path / "a.txt")
    np.savetxt(tmp_path / "a.txt", upright)
    assert prepare_photo(file, lambda: detector, model, 64).doubt == ""
    np.savetxt(tmp_path / "a.txt", np.stack([upright[:, 1], 700 - upright[:, 0]], axis=1))
    with pytest.raises(InputError, match="a.txt: its landmarks are those of the photo turned by 90 degrees"):
        prepare_photo(file, lambda: detector, model, 64)


def test_landmarks_of_an_aligned_crop_lie_where_it_has_the_face(scenes, model, tmp_path):
    photos, landmarks, _ = scenes[1]
    for name, points, message in (
        ("good", landmarks[0], None),
        ("turned", np.stack([landmarks[0][:, 1], 224 - landmarks[0][:, 0]], axis=1), "turned by"),
        ("small", landmarks[0] / 2, "0.4.* times as large|0.5.* times as large"),
        ("beside", landmarks[0] + [90, 0], "landmarks of a face around"),
    ):
        np.savetxt(tmp_path / f"{name}.txt", points)
        file = PhotoFile(tmp_path / f"{name}.png", tmp_path / f"{name}.txt", read=lambda _: photos[0])
        if message is None:
            assert prepare_photo(file, None, model, 64).doubt == ""
            continue
        with pytest.raises(InputError, match=f"{name}.txt: .*{message}"):
            prepare_photo(file, None, model, 64)


def test_no_face_and_half_a_face(detector, scenes):
    with pytest.raises(InputError, match="no face found"):
        find_face(np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8), detector)
    photo = scenes[0][0][1]
    with pytest.raises(InputError, match="no face found|cut off by the photo's border"):
        find_face(np.ascontiguousarray(photo[:, : int(scenes[0][1][1][30, 0])]), detector)


def test_a_face_beyond_the_border():
    outside = np.random.default_rng(0).uniform(10, 90, (68, 2))
    outside[40] = (-3, 50)
    with pytest.raises(InputError, match="cut off by the photo's border"):
        find_face(np.zeros((100, 100, 3), np.uint8), lambda _: [FoundFace(outside, 1.0)])


def test_views_are_recognised(detector, scenes, model, tmp_path):
    photos, landmarks, yaws = scenes[2]
    for name, view in (("x", 2), ("y", 0), ("z", 1)):
        Image.fromarray(photos[view]).save(tmp_path / f"{name}.png")
    prepared = [prepare_photo(file, lambda: detector, model, 64) for file in find_photo_files(tmp_path)]
    for photo, view in zip(prepared, (2, 0, 1)):
        assert abs(photo.yaw - yaws[view]) < 0.15
        assert photo.aligned.crop.shape == (64, 64, 3)
    ordered = assign_views(prepared)
    assert [photo.file.path.stem for photo in ordered] == ["y", "z", "x"]
    assert [photo is not None for photo in assign_views(prepared[1:2])] == [True, False, False]
    with pytest.raises(
        InputError, match="do not show the head from the left, the front and the right.*x.png"
    ):
        assign_views([prepared[0]._replace(photo=light * prepared[0].photo) for light in (0.8, 0.9, 1.0)])
    with pytest.raises(InputError, match="x.png and x.png are the same picture; give three photos"):
        assign_views([prepared[0]] * 3)
    with pytest.raises(InputError, match="2 photos of a subject: expected three, or one"):
        assign_views(prepared[:2])
    named = [photo._replace(file=photo.file._replace(view=1)) for photo in prepared]
    with pytest.raises(InputError, match="x.png.*y.png.*z.png: all called front"):
        assign_views(named)
    with pytest.raises(InputError, match="y.png: say which view it is"):
        assign_views([named[0], *prepared[1:]])


def test_photos_that_are_called_by_their_view(tmp_path):
    for view in VIEWS:
        Image.new("RGB", (8, 8)).save(tmp_path / f"{view}.jpg")
    (tmp_path / "left.pts").touch()
    (tmp_path / "notes.md").touch()
    files = {file.path.stem: file for file in find_photo_files(tmp_path)}
    assert {name: file.view for name, file in files.items()} == {"left": 0, "front": 1, "right": 2}
    assert files["left"].landmarks == tmp_path / "left.pts" and files["front"].landmarks is None
    (tmp_path / "other.jpg").write_bytes((tmp_path / "left.jpg").read_bytes())
    assert all(file.view is None for file in find_photo_files(tmp_path))


@pytest.mark.parametrize(
    ("yaw", "view", "message"),
    [(1.2, None, "turned by 69 degrees"), (0.5, 0, "left photo.*swapped"), (-0.5, 2, "right photo.*swapped")],
)
def test_heads_turned_the_wrong_way_are_refused(model, tmp_path, yaw, view, message):
    turned = Rotation.from_euler("y", yaw).apply(np.asarray(model.mean_shape)[np.asarray(model.landmarks)])
    np.savetxt(tmp_path / "a.txt", project(face_camera(), jnp.asarray(turned, jnp.float32)))
    Image.new("RGB", (224, 224)).save(tmp_path / "a.png")
    file = PhotoFile(tmp_path / "a.png", tmp_path / "a.txt", view)
    with pytest.raises(InputError, match=f"a.txt: .*{message}"):
        prepare_photo(file, lambda: lambda photo: [], model, 64)


def test_real_photos(detector, model, shared_dir):
    for subject in sorted((shared_dir / "photos").glob("subject*")):
        files = [PhotoFile(subject / f"{view}.png") for view in ("front", "right", "left")]
        prepared = [prepare_photo(file, lambda: detector, model, 64) for file in files]
        assert [photo.file.path.stem for photo in assign_views(prepared)] == list(VIEWS)
        yaws = {photo.file.path.stem: np.degrees(photo.yaw) for photo in prepared}
        assert -45 < yaws["left"] < -15 and abs(yaws["front"]) < 12 and 15 < yaws["right"] < 45


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_the_camera_of_the_photo_sees_what_the_crop_does(angle):
    camera = face_camera(64)
    turn = 3.7 * Rotation.from_euler("z", angle).as_matrix()[:2, :2]
    to_photo = np.column_stack([turn, (900.0, 400.0)])
    points = np.random.default_rng(0).normal(size=(20, 3))
    expected = transform_points(
        to_photo, np.asarray(project(camera, jnp.asarray(points, jnp.float32)), float)
    )
    camera_of_photo = photo_camera(camera, to_photo, (1200, 1600))
    rolled = jnp.asarray(points @ camera_of_photo.roll.T, jnp.float32)
    np.testing.assert_allclose(project(camera_of_photo.camera, rolled), expected, atol=2e-3)

    rotation, translation = (
        Rotation.from_euler("xyz", [0.1, 0.5, -0.2]).as_matrix(),
        np.array([0.1, 0.2, 0.3]),
    )
    vertices_mm = 100 * (points - translation) @ rotation
    matrix = projection_matrix(camera_of_photo, rotation, translation)
    pixels = np.column_stack([vertices_mm, np.ones(20)]) @ matrix.T
    np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], expected, atol=2e-3)


# ------------------------------------------------------------------------------- where networks come from


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    for module in (fetch, face_mesh_files):
        monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_networks_are_fetched_once_and_checked(face_mesh, empty_cache, tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="fetch them once.*dfmvr_jax.commands.fetch"):
        load_detector("mediapipe")
    wheel = tmp_path / "mediapipe.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in fetch.NETWORKS:
            archive.write(face_mesh / Path(name).name, name)
    code, out, _ = run_program(monkeypatch, capsys, fetch.main, "--wheel", wheel)
    assert code == 0 and str(empty_cache) in out
    assert load_detector("mediapipe")
    (empty_cache / "face_landmark.tflite").write_bytes(b"damaged")
    with pytest.raises(InputError, match="face_landmark.tflite: is damaged; fetch it again"):
        load_detector("mediapipe")


def test_a_wheel_that_is_another_is_refused(empty_cache, tmp_path, monkeypatch, capsys):
    wheel = tmp_path / "mediapipe.whl"
    for content, message in (
        (None, "not the wheel of mediapipe"),
        ({}, "not the wheel of mediapipe"),
        ({name: b"other" for name in fetch.NETWORKS}, "not the known one"),
    ):
        wheel.write_bytes(b"no archive")
        if content is not None:
            with zipfile.ZipFile(wheel, "w") as archive:
                for name, data in content.items():
                    archive.writestr(name, data)
        code, _, err = run_program(monkeypatch, capsys, fetch.main, "--wheel", wheel)
        assert code == 2 and message in err and err.count("\n") == 1
        assert not empty_cache.exists()


def test_no_internet(empty_cache, tmp_path, monkeypatch, capsys):
    """pip is asked in vain."""
    done = types.SimpleNamespace(returncode=1, stdout="", stderr="noise\nERROR: no such host\n")
    monkeypatch.setattr(fetch.subprocess, "run", lambda *_, **__: done)
    code, _, err = run_program(monkeypatch, capsys, fetch.main)
    assert code == 2 and "ERROR: no such host" in err and "--wheel" in err.splitlines()[-1]


class PretendedFaceAlignment(types.ModuleType):
    """The package's interface, and what it gives for one face."""

    LandmarksType = types.SimpleNamespace(TWO_D=1, TWO_HALF_D=2)

    def __init__(self, error=None):
        super().__init__("face_alignment")
        self.error = error

    def FaceAlignment(self, kind, device):
        if self.error:
            raise self.error
        points = np.arange(68 * 3, dtype=np.float32).reshape(68, 3)[:, kind - 1 : kind + 1]

        def get_landmarks_from_image(image, return_bboxes):
            assert image.dtype == np.uint8 and return_bboxes
            if not image.any():
                return None, None, None
            return [points], None, [np.array([0, 0, 9, 9, 0.75])]

        return types.SimpleNamespace(get_landmarks_from_image=get_landmarks_from_image)


@pytest.mark.parametrize("name", ["face-alignment", "face-alignment-3d"])
def test_face_alignment(monkeypatch, tmp_path, name):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "face_alignment", PretendedFaceAlignment())
    detector = load_detector(name)
    (face,) = detector(np.ones((9, 9, 3), np.uint8))
    assert face.landmarks.shape == (68, 2) and face.probability == 0.75
    np.testing.assert_array_equal(face.landmarks[1], [4.5, 5.5] if name.endswith("3d") else [3.5, 4.5])
    assert detector(np.zeros((9, 9, 3), np.uint8)) == []

    monkeypatch.setitem(
        sys.modules, "face_alignment", PretendedFaceAlignment(urllib.error.URLError("no host"))
    )
    with pytest.raises(InputError, match=r"no host.*s3fd-619a316812.pth, \dDFAN4.*missing in .*mediapipe"):
        load_detector(name)
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(InputError, match="face_alignment is not installed: pip install .face-alignment"):
        load_detector(name)
