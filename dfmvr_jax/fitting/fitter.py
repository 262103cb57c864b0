"""A head model with all that fits need of it, loaded once for many people."""

import dataclasses
import functools
import sys
from typing import get_args

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.fitting.calibration import calibrate
from dfmvr_jax.fitting.config import Effort, FitConfig, FitKind, effort_config
from dfmvr_jax.fitting.point_table import (
    PointTable,
    cached_table,
    find_table,
    table_of_landmarks,
    write_table,
)
from dfmvr_jax.fitting.stages import FittingModel, prepare_model
from dfmvr_jax.photos.detection import Detector, load_detector
from dfmvr_jax.photos.detector_names import DetectorName


@dataclasses.dataclass(eq=False)
class Fitter:
    """Loads what a fit needs when it needs it."""

    model: MorphableModel
    config: FitConfig
    kind: FitKind
    detector_name: DetectorName = "mediapipe"

    @functools.cached_property
    def detector(self) -> Detector:
        """What finds faces. Raises `InputError` where its networks are missing."""
        return load_detector(self.detector_name)

    @functools.cached_property
    def table(self) -> PointTable:
        """Where MediaPipe's points lie on the model; measured, and kept, the first time."""
        table = find_table(self.model)
        if table is None:
            table = calibrate(self.model, load_detector("mediapipe"))
            try:
                write_table(cached_table(self.model), table, self.model)
            except InputError as error:
                print(f"the measured points are not kept: {error}", file=sys.stderr)
        return table

    @functools.cached_property
    def by_mesh(self) -> FittingModel:
        """The model for photos whose points are MediaPipe's."""
        return prepare_model(self.model, self.table, self.config)

    @functools.cached_property
    def by_landmarks(self) -> FittingModel:
        """The model for photos of which only the 68 landmarks are known."""
        return prepare_model(self.model, table_of_landmarks(self.model), self.config)


def load_fitter(
    face_model: str = "builtin",
    effort: Effort = "normal",
    kind: FitKind = "colours",
    detector: DetectorName = "mediapipe",
    check: bool | None = None,
) -> Fitter:
    """Load a head model for fits. Raises `InputError` where it cannot be used."""
    if kind not in ("points", "colours"):
        raise InputError(f"a fit of kind '{kind}': expected 'points' or 'colours'")
    if effort not in get_args(Effort):
        raise InputError(f"effort '{effort}': expected one of {', '.join(get_args(Effort))}")
    config = effort_config(effort)
    if check is not None:
        config = dataclasses.replace(config, check=check)
    return Fitter(load_face_model(face_model), config, kind, detector)
