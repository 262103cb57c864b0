"""Reconstruct faces from three photos each, or from one.

Example: python reconstruct.py --checkpoint runs/small --photos a.jpg b.jpg c.jpg --out out

The photos show the head from the left, the front and the right, in any order; for the side views turn it by
20 to 50 degrees. The face and its landmarks are found by MediaPipe's networks (fetch them once by
python -m dfmvr_jax.photos.fetch), unless a file of 68 or 5 points lies beside the photo, of the same name
(.pts, .txt, .5pt, .npy). --photos may also be a folder of the photos, or a folder of such folders, one a
subject. Or say which photo is which by --left, --front and --right: in the left photo the nose points to the
image's left.

Writes mesh.ply, mesh.glb and mesh.obj (millimetres, colours per vertex), coefficients.json, overview.png, and
the mesh on each photo, overlay_left.png and so on.
"""

import dataclasses
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from dfmvr_jax.coefficients import VIEWS, Coefficients
from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import UNIT_MM
from dfmvr_jax.files import whole_files
from dfmvr_jax.inference import Run, load_run
from dfmvr_jax.meshes import coefficients_json, write_meshes
from dfmvr_jax.photos.detection import Detector, DetectorName, load_detector
from dfmvr_jax.photos.on_photo import draw_on_photo, report_on_photo
from dfmvr_jax.photos.preparation import (
    PhotoFile,
    assign_views,
    find_photo_files,
    landmarks_beside,
    prepare_photo,
)
from dfmvr_jax.pictures import enlarge, overlay, tile, to_uint8
from dfmvr_jax.reconstruction import Rendering, reconstruct
from render import mesh_edges
from render.camera import face_camera

TURNTABLE_YAW = (-45.0, 0.0, 45.0)  # degrees; of the rendered views in overview.png


@dataclasses.dataclass(frozen=True)
class ReconstructCommand:
    checkpoint: Path  # folder that train.py wrote
    out: Path  # folder for meshes, coefficients and pictures; those that are there are replaced
    face_model: str | None = None  # where the run's face model is; None: where it was in the training
    photos: tuple[Path, ...] = ()  # three photos, or one, or a folder of them, or of one folder a subject
    left: Path | None = None  # photo in which the nose points to the image's left
    front: Path | None = None  # frontal photo
    right: Path | None = None  # photo in which the nose points to the image's right
    left_landmarks: Path | None = None  # 68 or 5 points of the photo, "x y" a line, .txt, .pts or .npy
    front_landmarks: Path | None = None  # the same for the frontal photo
    right_landmarks: Path | None = None  # the same for the right photo
    aligned: bool = False  # the photos are aligned square crops, like those of the training data
    detector: DetectorName = "mediapipe"  # what finds faces and landmarks
    face: int = 1  # which face, where a photo shows several: 1 is the largest


def main() -> None:
    command = parse_command(ReconstructCommand, __doc__)
    if command.out.is_file():
        raise InputError(f"--out {command.out}: is a file; name a folder")
    subjects = list_subjects(command)
    trained = load_run(command.checkpoint, command.face_model)
    get_detector = None if command.aligned else functools.cache(lambda: load_detector(command.detector))
    failed = 0
    for folder, files in subjects.items():
        try:
            reconstruct_subject(command, trained, files, get_detector, folder)
        except InputError as error:
            if len(subjects) == 1:
                raise
            failed += 1
            print(f"error: {error}", file=sys.stderr)
    if failed:
        raise InputError(f"{failed} of {len(subjects)} subjects were left out, see above")


def list_subjects(command: ReconstructCommand) -> dict[Path, list[PhotoFile]]:
    """The photos of each subject by the folder where its results go."""
    named = [
        PhotoFile(path, getattr(command, f"{view}_landmarks") or landmarks_beside(path), number)
        for number, view in enumerate(VIEWS)
        if (path := getattr(command, view))
    ]
    for view in VIEWS:
        landmarks = getattr(command, f"{view}_landmarks")
        if landmarks and not getattr(command, view):
            raise InputError(
                f"--{view}-landmarks {landmarks}: there is no --{view} photo they could belong to"
            )
    if bool(named) == bool(command.photos):
        raise InputError("give the photos either by --photos or by --left, --front and --right")
    if named:
        where, files = "--left, --front, --right", named
    elif len(command.photos) == 1 and command.photos[0].is_dir():
        (folder,) = command.photos
        where, files = folder, find_photo_files(folder)
        inner = [path for path in sorted(folder.iterdir()) if path.is_dir()]
        if inner and not files:
            return {command.out / path.name: find_photo_files(path) for path in inner}
    else:
        where, files = "--photos", [PhotoFile(path, landmarks_beside(path)) for path in command.photos]
    check_number(files, where)
    return {command.out: files}


def check_number(files: list[PhotoFile], where: str | Path) -> None:
    if len(files) not in (1, 3):
        raise InputError(f"{where}: {len(files)} photos of a subject; give all three, or just one")


def reconstruct_subject(
    command: ReconstructCommand,
    trained: Run,
    files: list[PhotoFile],
    get_detector: Callable[[], Detector] | None,
    out: Path,
) -> None:
    check_number(files, out.name)
    size = trained.config.image_size
    photos = assign_views(
        [prepare_photo(file, get_detector, trained.model, size, command.face) for file in files]
    )
    given = np.array([photo is not None for photo in photos])
    if not given.all() and trained.config.data.all_views_probability == 1:
        print(
            f"warning: if {command.checkpoint} was trained with all three photos only (the default), one "
            "gives a poor face; train with --data.all-views-probability 0.667",
            file=sys.stderr,
        )
    crops = np.stack([p.aligned.crop if p else np.zeros((size, size, 3), np.float32) for p in photos])
    coefficients = trained.predict(crops, given)
    if not all(np.isfinite(leaf).all() for leaf in coefficients):
        raise InputError(
            f"{command.checkpoint}: its network answers these photos with numbers that are not finite: its "
            "weights are not those of a finished training"
        )
    face, rendering = jax.jit(reconstruct)(trained.model, trained.camera, coefficients)

    reports = {
        view: photo and report_on_photo(trained.model, trained.camera, coefficients, face, number, photo)
        for number, (view, photo) in enumerate(zip(VIEWS, photos))
    }
    vertices_mm = np.asarray(face.vertices) * UNIT_MM
    description = coefficients_json(coefficients, trained.camera, trained.model) | {"photos": reports}
    edges = mesh_edges(trained.model.triangles)
    overview = draw_overview(trained, coefficients, rendering, crops, given)
    with whole_files(out) as folder:
        write_meshes(folder, vertices_mm, np.asarray(trained.model.triangles), np.asarray(face.albedo))
        (folder / "coefficients.json").write_text(json.dumps(description, indent=2) + "\n")
        Image.fromarray(overview).save(folder / "overview.png")
        for number, (view, photo) in enumerate(zip(VIEWS, photos)):
            if photo:
                picture = draw_on_photo(trained.model, edges, trained.camera, face, number, photo)
                Image.fromarray(picture).save(folder / f"overlay_{view}.png")
    print(f"meshes, coefficients.json, overview.png and overlays: {out}")
    for view, report in reports.items():
        if report and "landmark_error_px" in report:
            print(
                f"  {view}: {report['file']}, head turned by {report['yaw_degrees']:+.0f} degrees, "
                f"landmarks off by {report['landmark_error_px']:.1f} px, "
                f"{100 * report['landmark_error_of_eye_distance']:.1f} % of the eyes' distance"
            )


def draw_overview(
    trained: Run, coefficients: Coefficients, rendering: Rendering, crops: np.ndarray, given: np.ndarray
) -> np.ndarray:
    """Photos, the reconstruction laid over them, and the face from three sides under even light."""
    yaw = np.radians(TURNTABLE_YAW).astype(np.float32)
    turntable = coefficients._replace(
        light=jnp.zeros_like(coefficients.light).at[:, 2].set(0.3),
        rotation=jnp.stack([jnp.zeros(3), jnp.asarray(yaw), jnp.zeros(3)], axis=-1),
        translation=jnp.zeros_like(coefficients.translation),
    )
    _, views = jax.jit(reconstruct)(trained.model, face_camera(), turntable)
    photos, images, masks = (
        to_uint8(crops),
        to_uint8(np.asarray(rendering.images)),
        np.asarray(rendering.masks),
    )
    faces, face_masks = to_uint8(np.asarray(views.images)), np.asarray(views.masks)
    overlays = [overlay(*view) for view in zip(photos, images, masks)]
    return tile(
        [
            [enlarge(photo if there else np.full_like(photo, 255)) for photo, there in zip(photos, given)],
            [enlarge(drawn if there else np.full_like(drawn, 255)) for drawn, there in zip(overlays, given)],
            [overlay(np.full_like(image, 255), image, mask) for image, mask in zip(faces, face_masks)],
        ],
        ("photos", "overlay", "face"),
        VIEWS,
    )


if __name__ == "__main__":
    run(main)
