"""Tables of an evaluation: `metrics.json`, `subjects.csv` and one on the console."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from dfmvr_jax.evaluation.metrics import SurfaceErrors

TITLES = {
    "rmse_mm": "RMSE (mm)",
    "mean_mm": "mean (mm)",
    "median_mm": "median (mm)",
    "std_mm": "std (mm)",
    "landmarks_px": "2D landmarks (px)",
}


class FaceErrors(NamedTuple):
    """Errors of one face: of its surface, and of its 68 landmarks over the views."""

    surface: SurfaceErrors
    landmarks_px: float  # mean distance; NaN where they are not known

    def by_name(self) -> dict[str, float]:
        return self.surface._asdict() | {"landmarks_px": self.landmarks_px}


class SubjectResult(NamedTuple):
    """One row of the report."""

    subject: str
    predicted: FaceErrors
    mean_face: FaceErrors  # of the face model's mean face on the same subject: in the predicted pose


def summarize(results: Sequence[SubjectResult]) -> dict:
    """Mean and standard deviation over the faces of each error, for the predicted and the mean face.

    A face's RMSE is over its scan points; the mean over faces of these is reported, as the paper does.
    An error that is not known for some face is None.
    """

    def over_subjects(faces: list[FaceErrors]) -> dict:
        columns = {name: np.array([face.by_name()[name] for face in faces]) for name in TITLES}
        return {
            name: None if np.isnan(values).any() else {"mean": values.mean(), "std": values.std()}
            for name, values in columns.items()
        }

    return {
        "faces": len(results),
        "predicted": over_subjects([result.predicted for result in results]),
        "mean_face": over_subjects([result.mean_face for result in results]),
    }


def write_report(folder: Path, step: int, results: Sequence[SubjectResult]) -> None:
    """Write `metrics.json` (`summarize`) and `subjects.csv` (a line a face) into a folder.

    `step` is that of the checkpoint that predicted.
    """
    report = {"checkpoint_step": step, **summarize(results)}
    (folder / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
    with (folder / "subjects.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["subject", *TITLES, *(f"mean_face_{name}" for name in TITLES)])
        for subject, *faces in results:
            writer.writerow([subject, *(value for face in faces for value in face.by_name().values())])


def print_report(step: int, results: Sequence[SubjectResult], console: Console | None = None) -> None:
    """Print the means over the faces, the predicted beside the mean face."""
    summary = summarize(results)
    faces = f"{summary['faces']} faces, checkpoint of step {step}"
    table = Table(title=f"{faces}: mean ± standard deviation over faces")
    for column in ("error", "predicted", "mean face"):
        table.add_column(column, justify="left" if column == "error" else "right")
    for name, title in TITLES.items():
        cells = [summary[face][name] for face in ("predicted", "mean_face")]
        table.add_row(title, *(f"{c['mean']:.3f} ± {c['std']:.3f}" if c else "unknown" for c in cells))
    (console or Console()).print(table)
