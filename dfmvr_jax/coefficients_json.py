"""The coefficients of a reconstructed face as JSON."""

import numpy as np

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.conventions import UNIT_MM, VIEWS
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.render.camera import Camera


def coefficients_json(coefficients: Coefficients, camera: Camera, model: MorphableModel) -> dict:
    """One subject's coefficients with all that is needed to rebuild and render the face from them."""
    return {
        "face_model": {"name": model.name, "unit_mm": UNIT_MM},
        "camera": {
            "focal_px": float(camera.focal),
            "principal_point_px": [float(value) for value in camera.principal_point],
            "distance": float(camera.distance),
            "image_size_px": list(camera.image_size),
        },
        "conventions": {
            "views": list(VIEWS),
            "shape": "mean + identity basis @ identity + expression basis @ expression, in model units",
            "pose": "posed = points @ R.T + translation, R = Rz Ry Rx, rotation = (x, y, z) in radians, "
            "translation in model units",
            "axes": "+x to the subject's left, +y up, +z out of the face",
            "projection": "x = cx + focal X / (distance - Z), y = cy - focal Y / (distance - Z); pixels of "
            "the aligned crop from its top left corner, y down",
            "light": "9 spherical harmonics per colour channel, fixed to the camera; band 0 gets +0.8",
        },
    } | {name: np.asarray(value).tolist() for name, value in coefficients._asdict().items()}
