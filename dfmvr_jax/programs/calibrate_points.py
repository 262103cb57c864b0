"""Measure and keep the table of a detector's points on a head model."""

from pathlib import Path

import numpy as np

from dfmvr_jax.compilation import keep_compiled
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.fitting.calibration import calibrate
from dfmvr_jax.fitting.point_table import YAWS, cached_table, write_table
from dfmvr_jax.photos.detection import load_detector

FEWEST_HEADS = 6  # of which a median tells anything


def calibrate_points(face_model: str, out: Path | None, heads: int) -> None:
    """Do it. Raises `InputError` where the model or the detector cannot be used."""
    if heads < FEWEST_HEADS:
        raise InputError(f"<heads> {heads}: expected {FEWEST_HEADS} or more")
    keep_compiled()
    model = load_face_model(face_model)
    table = calibrate(model, load_detector("mediapipe"), heads)
    path = out or cached_table(model)
    write_table(path, table, model)
    for yaw, deviation in zip(np.degrees(YAWS), table.deviation_mm):
        used = np.isfinite(deviation)
        scatter = np.median(deviation[used])
        print(f"  yaw {yaw:+3.0f}: {used.sum()} of {len(used)} points, scatter {scatter:.1f} mm")
    print(f"points on {model.name}: {path}")
