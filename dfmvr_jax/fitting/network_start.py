"""A trained network's prediction as a start of a fit."""

import numpy as np

from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.topology import is_topology_of, topology
from dfmvr_jax.fitting.fit_person import Start
from dfmvr_jax.fitting.photos import FittingPhoto
from dfmvr_jax.photos.alignment import align_photo
from dfmvr_jax.prediction import Run

SIDE_YAW = np.radians(8)  # from which on a photo shows the head from a side
FITTING_YAW = np.radians(35)  # of the side views that networks are trained with


def network_start(run: Run, model: MorphableModel) -> Start:
    """Make a fit's start of a run. Raises `InputError` where its coefficients are another model's."""
    if not is_topology_of(topology(run.model), model):
        raise InputError(
            f"{run.workdir}: its network speaks of the face model {run.model.name}, the fit of {model.name}; "
            "leave out <face_model>, or the checkpoint"
        )

    def start(photos: list[FittingPhoto]) -> tuple[np.ndarray, np.ndarray] | None:
        size = run.config.image_size
        crops, given = np.zeros((len(VIEWS), size, size, 3), np.float32), np.zeros(len(VIEWS), bool)
        for view, photo in enumerate(choose_views(photos)):
            if photo is not None:
                scale = max(photo.picture.shape[:2]) / max(photo.size)
                landmarks = scale * photo.face.landmarks
                try:
                    crops[view] = align_photo(photo.picture, landmarks, model, size).crop
                except InputError:  # a face that is small in its photo: too small in the shrunk picture
                    continue
                given[view] = True
        if not given.any():
            return None
        coefficients = run.predict(crops, given).coefficients
        identity, expression = np.asarray(coefficients.identity), np.asarray(coefficients.expression)
        usable = np.isfinite(identity).all() and np.isfinite(expression).all()
        return (identity, expression) if usable else None

    return start


def choose_views(photos: list[FittingPhoto]) -> list[FittingPhoto | None]:
    """The photos that suit the network's views left, front and right best; None where none does."""
    left = [photo for photo in photos if photo.pose.yaw < -SIDE_YAW]
    right = [photo for photo in photos if photo.pose.yaw > SIDE_YAW]
    front = [photo for photo in photos if abs(photo.pose.yaw) <= 2 * SIDE_YAW]

    def best(chosen: list[FittingPhoto], yaw: float) -> FittingPhoto | None:
        return min(chosen, key=lambda photo: abs(photo.pose.yaw - yaw), default=None)

    views = [best(left, -FITTING_YAW), best(front, 0.0), best(right, FITTING_YAW)]
    if None in views:  # networks know three photos, or one
        nearest = best(photos, 0.0)
        assert nearest is not None
        place = 0 if nearest.pose.yaw < -2 * SIDE_YAW else 2 if nearest.pose.yaw > 2 * SIDE_YAW else 1
        views = [nearest if view == place else None for view in range(len(VIEWS))]
    return views
