"""Whose face is it, of several in a photo? The one whose skin is that of the faces in the other photos.

Points say little of who somebody is: of two generated people they chose the right one in two of three cases.
Colours say more: each face's albedo is shown in the light of the other's photo, and what no light explains is
another person's (brows, lips, spots). They were right in nine of ten.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from dfmvr_jax.fitting.colours import PhotoColours, look_at_samples, weigh_samples
from dfmvr_jax.fitting.config import FitConfig
from dfmvr_jax.fitting.photos import FittingPhoto
from dfmvr_jax.fitting.stages import FittingModel, photo_colours
from dfmvr_jax.fitting.unknowns import Head
from dfmvr_jax.render.array_types import Float
from dfmvr_jax.render.shade import spherical_harmonics

BLUR = 2.0  # px of the crop
DARKEST = 0.05  # shading below which a colour tells nothing of the albedo
LIGHT_PRIOR = 0.01  # of the weight of all samples, against lights that few of them see
ROBUST = 4.5  # times the median beyond which a residual counts less: hair, glasses, shine
ROUNDS = 5  # of light and weights
AS_SURE = 0.1  # of how much less one person's faces differ than from others', from which on another is one
MOST = 1000  # combinations of faces that are tried

Person = tuple[tuple[int, int], ...]  # photos, and which face of each


class Portrait(NamedTuple):
    """A face as a photo shows it, at the head model's samples."""

    color: Float[np.ndarray, "samples 3"]
    weight: Float[np.ndarray, "samples"]  # 0 to 1: how squarely each is seen
    harmonics: Float[np.ndarray, "samples 9"]  # of its normal
    albedo: Float[np.ndarray, "samples 3"]  # without the photo's light


@functools.partial(jax.jit, static_argnames="config")
def _look(fitting: FittingModel, head: Head, colours: PhotoColours, config: FitConfig):
    """Colour, weight and harmonics of each sample in the first photo."""
    weight = weigh_samples(fitting.model, fitting.samples, head, colours, config)
    seen = look_at_samples(fitting.model, fitting.samples, head, colours)
    return seen.color[0], weight[0], spherical_harmonics(seen.normals[0])


def portray(fitting: FittingModel, face: FittingPhoto, head: Head, config: FitConfig) -> Portrait:
    """Look at a face by the head that was fitted to it alone."""
    colours = photo_colours([face], np.ones(1, bool), BLUR)
    looked = _look(fitting, head, colours, config)
    color, weight, harmonics = (np.asarray(part, np.float64) for part in looked)
    weight = weight / max(float(weight.max()), 1e-9)
    light, _ = _light(color, weight, harmonics, np.asarray(fitting.samples.mean_albedo, np.float64))
    return Portrait(color, weight, harmonics, color / np.maximum(harmonics @ light.T, DARKEST))


def difference(one: Portrait, other: Portrait) -> float:
    """Share of the colours of two faces that the light does not explain, if they are one person's."""
    weight = np.sqrt(one.weight * other.weight)
    if not weight.any():
        return 1.0  # seen from opposite sides
    shares = []
    for shown, albedo in ((one, other.albedo), (other, one.albedo)):
        _, residual = _light(shown.color, weight, shown.harmonics, albedo)
        shares.append(weight @ np.abs(residual).mean(axis=1) / (weight @ shown.color.mean(axis=1)))
    return float(np.mean(shares))


def choose_alike(portraits: Sequence[Sequence[Portrait]]) -> list[int]:
    """Which face of each photo, so that all are one person's; of several people one in the foreground.

    `portraits` has for each photo those of the faces that may be meant, the largest first.
    """
    order = sorted(range(len(portraits)), key=lambda photo: len(portraits[photo]))
    combinations = np.cumprod([len(portraits[photo]) for photo in order])
    tried = order[: max(2, int((combinations <= MOST).sum()))]

    @functools.cache
    def gap(a: tuple[int, int], b: tuple[int, int]) -> float:
        return gap(b, a) if a > b else difference(portraits[a[0]][a[1]], portraits[b[0]][b[1]])

    def unlike(person: Person) -> float:
        """Mean difference of a person's faces, less that from all faces that are left."""
        left = [(photo, face) for photo in tried for face in range(len(portraits[photo]))]
        left = [face for face in left if face not in person]
        within = [gap(a, b) for a, b in itertools.combinations(person, 2)]
        across = [gap(a, b) for a in person for b in left if a[0] != b[0]]
        return float(np.mean(within) - (np.mean(across) if across else 0))

    numbers = itertools.product(*(range(len(portraits[photo])) for photo in tried))
    people = {person: unlike(person) for person in (tuple(zip(tried, faces)) for faces in numbers)}
    person = min(people, key=lambda person: people[person])
    if len(portraits[order[0]]) > 1:  # another may be in all photos, too
        others = [other for other in people if set(other).isdisjoint(person)]
        alike = [person, *(other for other in others if people[other] <= AS_SURE * people[person])]
        person = min(alike, key=lambda one: (sum(face > 0 for _, face in one), people[one]))
    chosen = dict(person)
    for photo in order:
        if photo not in chosen:
            there = range(len(portraits[photo]))
            chosen[photo] = min(there, key=lambda face: sum(gap((photo, face), one) for one in person))  # noqa: B023
    return [chosen[photo] for photo in range(len(portraits))]


def _light(
    color: Float[np.ndarray, "samples 3"],
    weight: Float[np.ndarray, "samples"],
    harmonics: Float[np.ndarray, "samples 9"],
    albedo: Float[np.ndarray, "samples 3"],
) -> tuple[Float[np.ndarray, "3 9"], Float[np.ndarray, "samples 3"]]:
    """The light in which an albedo has these colours, and what it leaves of them; by robust least squares."""
    shown = albedo[:, :, None] * harmonics[:, None]  # samples, channels, bands
    prior = LIGHT_PRIOR * weight.sum() * np.mean(albedo**2) * np.eye(harmonics.shape[1])
    believed, light, residual = weight, np.zeros((3, harmonics.shape[1])), color
    for _ in range(ROUNDS):
        normal = np.einsum("s,scb,scd->cbd", believed, shown, shown) + prior
        light = np.linalg.solve(normal, np.einsum("s,scb,sc->cb", believed, shown, color)[..., None])[..., 0]
        residual = color - np.einsum("scb,cb->sc", shown, light)
        size = np.sqrt((residual**2).mean(axis=1))
        usual = max(float(np.median(size[weight > 0])), 1e-3)
        believed = weight / (1 + (size / (ROBUST * usual)) ** 2) ** 2
    return light, residual
