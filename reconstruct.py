"""Reconstruct faces from three photos each, or from one.

Example: python reconstruct.py --checkpoint runs/small --photos a.jpg b.jpg c.jpg --out out

The photos show the head from the left, the front and the right, in any order; for the side views turn it by
20 to 50 degrees. The face and its landmarks are found by MediaPipe's networks (fetch them once by
python -m dfmvr_jax.commands.fetch), unless a file of 68 or 5 points lies beside the photo, of the same name
(.pts, .txt, .5pt, .npy). --photos may also be a folder of the photos, or a folder of such folders, one a
subject. Or say which photo is which by --left, --front and --right: in the left photo the nose points to the
image's left.

Writes mesh.ply, mesh.glb and mesh.obj (millimetres, colours per vertex), coefficients.json, overview.png, and
the mesh on each photo, overlay_left.png and so on.
"""

import dataclasses
import sys
from pathlib import Path

from dfmvr_jax import reconstruct
from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.errors import InputError
from dfmvr_jax.photos.detection import DetectorName
from dfmvr_jax.photos.preparation import PhotoFile, find_photo_files, landmarks_beside
from dfmvr_jax.prediction import Run, load_run


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
    failed = 0
    for folder, files in subjects.items():
        try:
            reconstruct_subject(command, trained, files, folder)
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


def reconstruct_subject(command: ReconstructCommand, trained: Run, files: list[PhotoFile], out: Path) -> None:
    """Reconstruct one person, write the files, and say how well the face fits each photo."""
    check_number(files, out.name)
    face = reconstruct(files, trained, aligned=command.aligned, detector=command.detector, face=command.face)
    if len(files) == 1 and trained.config.data.all_views_probability == 1:
        print(
            f"warning: if {command.checkpoint} was trained with all three photos only (the default), one "
            "gives a poor face; train with --data.all-views-probability 0.667",
            file=sys.stderr,
        )
    face.save(out)
    print(f"meshes, coefficients.json, overview.png and overlays: {out}")
    for photo in face.cameras:
        if photo.landmark_error_px is not None:
            print(
                f"  {photo.view}: {photo.file}, head turned by {photo.yaw_degrees:+.0f} degrees, "
                f"landmarks off by {photo.landmark_error_px:.1f} px, "
                f"{100 * photo.landmark_error_of_eye_distance:.1f} % of the eyes' distance"
            )


if __name__ == "__main__":
    run(main)
