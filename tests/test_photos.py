import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.landmarks import five_points
from dfmvr_jax.photos import alignment
from dfmvr_jax.photos.alignment import (
    align_photo,
    fit_crop,
    head_yaw,
    mean_landmarks,
    transform_points,
    warp,
)
from dfmvr_jax.photos.landmark_files import read_landmarks
from dfmvr_jax.photos.reading import read_photo
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.render.camera import project

SIZE = 224
CAMERA = face_camera(SIZE)


@pytest.fixture(scope="module")
def model():
    return load_face_model("builtin-coarse")


@pytest.fixture(scope="module")
def reference(model):
    """Five points of the mean face in model space."""
    return five_points(np.asarray(model.mean_shape, np.float64)[np.asarray(model.landmarks)])


def random_pixels(height=6, width=8, channels=3, high=256, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, high, size=(height, width, channels)).astype(dtype)


# ---------------------------------------------------------------------------------------------- reading


def test_an_rgb_photo_is_read_exactly(tmp_path):
    pixels = random_pixels()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    assert photo.dtype == np.uint8
    np.testing.assert_array_equal(photo, pixels)


@pytest.mark.parametrize(("orientation", "quarter_turns"), [(1, 0), (3, 2), (6, -1), (8, 1)])
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_exif_rotation_is_applied(tmp_path, orientation, quarter_turns, suffix):
    pixels, exif = random_pixels(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", exif=exif)
    photo = read_photo(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(photo, np.rot90(pixels, quarter_turns))


def test_transparency_becomes_black(tmp_path):
    pixels = random_pixels(channels=4)
    Image.fromarray(pixels).save(tmp_path / "rgba.png")
    expected = pixels[..., :3] * (pixels[..., 3:] / 255)
    np.testing.assert_allclose(read_photo(tmp_path / "rgba.png"), expected, atol=1)

    Image.fromarray(pixels[..., :2].copy(), "LA").save(tmp_path / "la.png")
    expected = np.repeat(pixels[..., :1] * (pixels[..., 1:2] / 255), 3, axis=-1)
    np.testing.assert_allclose(read_photo(tmp_path / "la.png"), expected, atol=1)

    palette = Image.fromarray(random_pixels()).quantize(4)
    index = np.asarray(palette)[0, 0]
    palette.save(tmp_path / "p.png", transparency=int(index))
    transparent = np.asarray(palette) == index
    expected = np.where(transparent[..., None], 0, np.asarray(palette.convert("RGB")))
    np.testing.assert_allclose(read_photo(tmp_path / "p.png"), expected, atol=1)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    image = Image.fromarray(random_pixels()).convert(mode)
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    image.save(path)
    np.testing.assert_array_equal(read_photo(path), np.asarray(image.convert("RGB")))


def test_16_bits_of_grey_keep_their_range(tmp_path):
    pixels = random_pixels(high=65536, dtype=np.uint16)[..., 0]
    for name in ("a.png", "a.tiff"):
        Image.fromarray(pixels).save(tmp_path / name)
        photo = read_photo(tmp_path / name)
        np.testing.assert_allclose(photo, np.repeat(pixels[..., None] / 257, 3, axis=-1), atol=0.51)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_truncated_photo_is_refused(tmp_path, suffix, kept):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(random_pixels(64, 64)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=rf"a\.{suffix}: "):
        read_photo(path)


def test_what_is_no_photo_is_refused_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "no_width.ppm").write_bytes(b"P6 0 5 255\n")
    (tmp_path / "folder.png").mkdir()
    Image.fromarray(random_pixels(20, 30)).save(tmp_path / "large.png")
    Image.fromarray(random_pixels(30, 40)).save(tmp_path / "larger.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    expected = {
        "missing.png": "no such photo",
        "empty.png": "is empty, expected a photo; copy or download it again",
        "text.jpg": "no picture of a kind that is known here; save it as PNG or JPEG",
        "no_width.ppm": "no picture of a kind",
        "folder.png": "cannot be read",
        "large.png": "more than 400 pixels",
        "larger.png": "more than 400 pixels",
    }
    for name, message in expected.items():
        with pytest.raises(InputError, match=f"{name}: .*{message}") as error:
            read_photo(tmp_path / name)
        assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------- landmark files


@pytest.mark.parametrize("count", [68, 5])
def test_landmark_files_of_every_format(tmp_path, count):
    points = np.random.default_rng(0).uniform(0, 224, size=(count, 2)).round(3)
    lines = "\n".join(f"{x} {y}" for x, y in points)
    ibug = "\n".join(f"{x} {y}" for x, y in points + 0.5)
    (tmp_path / "a.txt").write_text(f"\n{lines}\n\n")
    (tmp_path / "a.pts").write_text(f"version: 1\nn_points: {count}\n{{\n{ibug}\n}}\n")
    np.save(tmp_path / "a.npy", points)
    for suffix in ("txt", "pts", "npy"):
        np.testing.assert_allclose(read_landmarks(tmp_path / f"a.{suffix}"), points, atol=1e-9)


def npy_header(shape: str) -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.txt", None),
        ("empty.txt", b""),
        ("four.txt", b"1 2\n" * 4),
        ("three_columns.txt", b"1 2 3\n" * 68),
        ("ragged.txt", b"1 2\n" * 67 + b"3\n"),
        ("word.txt", b"1 2\n" * 4 + b"one two\n"),
        ("nan.txt", b"1 2\n" * 4 + b"nan 2\n"),
        ("binary.txt", bytes(range(256))),
        ("no_brace.pts", b"version: 1\nn_points: 5\n" + b"1 2\n" * 5),
        ("broken.npy", b"\x93NUMPY"),
        ("empty.npy", b""),
        ("lies.npy", npy_header("(1000000000000, 2)")),
        ("torn.npy", npy_header("(68, 2")),
        ("huge.txt", b"1 2\n" * 300_000),
    ],
)
def test_wrong_landmark_files_are_refused_in_one_line(tmp_path, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: .*expected 68 or 5 points") as error:
        read_landmarks(path)
    assert "\n" not in str(error.value)


def test_landmark_files_never_run_code(tmp_path):
    np.save(tmp_path / "a.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(InputError, match="a.npy"):
        read_landmarks(tmp_path / "a.npy")


def test_arrays_of_other_types_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array(["x"] * 5))
    np.savez(tmp_path / "b.npz", np.zeros((5, 2)))
    (tmp_path / "b.npz").rename(tmp_path / "b.npy")
    for name in ("a.npy", "b.npy"):
        with pytest.raises(InputError, match=name):
            read_landmarks(tmp_path / name)


# ------------------------------------------------------------------------------------------ alignment


def test_the_identity_changes_no_pixel():
    photo = random_pixels(16, 16).astype(np.float32) / 255
    np.testing.assert_array_equal(warp(photo, np.eye(2, 3), 16), photo)


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_shrinking_by_whole_numbers_averages_blocks(factor):
    photo = random_pixels(8 * factor, 8 * factor).astype(np.float32) / 255
    expected = photo.reshape(8, factor, 8, factor, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(warp(photo, np.eye(2, 3) * factor, 8), expected, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    scale=st.floats(0.2, 9.0),
    angle=st.floats(-3.0, 3.0),
    corner=st.tuples(st.floats(-60, 90), st.floats(-60, 90)),
)
def test_only_the_part_of_the_photo_that_is_shown_matters(scale, angle, corner):
    """Cutting it out first, which is quicker, changes nothing."""
    photo = np.random.default_rng(0).uniform(size=(61, 83, 3)).astype(np.float32)
    turn = scale * Rotation.from_euler("z", angle).as_matrix()[:2, :2]
    to_photo = np.column_stack([turn, corner])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "_cut_out", lambda photo, to_photo, *_: (photo, to_photo))
        expected = warp(photo, to_photo, 16)
    np.testing.assert_allclose(warp(photo, to_photo, 16), expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.3, 5.0), angle=st.floats(-3.0, 3.0), x=st.floats(-1.0, 1.0), y=st.floats(-1.0, 1.0))
def test_a_pixel_of_the_crop_shows_its_place_in_the_photo(scale, angle, x, y):
    """A photo whose colours are its own coordinates, cropped by any similarity, inside and outside of it."""
    rows, columns = np.mgrid[:120, :160] + 0.5
    photo = np.stack([columns, rows, np.full_like(rows, 255.0)], axis=-1).astype(np.float32) / 255
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_photo = np.concatenate([turn, np.array([[80 + 40 * x], [60 + 40 * y]]) - turn @ [[12], [12]]], axis=1)
    crop = warp(photo, to_photo, 24) * 255
    expected = transform_points(to_photo, np.mgrid[:24, :24][::-1].reshape(2, -1).T + 0.5).reshape(24, 24, 2)
    distance = np.minimum(expected, [160, 120] - expected).min(axis=-1)  # to the photo's border, < 0 outside
    inside, outside = distance > 1.5 * scale + 1, distance < -1.5 * scale - 1
    np.testing.assert_allclose(crop[inside][:, :2], expected[inside], atol=0.01 * scale + 0.01)
    assert (crop[outside] == 0).all()


def test_fine_stripes_become_grey():
    stripes = np.zeros((700, 700, 3), np.float32)
    stripes[:, ::2] = 1
    crop = warp(stripes, np.array([[6.7, 1.0, 5.0], [-1.0, 6.7, 90.0]]), 64)
    middle = crop[5:-15, 20:-5]
    assert middle.min() > 0.4 and middle.max() < 0.6


def posed_points(reference, yaw, pitch=0.0):
    """Where the camera shows the reference turned by yaw and pitch in degrees."""
    turned = Rotation.from_euler("xyz", [pitch, yaw, 0], degrees=True).apply(reference)
    return np.asarray(project(CAMERA, jnp.asarray(turned)), np.float64)


@settings(max_examples=25, deadline=None)
@given(
    yaw=st.floats(-55.0, 55.0),
    pitch=st.floats(-20.0, 20.0),
    scale=st.floats(0.2, 20.0),
    roll=st.floats(-3.1, 3.1),
    x=st.floats(-500.0, 4000.0),
)
def test_the_crop_of_a_turned_face_is_found(reference, yaw, pitch, scale, roll, x):
    cos, sin = scale * np.cos(roll), scale * np.sin(roll)
    to_photo = np.array([[cos, -sin, x], [sin, cos, 30.0]])
    points = transform_points(to_photo, posed_points(reference, yaw, pitch))
    np.testing.assert_allclose(fit_crop(points, reference, CAMERA), to_photo, atol=2e-3 * scale)


def test_the_same_crop_at_another_size(reference):
    """The crop of 112 px shows what the crop of 224 px shows."""
    points = posed_points(reference, 20) * 3 + 7
    large, small = (fit_crop(points, reference, face_camera(size)) for size in (224, 112))
    np.testing.assert_allclose(small, large * [2, 2, 1], atol=1e-2)


# Eye centres, nose tip and mouth corners, marked by hand on published 224 px crops of Pixel-Face
PUBLISHED_CROPS = [
    [(84.6, 79.2), (142, 87.7), (94, 117.7), (79, 140), (126, 150)],
    [(80, 80.8), (138, 81.5), (92, 117), (80, 149), (124, 154.6)],
    [(84.6, 81.5), (147, 83.8), (114, 117.7), (90, 152.3), (135, 153.8)],
    [(92.3, 78.5), (143.8, 83), (133, 118), (101.5, 155.4), (142.3, 150.8)],
    [(86, 83), (147.3, 87.7), (115.8, 118.5), (85, 151.5), (143.8, 152.3)],
    [(93, 77), (146, 82.3), (139, 117.7), (103.8, 150), (148.8, 150.4)],
]


@pytest.mark.parametrize("points", PUBLISHED_CROPS)
def test_published_crops_are_in_place_already(reference, points):
    to_photo = fit_crop(np.array(points), reference, CAMERA)
    (centre,) = transform_points(to_photo, np.array([[112.0, 112.0]]))
    assert 0.9 < np.hypot(*to_photo[:, 0]) < 1.1
    assert np.linalg.norm(centre - 112) < 10


@pytest.mark.parametrize("factor", [8.0, 0.002], ids=["of a larger photo", "from 0 to 1"])
def test_landmarks_of_another_photo_are_refused(model, factor):
    camera = face_camera(64)
    points = np.asarray(project(camera, jnp.asarray(mean_landmarks(model))))
    with pytest.raises(InputError, match="photo has 64 x 64 pixels: expected pixels of this photo"):
        align_photo(np.zeros((64, 64, 3), np.uint8), factor * points, model, 64)


@pytest.mark.parametrize("order", [[1, 0, 2, 4, 3], [1, 0, 2, 3, 4], [3, 4, 2, 0, 1], [0, 0, 0, 0, 0]])
def test_points_in_another_order_are_refused(reference, order):
    points = posed_points(reference, 20, 5) + np.array([[1, 0], [-1, 2], [0, 1], [0, -2], [1, 1.0]])
    with pytest.raises(InputError, match="not a face's"):
        fit_crop(points[order], reference, CAMERA)


@pytest.mark.parametrize("yaw", [-35, 0, 35])
@pytest.mark.parametrize("scale", [0.4, 1.0, 6.3])
def test_a_photo_is_aligned_to_half_a_pixel(model, reference, yaw, scale):
    """A photo with a bright spot at each of the five points; in the crop the spots are where they belong."""
    roll = np.radians(25)
    cos, sin = scale * np.cos(roll), scale * np.sin(roll)
    to_photo = np.array([[cos, -sin, 150 * scale], [sin, cos, 20 * scale]])
    expected = posed_points(reference, yaw)
    points = transform_points(to_photo, expected)
    rows, columns = np.mgrid[: int(300 * scale), : int(300 * scale)] + 0.5
    spots = sum(np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (3 * scale) ** 2)) for x, y in points)
    photo = to_uint8(np.repeat(spots[..., None], 3, axis=-1))

    aligned = align_photo(photo, points, model, SIZE)
    y, x = np.mgrid[:224, :224] + 0.5
    for spot in expected:
        weight = aligned.crop[..., 0] * ((x - spot[0]) ** 2 + (y - spot[1]) ** 2 < 8**2)
        found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        assert np.linalg.norm(found - spot) < 0.5
    there_and_back = transform_points(aligned.to_crop, transform_points(aligned.to_photo, expected))
    np.testing.assert_allclose(there_and_back, expected, atol=1e-6)


def test_68_landmarks_align_as_their_five_points(model):
    landmarks = np.asarray(model.mean_shape, np.float64)[np.asarray(model.landmarks)]
    pixels = np.asarray(project(CAMERA, jnp.asarray(landmarks)), np.float64) * 2
    photo = random_pixels(448, 448)
    by_68, by_5 = (align_photo(photo, points, model, SIZE) for points in (pixels, five_points(pixels)))
    np.testing.assert_array_equal(by_68.crop, by_5.crop)
    np.testing.assert_allclose(by_68.to_photo, np.eye(2, 3) * 2, atol=0.1)


@pytest.mark.parametrize("yaw", [-0.6, 0.0, 0.6])
def test_landmarks_tell_how_the_head_is_turned(model, yaw):
    points = np.asarray(model.mean_shape, np.float64)[np.asarray(model.landmarks)]
    turned = Rotation.from_euler("xyz", [0, yaw, 0.3]).apply(points)
    pixels = np.asarray(project(CAMERA, jnp.asarray(turned, jnp.float32)), np.float64)
    for landmarks in (pixels, five_points(pixels)):
        assert abs(head_yaw(landmarks, model) - yaw) < 1e-3


def test_an_aligned_crop_is_only_resized(model):
    photo = random_pixels(448, 448)
    aligned = align_photo(photo, None, model, SIZE)
    np.testing.assert_allclose(
        aligned.crop, photo.reshape(224, 2, 224, 2, 3).mean(axis=(1, 3)) / 255, atol=1e-6
    )
    larger = align_photo(np.full((30, 30, 3), 51, np.uint8), None, model, SIZE)
    np.testing.assert_allclose(larger.crop, 0.2, atol=1e-6)


def test_a_photo_that_is_not_square_needs_landmarks(model):
    with pytest.raises(InputError, match="photo of 8 x 6 pixels without landmarks"):
        align_photo(random_pixels(), None, model, SIZE)


def test_real_crops_pass_unchanged(shared_dir, model):
    for path in sorted(shared_dir.glob("photos/subject*/*.png")):
        photo = read_photo(path)
        aligned = align_photo(photo, None, model, SIZE)
        assert photo.shape == (224, 224, 3)
        np.testing.assert_array_equal(aligned.crop, photo / np.float32(255))
        small = align_photo(photo, None, model, 112)
        np.testing.assert_allclose(small.crop.mean(axis=(0, 1)), photo.mean(axis=(0, 1)) / 255, atol=1e-3)
