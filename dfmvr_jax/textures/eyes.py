"""Eyes: the head model's, with the person's colours.

What a photo shows of an eye belongs to its lids and gaze in that photo; on ball and lids it would stay there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.face_model.eyeballs import fit_sphere, gaze_directions
from dfmvr_jax.render.array_types import Bool, Float
from dfmvr_jax.textures.consensus import log_ratio
from dfmvr_jax.textures.surface import Surface
from dfmvr_jax.textures.texels import Texels
from dfmvr_jax.textures.views import View

EYES = ("left eye", "right eye")
UPPER_LID, LOWER_LID = (0.1, 0.17), (0.02, 0.08)  # radii from the ball, within which skin is of a lid
ABOVE = (-0.1, 0.1)  # radii above its middle, where the upper lid, which rolls up and down, begins
PUPIL, BORDER = (8.0, 9.0), (22.0, 23.0)  # degrees from the gaze, where the iris begins and ends
IRIS, WHITE = (10.0, 19.0), (28.0, 45.0)  # the same, where their colours are looked for
GLINT = 0.5  # colour of the model, above which it is no iris
SEEN = 0.3  # cosine from which on a photo shows an eye's colour
FEWEST = 50  # coarse texels that show it
LIT = 0.7  # quantile of lightness of the white, which lids shade
IRIS_LIMITS, WHITE_LIMITS = (-0.5, 0.8), (-0.65, 0.1)  # logarithms of what eyes are to the model's
ELSEWHERE = 180.0  # degrees, of vertices that are not of the ball
BLACK = -1.0  # of the pupil


class Eyes(NamedTuple):
    """Where a head has its eyes."""

    angles: Float[np.ndarray, "2 vertices"]  # from either gaze, at the middle of the ball, degrees
    lids: Float[np.ndarray, "vertices"]  # 1 on the upper ones, and on the edges and inner sides of both


def find_eyes(surface: Surface, apart: Bool[np.ndarray, "vertices"]) -> Eyes:
    """Find eyeballs among the pieces `apart` of the skin, and their lids."""
    vertices_mm, parts = surface.vertices_mm, np.asarray(surface.model.part_labels)
    angles, lids = np.full((len(EYES), len(apart)), ELSEWHERE), np.zeros(len(apart))
    for eye, own in zip(EYES, angles):
        mine = apart & (parts == HEAD_PARTS.index(eye))
        if not mine.any():
            continue
        ball = vertices_mm[mine]
        centre, radius = fit_sphere(ball)
        own[mine] = np.degrees(np.arccos(gaze_directions(ball)[:, 2].clip(-1, 1)))
        away = np.linalg.norm(vertices_mm - centre, axis=1) / radius - 1
        above = ramp((vertices_mm[:, 1] - centre[1]) / radius, ABOVE)
        mine = above * (1 - ramp(away, UPPER_LID)) + (1 - above) * (1 - ramp(away, LOWER_LID))
        lids = np.maximum(lids, mine * ~apart)
    return Eyes(angles, lids)


def eye_tone(
    surface: Surface,
    eyes: Eyes,
    coarse: Texels,
    views: Sequence[View],
    shading: Sequence[Float[np.ndarray, "size size 3"]],
    by_model: Float[np.ndarray, "size size 3"],
) -> Float[np.ndarray, "vertices 3"]:
    """Logarithm of what the model's eyeballs are to be multiplied by, at all vertices."""
    irises: list[np.ndarray] = []
    whites: list[np.ndarray] = []
    for angle in np.moveaxis(coarse.spread(eyes.angles.T), -1, 0):
        for view, light in zip(views, shading):
            for found, (start, end) in ((irises, IRIS), (whites, WHITE)):
                seen = (angle > start) & (angle < end) & (view.squarely > SEEN)
                if seen.sum() >= FEWEST:
                    found.append(log_ratio(view.color[seen], light[seen], by_model[seen]))
    iris = white = np.zeros(3)
    if irises:
        iris = _darker_half(np.stack([np.median(tone, axis=0) for tone in irises]))
        iris += np.clip(iris.mean(), *IRIS_LIMITS) - iris.mean()
    if whites:
        white = np.clip(np.median([np.quantile(tone.mean(axis=1), LIT) for tone in whites]), *WHITE_LIMITS)
    angle = eyes.angles.min(axis=0)
    share = ramp(angle, BORDER)
    share[surface.colors.mean(axis=1) > GLINT] = 1
    tone = iris + share[:, None] * (white - iris)
    return BLACK + ramp(angle, PUPIL)[:, None] * (tone - BLACK)


def _darker_half(tones: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3"]:
    """The mean of those that are not lighter than most, as skin is where an eye is shut."""
    lightness = tones.mean(axis=1)
    return tones[lightness <= np.median(lightness)].mean(axis=0)


def ramp(values: Float[np.ndarray, "*n"], ends: tuple[float, float]) -> Float[np.ndarray, "*n"]:
    """0 up to the first end, 1 from the second on."""
    return np.clip((values - ends[0]) / (ends[1] - ends[0]), 0, 1)
