"""Reconstruct one person or many by a trained network alone, each into a folder of its own."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dfmvr_jax.compilation import keep_compiled
from dfmvr_jax.errors import InputError
from dfmvr_jax.file_names import list_names
from dfmvr_jax.photos.detector_names import DetectorName
from dfmvr_jax.photos.preparation import PhotoFile
from dfmvr_jax.prediction import load_run
from dfmvr_jax.programs.people import check_faces, for_each_person, list_people, tell_doubts, tell_earlier
from dfmvr_jax.programs.people_page import tell_page
from dfmvr_jax.reconstruction import Reconstruction, reconstruct


def reconstruct_people(
    workdir: Path,
    out: Path,
    photos: Sequence[Path],
    views: Mapping[str, tuple[Path, Path | None]],
    face_model: str | None,
    aligned: bool,
    detector: DetectorName,
    faces: tuple[int, ...],
) -> None:
    """Reconstruct those in `photos`, or the one person whose photos, and their landmarks, `views` names.

    Where one of several people cannot be reconstructed, the others are. Raises `InputError` at the end.
    """
    keep_compiled()
    people = list_people(out, photos, views, check_number)
    check_faces(faces, len(people))
    trained = load_run(workdir, face_model)

    def reconstruct_person(files: list[PhotoFile], folder: Path) -> None:
        found = reconstruct(files, checkpoint=trained, aligned=aligned, detector=detector, faces=faces)
        save_and_report(found, folder)

    for_each_person(people, check_number, reconstruct_person, tell_page(out, people))


def check_number(files: Sequence[PhotoFile], where: str | Path) -> None:
    """Raise `InputError` unless there are as many photos as networks take."""
    if len(files) not in (1, 3):
        found = f" ({list_names([file.path for file in files])})" if files else ""
        raise InputError(f"{where}: {len(files)} photos of a subject{found}; give all three, or just one")


def save_and_report(face: Reconstruction, out: Path) -> None:
    """Write the files of one person, and say how well the face fits each photo."""
    run = face.run
    if face.given.sum() == 1 and run.config.data.all_views_probability == 1:
        print(
            f"warning: {run.workdir} was trained with all three photos, and one gives a poor face; "
            "train with --data.all-views-probability 0.667",
            file=sys.stderr,
        )
    tell_earlier(face.save(out))
    tell_doubts({photo.file: photo.doubt for photo in face.cameras})
    print(f"meshes, coefficients.json, overview.png and overlays: {out}")
    print(f"to look at in a browser: {out / 'view.html'}")
    for photo in face.cameras:
        pixels, share = photo.landmark_error_px, photo.landmark_error_of_eye_distance
        if pixels is not None and share is not None:
            print(
                f"  {photo.view}: {photo.file}, head turned by {photo.yaw_degrees:+.0f} degrees, "
                f"landmarks off by {pixels:.1f} px, {100 * share:.1f} % of the eyes' distance"
            )
