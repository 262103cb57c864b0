import csv
import io
import json
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from scipy.spatial.transform import Rotation

from dfmvr_jax.closest_points import closest_points
from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.error_map import NOT_MEASURED, error_colors, errors_at_vertices, render_error_map
from dfmvr_jax.evaluation.metrics import (
    Scan,
    compare_with_scan,
    face_disc,
    landmark_error,
    surface_errors,
)
from dfmvr_jax.evaluation.registration import register_landmarks, register_surface
from dfmvr_jax.evaluation.report import (
    FaceErrors,
    SubjectResult,
    print_report,
    summarize,
    write_report,
)
from dfmvr_jax.evaluation.scanning import seen_vertices
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.landmarks import REGISTRATION
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.programs.evaluate import evaluate
from dfmvr_jax.render.camera import project


@pytest.fixture(scope="module")
def model():
    return load_face_model("builtin-coarse")


@pytest.fixture(scope="module")
def face(model):
    """Vertices in mm, triangles, and the seven landmarks' vertices of one made-up subject."""
    weights = np.random.default_rng(3).normal(size=model.identity_basis.shape[-1])
    vertices = np.asarray(model.mean_shape, np.float64) + np.asarray(model.identity_basis) @ weights
    landmarks = np.asarray(model.landmarks)[list(REGISTRATION)]
    return vertices * UNIT_MM, np.asarray(model.triangles), landmarks


def moved(points, euler=(0.0, 0.0, 0.0), scale=1.0, shift=(0.0, 0.0, 0.0)):
    return scale * Rotation.from_euler("xyz", euler, degrees=True).apply(points) + np.array(shift)


def rms(a, b):
    return np.sqrt(np.mean(np.sum((a - b) ** 2, axis=-1)))


def sphere(radius):
    """A triangulated sphere; its flat triangles lie at most 0.0025 radius inside."""
    u, v = np.meshgrid(np.linspace(0, np.pi, 61), np.linspace(0, 2 * np.pi, 121), indexing="ij")
    vertices = radius * np.stack([np.sin(u) * np.cos(v), np.sin(u) * np.sin(v), np.cos(u)], -1).reshape(-1, 3)
    corner = (np.arange(60)[:, None] * 121 + np.arange(120)).reshape(-1)
    lower = np.stack([corner, corner + 121, corner + 1], -1)
    upper = np.stack([corner + 1, corner + 121, corner + 122], -1)
    return vertices, np.concatenate([lower, upper])


def slow_closest_point(query, triangle):
    """Nearest of: the foot of the perpendicular if it is inside, and the nearest points of the edges."""
    a, b, c = triangle
    normal = np.cross(b - a, c - a)
    foot = query - normal * ((query - a) @ normal) / (normal @ normal)
    u, v, w = np.linalg.solve(np.stack([[*a, 1], [*b, 1], [*c, 1], [*normal, 0]]).T[:, :4], [*foot, 1])[:3]
    candidates = [foot] if min(u, v, w) >= 0 else []
    for start, end in ((a, b), (b, c), (c, a)):
        along = np.clip((query - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
        candidates.append(start + along * (end - start))
    return min(candidates, key=lambda point: np.linalg.norm(query - point))


def test_closest_points_equal_a_slow_reference():
    rng = np.random.default_rng(0)
    vertices, triangles = rng.normal(size=(30, 3)), rng.permutation(30).reshape(10, 3)
    queries = rng.normal(size=(200, 3)) * 2
    found = closest_points(vertices + 500, triangles, queries + 500)
    for query, point, normal in zip(queries, found.points - 500, found.normals):
        each = [slow_closest_point(query, vertices[triangle]) for triangle in triangles]
        distances = np.linalg.norm(np.array(each) - query, axis=-1)
        nearest = np.argmin(distances)
        assert np.linalg.norm(point - query) == pytest.approx(distances[nearest], abs=1e-5)
        a, b, c = vertices[triangles[nearest]]
        expected = np.cross(b - a, c - a)
        assert abs(normal @ expected) == pytest.approx(np.linalg.norm(expected), rel=1e-4)


def test_a_missing_open3d_tells_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(InputError, match=r"pip install 'dfmvr_jax\[evaluation\]'.*apt-get install libusb"):
        closest_points(np.eye(3), np.array([[0, 1, 2]]), np.zeros((1, 3)))
    with pytest.raises(
        InputError, match="evaluation needs Open3D"
    ):  # before the run, which is not there either
        evaluate(Path("nowhere"), None, None, "test", None, None, 0)


def test_errors_of_a_sphere_of_another_radius():
    vertices, triangles = sphere(100.0)
    points = np.random.default_rng(1).normal(size=(500, 3))
    points *= 103 / np.linalg.norm(points, axis=-1, keepdims=True)
    distances = np.linalg.norm(closest_points(vertices, triangles, points).points - points, axis=-1)
    errors = surface_errors(distances)
    assert errors.mean_mm == pytest.approx(3.1, abs=0.15) and errors.std_mm < 0.1


def test_a_scanner_sees_only_what_is_in_front():
    square = np.float32([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    behind = 0.5 * square - np.float32([0, 0, 0.2])
    corners = np.int32([[0, 1, 2], [0, 2, 3]])
    vertices, triangles = np.concatenate([square, behind]), np.concatenate([corners, corners + 4])
    straight, from_behind, still = np.zeros((1, 3)), np.array([[0, np.pi, 0]]), np.zeros((2, 3))
    assert seen_vertices(vertices, triangles, straight, still[:1]).tolist() == [True] * 4 + [False] * 4
    assert seen_vertices(vertices, triangles, np.concatenate([straight, from_behind]), still).all()


def test_errors_of_a_plane_displaced_by_1_and_3_mm():
    vertices = np.array([[-9.0, -9, 0], [9, -9, 0], [9, 9, 0], [-9, 9, 0]])
    points = np.random.default_rng(1).uniform(-8, 8, size=(400, 3))
    points[:300, 2], points[300:, 2] = 1, -3
    found = closest_points(vertices, np.array([[0, 1, 2], [0, 2, 3]]), points)
    errors = surface_errors(np.linalg.norm(found.points - points, axis=-1))
    expected = [np.sqrt(0.75 * 1 + 0.25 * 9), 1.5, 1.0, np.sqrt(0.75)]
    np.testing.assert_allclose(errors, expected, rtol=1e-5)


def test_face_disc_by_hand():
    landmarks = np.array(
        [[-45, 0, 0], [-15, 0, 0], [15, 0, 0], [45, 0, 0], [0, -50, 0], [-25, -75, 0], [25, -75, 0.0]]
    )
    disc = face_disc(landmarks)
    np.testing.assert_allclose(disc.centre, [0, -35, 0])
    assert disc.radius == pytest.approx(1.4 * (90 + 50) / 2)
    points = np.array([[0, 62.9, 0], [0, 63.1, 0], [np.nan, 0, 0]])
    assert disc.holds(points).tolist() == [True, False, False]


def test_a_moved_copy_registers_to_zero_error(face):
    vertices, triangles, landmarks = face
    scan = moved(vertices, (10, -35, 20), 1.3, (20, -400, 1e4))
    noise = np.random.default_rng(0).normal(size=(7, 3)) * 2
    result = compare_with_scan(vertices, triangles, landmarks, Scan(scan, scan[landmarks] + noise))
    assert result.errors.rmse_mm < 1e-3
    assert rms(result.vertices, scan) < 0.01


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    "start",
    [
        {"euler": (8, 0, 0)},
        {"euler": (0, 8, 0)},
        {"euler": (0, 0, 8)},
        {"shift": (8, 0, 0)},
        {"shift": (0, 8, 0)},
        {"shift": (0, 0, 8)},
        {"scale": 0.06},
    ],
)
def test_icp_converges_from_either_side(face, start, sign):
    vertices, triangles, _ = face
    start = {key: sign * np.array(value) for key, value in start.items()}
    start["scale"] = 1 + start.get("scale", 0)
    placed, _ = register_surface(moved(vertices, **start), triangles, vertices)
    assert rms(placed, vertices) < 0.05


def test_noise_of_the_scan_is_the_error_that_remains(face):
    vertices, triangles, landmarks = face
    rng = np.random.default_rng(0)
    corners = vertices[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    points = corners.mean(axis=1) + 0.2 * rng.normal(size=(len(normals), 1)) * normals
    result = compare_with_scan(vertices, triangles, landmarks, Scan(points, vertices[landmarks]))
    assert result.errors.rmse_mm == pytest.approx(0.2, rel=0.05)
    assert result.errors.mean_mm == pytest.approx(0.2 * np.sqrt(2 / np.pi), rel=0.05)


def test_a_mirrored_scan_is_not_fitted_by_a_reflection(face):
    vertices, triangles, landmarks = face
    mirrored = vertices * [1, 1, -1]
    placed = register_landmarks(vertices, landmarks, mirrored[landmarks])
    linear = np.linalg.lstsq(vertices - vertices.mean(0), placed - placed.mean(0))[0]
    assert np.linalg.det(linear) > 0
    result = compare_with_scan(vertices, triangles, landmarks, Scan(mirrored, mirrored[landmarks]))
    assert result.errors.rmse_mm > 1


def test_points_without_measurement_do_not_count(face):
    vertices, triangles, landmarks = face
    points = np.concatenate([vertices + [0, 0, 0.5], np.full((50, 3), np.nan)])
    result = compare_with_scan(vertices, triangles, landmarks, Scan(points, vertices[landmarks]))
    assert np.isfinite(result.errors).all()


@pytest.mark.parametrize(
    ("scale", "shift", "message"),
    [(0.01, 0.0, r"0\.[89].* mm apart"), (1.0, 300.0, r"0 of its \d+ points"), (np.nan, 0.0, "nan mm apart")],
)
def test_scans_in_other_units_or_frames_are_refused(face, scale, shift, message):
    vertices, triangles, landmarks = face
    scan = Scan(vertices * scale + shift, vertices[landmarks] * scale)
    with pytest.raises(InputError, match=message):
        compare_with_scan(vertices, triangles, landmarks, scan)


def test_landmark_error_is_a_mean_distance():
    predicted = np.zeros((3, 68, 2))
    true = np.broadcast_to(np.array([[3, 4], [0, 1], [0, 0]])[:, None], (3, 68, 2)).astype(float)
    np.testing.assert_allclose(landmark_error(predicted, true), [5, 1, 0])


def test_error_map_shows_where_the_error_is(face, model):
    vertices, triangles, landmarks = face
    forehead = vertices[landmarks[[1, 2]]].mean(axis=0) + [0, 35, 0]
    distance = np.linalg.norm((vertices - forehead)[:, :2], axis=-1)
    bumped = vertices + np.where(distance < 15, 6.0, 0.0)[:, None] * [0, 0, 1]
    result = compare_with_scan(vertices, triangles, landmarks, Scan(bumped, vertices[landmarks]))
    errors = errors_at_vertices(result)
    assert errors[distance < 8].mean() > 4 and np.nanmedian(errors[distance > 20]) < 0.5
    outside = ~result.disc.holds(result.vertices)
    assert outside.any() and np.isnan(errors[outside]).all() and np.isfinite(errors[~outside]).all()

    camera = face_camera(112)
    picture = render_error_map(model, camera, vertices / UNIT_MM, errors).astype(int)
    assert picture.shape[0] == 112 and picture.shape[1] > 112
    red, _, blue = np.moveaxis(picture[:, :112], -1, 0)
    row, column = np.argwhere(red - blue > 60).mean(axis=0) + 0.5
    expected = np.asarray(project(camera, jnp.asarray(forehead / UNIT_MM)))
    np.testing.assert_allclose([column, row], expected, atol=3)


def test_error_colors_go_from_blue_to_red_and_grey_is_unknown():
    blue, green, yellow, red = error_colors(np.array([0.0, 1, 2, 3]), 3.0)
    assert blue.argmax() == 2 and green.argmax() == 1 and red.argmax() == 0
    assert yellow[0] > 0.9 and yellow[1] > 0.8 and yellow[2] < 0.3
    np.testing.assert_array_equal(error_colors(np.array([99.0, np.nan]), 3.0), [red, NOT_MEASURED])


def test_the_faces_colors_are_on_the_legend(model):
    errors = np.full(model.num_vertices, 5.0)
    picture = render_error_map(model, face_camera(112), np.asarray(model.mean_shape), errors, limit=5.0)
    red = to_uint8(error_colors(np.array([5.0]), 5.0))[0]
    centre = picture[56, 56].astype(float)
    np.testing.assert_allclose(centre / centre.max(), red / red.max(), atol=0.02)
    assert (picture[:, 112:] == red).all(axis=-1).any()
    np.testing.assert_array_equal(picture[0, 0], [255, 255, 255])


def result_row(subject, scale, landmarks_px=2.0):
    predicted = surface_errors(np.array([1.0, 2.0, 3.0]) * scale)
    mean_face = surface_errors(np.array([2.0, 4.0, 6.0]) * scale)
    return SubjectResult(subject, FaceErrors(predicted, landmarks_px), FaceErrors(mean_face, 9.0))


def test_report_files_hold_every_number(tmp_path):
    rows = [result_row("anna", 1), result_row("bert, the second", 3)]
    write_report(tmp_path, 70, rows)
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert summary["faces"] == 2
    assert summary["predicted"]["mean_mm"] == {"mean": 4.0, "std": 2.0}
    assert summary["mean_face"]["median_mm"]["mean"] == 8.0
    with (tmp_path / "subjects.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["subject"] for row in table] == ["anna", "bert, the second"]
    assert float(table[1]["rmse_mm"]) == pytest.approx(3 * np.sqrt(14 / 3))
    assert float(table[0]["mean_face_landmarks_px"]) == 9.0


def test_report_on_the_console_sets_predicted_beside_mean_face():
    console = Console(width=100, record=True, file=io.StringIO())
    print_report(70, [result_row("anna", 1, np.nan), result_row("bert", 3, np.nan)], console)
    text = console.export_text()
    assert "RMSE" in text and "4.000 ± 2.000" in text and "8.000 ± 4.000" in text and "unknown" in text
    assert summarize([result_row("anna", 1, np.nan)])["predicted"]["landmarks_px"] is None
