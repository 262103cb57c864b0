"""Reconstruct one person or many, each into a folder of its own: what `dfmvr-reconstruct` does."""

import functools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dfmvr_jax.command_line import as_printed
from dfmvr_jax.compilation import keep_compiled
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.errors import InputError
from dfmvr_jax.photos.detector_names import DetectorName
from dfmvr_jax.photos.preparation import PhotoFile, find_photo_files, landmarks_beside
from dfmvr_jax.prediction import load_run
from dfmvr_jax.reconstruction import Reconstruction, reconstruct


def reconstruct_people(
    workdir: Path,
    out: Path,
    photos: Sequence[Path],
    views: Mapping[str, tuple[Path, Path | None]],
    face_model: str | None,
    aligned: bool,
    detector: DetectorName,
    face: int,
) -> None:
    """Reconstruct those in `photos`, or the one person whose photos, and their landmarks, `views` names.

    Where one of several people cannot be reconstructed, the others are. Raises `InputError` at the end.
    """
    keep_compiled()
    people = list_people(out, photos, views)
    trained = load_run(workdir, face_model)
    reconstruct_files = functools.partial(
        reconstruct, checkpoint=trained, aligned=aligned, detector=detector, face=face
    )
    failed = 0
    for folder, files in people.items():
        try:
            if isinstance(files, Path):
                files = find_photo_files(files)
            check_number(files, folder.name)
            save_and_report(reconstruct_files(files), folder)
        except (InputError, OSError) as error:
            if len(people) == 1:
                raise
            failed += 1
            reason = as_printed(error) if isinstance(error, InputError) else error
            print(f"error: {reason}", file=sys.stderr)
    if failed:
        raise InputError(f"{failed} of {len(people)} subjects were left out, see above")


def list_people(
    out: Path, photos: Sequence[Path], views: Mapping[str, tuple[Path, Path | None]]
) -> dict[Path, list[PhotoFile] | Path]:
    """The photos of each person, or the folder that holds them, by the folder where the results go.

    Raises `InputError` where it is not clear whose photos they are.
    """
    if views:
        files = [
            PhotoFile(path, landmarks or landmarks_beside(path), VIEWS.index(view))
            for view, (path, landmarks) in views.items()
        ]
        check_number(files, "--left, --front, --right")
    elif len(photos) == 1 and photos[0].is_dir():
        (folder,) = photos
        files = find_photo_files(folder)
        inner = [path for path in sorted(folder.iterdir()) if path.is_dir() and is_shown(path)]
        if inner and not files:
            return {out / path.name: path for path in inner}
        people = [path for path in inner if os.access(path, os.R_OK) and find_photo_files(path)]
        if people:
            raise InputError(
                f"{folder}: holds {len(files)} photos, {files[0].path.name} first, and folders of photos, "
                f"{people[0].name} first: one person or many? Keep photos of many people in a folder for each"
            )
        check_number(files, folder)
    else:
        files = [PhotoFile(path, landmarks_beside(path)) for path in photos]
        check_number(files, "--photos")
    return {out: files}


def is_shown(folder: Path) -> bool:
    """Whether a folder is the user's, not one that programs keep: hidden, or of macOS's archives."""
    return not folder.name.startswith((".", "__MACOSX"))


def check_number(files: list[PhotoFile], where: str | Path) -> None:
    if len(files) not in (1, 3):
        raise InputError(f"{where}: {len(files)} photos of a subject; give all three, or just one")


def save_and_report(face: Reconstruction, out: Path) -> None:
    """Write the files of one person, and say how well the face fits each photo."""
    run = face.run
    if face.given.sum() == 1 and run.config.data.all_views_probability == 1:
        print(
            f"warning: {run.workdir} was trained with all three photos, and one gives a poor face; "
            "train with --data.all-views-probability 0.667",
            file=sys.stderr,
        )
    face.save(out)
    print(f"meshes, coefficients.json, overview.png and overlays: {out}")
    for photo in face.cameras:
        pixels, share = photo.landmark_error_px, photo.landmark_error_of_eye_distance
        if pixels is not None and share is not None:
            print(
                f"  {photo.view}: {photo.file}, head turned by {photo.yaw_degrees:+.0f} degrees, "
                f"landmarks off by {pixels:.1f} px, {100 * share:.1f} % of the eyes' distance"
            )
