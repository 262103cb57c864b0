"""Compare a run's faces with scans or true meshes, and write the report: what `dfmvr-evaluate` does."""

import functools
from pathlib import Path

import jax
import numpy as np
from PIL import Image
from rich.progress import track

from dfmvr_jax.closest_points import import_open3d
from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.compilation import keep_compiled
from dfmvr_jax.config import changed
from dfmvr_jax.conventions import UNIT_MM, VIEWS
from dfmvr_jax.datasets.pipeline import (
    check_directory,
    check_photo_size,
    check_same_head,
    check_views,
    load_split,
)
from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.error_map import errors_at_vertices, render_error_map
from dfmvr_jax.evaluation.metrics import Scan, ScanComparison, compare_with_scan, landmark_error
from dfmvr_jax.evaluation.report import FaceErrors, SubjectResult, print_report, write_report
from dfmvr_jax.evaluation.scanning import seen_vertices
from dfmvr_jax.face_camera import face_camera, for_each_view
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_rendering import Face, landmark_pixels, place_face, render_coefficients
from dfmvr_jax.files import check_writable, whole_files
from dfmvr_jax.landmarks import REGISTRATION
from dfmvr_jax.pictures import enlarge, overlay, tile, to_uint8
from dfmvr_jax.prediction import Run, load_run


def evaluate(
    workdir: Path,
    data_name: str | None,
    data_directory: str | None,
    split: str,
    face_model: str | None,
    out: Path | None,
    pictures: int,
) -> None:
    """Evaluate the best checkpoint of a run; the arguments are those of `dfmvr-evaluate`.

    Raises `InputError` where a run, a data set, a folder or Open3D cannot be used, before it begins.
    """
    import_open3d()  # an error now, where it is missing
    keep_compiled()
    if data_directory:
        check_directory(data_directory)
    out = out or workdir / "evaluation"
    trained = load_run(workdir, face_model)
    given = {"name": data_name, "directory": data_directory}
    data = changed(trained.config.data, {k: v for k, v in given.items() if v is not None})
    subjects = load_split(data, split, face_model or trained.config.face_model)
    check_photo_size(subjects, trained.config)
    check_views(subjects)
    theirs = subjects.metadata["face_model"]
    true_model = trained.model if theirs == trained.config.face_model else load_face_model(theirs)
    check_same_head(subjects, true_model)
    check_writable(out)
    place = functools.partial(jax.jit(place_face), trained.model)

    results: list[SubjectResult] = []
    rows: list[list[np.ndarray]] = []
    for index in track(range(len(subjects)), "evaluating"):
        example = subjects[index]
        if (scan := scan_of(true_model, example)) is None:
            continue
        predicted = trained.predict(example["photos"], example["given"]).coefficients
        mean_face = mean_face_like(predicted)
        faces = place(predicted), place(mean_face)
        comparisons = [compare(trained, face, scan) for face in faces]
        errors = [
            FaceErrors(comparison.errors, pixel_error(trained, face, example))
            for face, comparison in zip(faces, comparisons)
        ]
        results.append(SubjectResult(example.get("name", example["subject"]), *errors))
        if len(rows) < pictures:
            rows.append(picture_row(trained, example, predicted, faces, comparisons))

    if not results:
        raise InputError(
            f"{subjects.path}: split {split} has no true meshes and no scans; choose test or "
            "validation of a data set that has; without, look at what dfmvr-reconstruct draws on photos"
        )
    if len(results) < len(subjects):
        print(f"{len(subjects) - len(results)} of {len(subjects)} have no scan and were left out")
    with whole_files(out) as folder:
        write_report(folder, trained.step, results)
        if rows:
            columns = (*VIEWS, *["reconstructed"] * 3, "error", "mean face's error")
            picture = tile(rows, [result.subject for result in results], columns)
            Image.fromarray(picture).save(folder / "error_maps.png")
    print_report(trained.step, results)
    print(f"report and pictures: {out}")


def mean_face_like(predicted: Coefficients) -> Coefficients:
    """The mean face in the predicted pose and light: what shape prediction must beat."""
    none = {name: 0 * getattr(predicted, name) for name in ("identity", "expression", "albedo")}
    return predicted._replace(**none)


def scan_of(model: MorphableModel, example: dict) -> Scan | None:
    """The example's scan, or what the three views show of its true mesh, one of `model`; mm. Or None."""
    if "scan_points" in example:
        scan = Scan(example["scan_points"], example["scan_landmarks"])
        return scan if len(scan.points) else None
    if not len(vertices := example["vertices"]):
        return None
    triangles, rows = np.asarray(model.triangles), list(REGISTRATION)
    seen = seen_vertices(vertices, triangles, example["rotation"], example["translation"])
    return Scan(vertices[seen] * UNIT_MM, example["landmarks_3d"][rows] * UNIT_MM)


def compare(trained: Run, face: Face, scan: Scan) -> ScanComparison:
    """The face's surface against the scan, mm."""
    model = trained.model
    landmarks = np.asarray(model.landmarks)[list(REGISTRATION)]
    vertices = np.asarray(face.vertices) * UNIT_MM
    return compare_with_scan(vertices, np.asarray(model.triangles), landmarks, scan)


def pixel_error(trained: Run, face: Face, example: dict) -> float:
    """Mean distance of the 68 landmarks over the three views, pixels."""
    cameras = for_each_view(trained.camera, len(VIEWS))
    pixels = np.asarray(landmark_pixels(trained.model, cameras, face.posed))
    return float(landmark_error(pixels, example["landmarks"]).mean())


def picture_row(
    trained: Run,
    example: dict,
    predicted: Coefficients,
    faces: tuple[Face, ...],
    comparisons: list[ScanComparison],
) -> list[np.ndarray]:
    """Photos, reconstruction laid over them, error maps of the prediction and of the mean face."""
    cameras = for_each_view(trained.camera, len(VIEWS))
    _, rendering = jax.jit(render_coefficients)(trained.model, cameras, predicted)
    photos, images = to_uint8(example["photos"]), to_uint8(np.asarray(rendering.images))
    overlays = [overlay(*views) for views in zip(photos, images, np.asarray(rendering.masks))]
    maps = [
        render_error_map(
            trained.model, face_camera(), np.asarray(face.vertices), errors_at_vertices(comparison)
        )
        for face, comparison in zip(faces, comparisons)
    ]
    return [*map(enlarge, photos), *map(enlarge, overlays), *maps]
