"""Fit the heads of one person or many to their photos, each into a folder of its own."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dfmvr_jax.closest_points import import_open3d
from dfmvr_jax.compilation import keep_compiled
from dfmvr_jax.errors import InputError
from dfmvr_jax.evaluation.scan_files import read_scan_landmarks, read_scan_points, scan_landmarks_beside
from dfmvr_jax.files import check_writable
from dfmvr_jax.fitting.against_scan import compare_person
from dfmvr_jax.fitting.config import Effort, FitConfig, FitKind
from dfmvr_jax.fitting.fit import fit
from dfmvr_jax.fitting.fitted_person import FittedPerson
from dfmvr_jax.fitting.fitter import load_fitter
from dfmvr_jax.fitting.wishes import Wishes
from dfmvr_jax.photos.detector_names import DetectorName
from dfmvr_jax.photos.preparation import PhotoFile
from dfmvr_jax.prediction import load_run
from dfmvr_jax.programs.people import check_faces, for_each_person, list_people, tell_doubts, tell_earlier
from dfmvr_jax.programs.people_page import tell_page
from dfmvr_jax.viewer.shown import ErrorMap


def fit_people(
    out: Path,
    photos: Sequence[Path],
    views: dict[str, tuple[Path, Path | None]],
    workdir: Path | None,
    face_model: str | None,
    kind: FitKind,
    effort: Effort,
    check: bool,
    detector: DetectorName,
    wishes: Wishes,
    scan: Path | None,
    texture_size: int,
) -> None:
    """Fit a head to the photos of each person, and compare it with the scan of the one.

    Where that fails for one of several people, the others follow; a page lists them all. Raises `InputError`
    at the end.
    """
    keep_compiled()
    check_writable(out)
    people = list_people(out, photos, views, check_number)
    check_faces(wishes.faces, len(people))
    if scan is not None:
        check_scan(scan, len(people))
    run = load_run(workdir, face_model) if workdir else None
    name = face_model or (run.config.face_model if run else "builtin")
    fitter = load_fitter(name, effort, kind, detector, check or None)

    def fit_one(files: list[PhotoFile], folder: Path) -> None:
        with progress_bar(folder.name, len(files), fitter.config, kind) as tell:
            person = fit(
                files,
                face_model=fitter,
                checkpoint=run,
                wishes=wishes,
                tell=tell,
                texture_size=texture_size,
            )
        try:
            error_map = None if scan is None else compare_person(person, scan)
        except InputError:
            person.save(folder)  # the head is worth more than its comparison
            raise
        tell_earlier(person.save(folder, error_map))
        report(person, folder, run is not None, error_map)

    for_each_person(people, check_number, fit_one, tell_page(out, people))


def check_scan(scan: Path, people: int) -> None:
    """Raise `InputError`, before a fit begins, where a scan cannot be of use."""
    if people > 1:
        raise InputError(f"--scan {scan}: is of one person, and --photos has {people}; give those of the one")
    import_open3d()
    read_scan_points(scan)
    if landmarks := scan_landmarks_beside(scan):
        read_scan_landmarks(landmarks)


def check_number(files: Sequence[PhotoFile], where: str | Path) -> None:
    """Raise `InputError` where there are no photos."""
    if not files:
        raise InputError(f"{where}: there are no photos; give one or more of one person (JPEG, PNG, ...)")


class progress_bar:
    """A bar on a terminal with stage, steps and cost; nothing where stderr is none."""

    def __init__(self, name: str, photos: int, config: FitConfig, kind: FitKind):
        steps = config.pose_rounds + config.point_rounds
        if kind == "colours":
            steps += len(config.blurs) * config.colour_rounds
        self.steps = steps * (1 + photos * config.check)
        self.name = name
        self.bar = Progress(
            TextColumn("{task.fields[person]}: {task.description}"),
            BarColumn(),
            TextColumn("{task.fields[cost]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )

    def __enter__(self):
        self.bar.start()
        task = self.bar.add_task("photos", total=self.steps, person=self.name, cost="")

        def tell(stage: str, cost: float) -> None:
            shown = f"error {cost:.1f}" if cost == cost else ""
            self.bar.update(task, advance=1, description=stage, cost=shown)

        return tell

    def __exit__(self, *error: object) -> None:
        self.bar.stop()


def report(person: FittedPerson, folder: Path, had_network: bool, error_map: ErrorMap | None) -> None:
    """Say what was written and how well the head fits each photo."""
    if person.texture is None and person.texture_size:
        print(
            f"warning: no texture: the face model {person.model.name} has no texture coordinates, and "
            "xatlas, which makes them, is not installed: pip install 'dfmvr_jax[atlas]'",
            file=sys.stderr,
        )
    for reason in person.left_out.values():
        print(f"warning: left out: {reason}", file=sys.stderr)
    tell_doubts({photo.file: photo.doubt for photo in person.photos})
    print(f"meshes, coefficients.json, overview.png and overlays: {folder}")
    print(f"to look at in a browser: {folder / 'view.html'}")
    for photo in person.photos:
        error = photo.landmark_error
        line = (
            f"  {photo.file}: head turned by {photo.yaw_degrees:+.0f} degrees, landmarks off by "
            f"{error.pixels:.1f} px, {100 * error.of_eye_distance:.1f} % of the eyes' distance"
        )
        if photo.left_out_error is not None:
            line += f" ({100 * photo.left_out_error.of_eye_distance:.1f} % by the other photos alone)"
        print(line)
    how = {"model": "as large as the head model's mean", "pupils": "by the distance of the pupils"}
    print(f"  size: {how[person.size.source]}, sure to {100 * person.size.deviation:.1f} %")
    if error_map is not None:
        print(
            f"  from {error_map.scan} to the neutral head: RMSE {error_map.rmse_mm:.2f} mm, mean "
            f"{error_map.mean_mm:.2f}, median {error_map.median_mm:.2f} (laid over it by {error_map.laid_by})"
        )
    if had_network:
        print(f"  the better start was that of the {person.started_by}")
