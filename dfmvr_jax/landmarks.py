"""Which of iBUG's 68 facial landmarks is what: rows of every array of them (docs/conventions.md).

Right and left are the subject's.
"""

import numpy as np

from dfmvr_jax.render.array_types import Float

COUNT = 68
JAW = range(17)  # on the outline: detectors guess there, and faces hide theirs
WITHOUT_JAW = slice(len(JAW), COUNT)
NOSE_BRIDGE = range(27, 31)
WITHOUT_BROWS = slice(NOSE_BRIDGE.start, COUNT)  # nor the jaw: eyes, nose, mouth
NOSE_TIP, NOSE_BASE = 30, 33
NOSE = range(27, 36)
RIGHT_EYE, LEFT_EYE = range(36, 42), range(42, 48)
OUTER_EYE_CORNERS = (36, 45)  # right, left
MOUTH_CORNERS = (48, 54)  # right, left
INNER_MOUTH = range(60, COUNT)
REGISTRATION = (36, 39, 42, 45, NOSE_BASE, *MOUTH_CORNERS)  # what faces are laid over each other by


def five_points(landmarks: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "5 d"]:
    """Take eye centres, nose tip and mouth corners of 68 landmarks, 2D or 3D; five stay as they are."""
    if len(landmarks) == 5:
        return landmarks
    eyes = (landmarks[np.array(eye)].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE))
    return np.stack([*eyes, landmarks[NOSE_TIP], *landmarks[list(MOUTH_CORNERS)]])
