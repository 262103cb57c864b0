"""Random subjects from MakeHuman's macro targets and sliders."""

import itertools
import re

import numpy as np
import scipy.sparse as sp
from rich.progress import track

from dfmvr_jax.face_model.makehuman.sources import MakeHuman

SUBJECTS = 750  # each also enters mirrored
SLIDER_SIGMA, ASYMMETRY_SIGMA = 0.25, 0.12
LARGEST_SLIDER = 0.10  # dm a vertex of the face may move with a slider at 1; more is a cartoon
# Sliders that act on lips, lids and dimples span the expressions: leave them out or shrink them.
EXPRESSION_LIKE = {"mouth-angles": 0.0, "mouth-dimples": 0.3, "mouth-laugh-lines": 0.3, "eye-height": 0.4}
NOT_THE_FACE = re.compile(r"head-trans|head-back|head-angle|asym-ear|asymm-")
OPPOSITES = {
    "incr": "decr",
    "up": "down",
    "in": "out",
    "forward": "backward",
    "convex": "concave",
    "uncompress": "compress",
}
RACES, GENDERS = ("african", "asian", "caucasian"), ("female", "male")


def _knots(value: float, knots: dict[str, float]) -> dict[str, float]:
    """Linear interpolation weights of a value between named knots."""
    positions = list(knots.values())
    return {name: float(np.interp(value, positions, np.eye(len(knots))[i])) for i, name in enumerate(knots)}


def _sliders(data: MakeHuman) -> dict[str, list[np.ndarray]]:
    """Displacements of each slider, by name: [for positive values] or [for positive, for negative values]."""
    targets: dict[str, np.ndarray] = {}
    for folder in ("head", "nose", "mouth", "chin", "cheek", "eyes", "eyebrows", "forehead", "asym"):
        targets |= data.targets(folder)
    targets["neck-double-incr"] = data.targets("neck")["neck-double-incr"]
    sliders = {}
    for name, moved in targets.items():
        stem, _, end = name.rpartition("-")
        if NOT_THE_FACE.match(name) or end in OPPOSITES.values():
            continue
        pair = [moved]
        if end in OPPOSITES and f"{stem}-{OPPOSITES[end]}" in targets:
            pair.append(targets[f"{stem}-{OPPOSITES[end]}"])
        shrink = [factor for part, factor in EXPRESSION_LIKE.items() if part in name]
        sliders[stem if end in OPPOSITES else name] = [target * min([1.0, *shrink]) for target in pair]
    return sliders


def sample_subjects(data: MakeHuman, cage: np.ndarray, face: sp.csr_matrix) -> np.ndarray:
    """Cage positions [2 * SUBJECTS, cage, 3] in dm of random subjects and their mirror images, unaligned.

    `cage` are indices in the base mesh; `face` [points, cage] gives the face, on which sliders are judged.
    """
    rng = np.random.default_rng(0)
    macro = {name: moved[cage] for name, moved in data.targets("macrodetails").items()}
    strength = {name: [_capped(moved[cage], face) for moved in pair] for name, pair in _sliders(data).items()}
    sided = sorted({name[2:] for name in strength if name[:2] in ("l-", "r-")})
    single = sorted(name for name in strength if name[:2] not in ("l-", "r-"))
    base = data.vertices[cage]

    subjects = []
    for _ in track(range(SUBJECTS), "subjects"):
        gender = rng.beta(0.35, 0.35)
        genders = {"female": 1 - gender, "male": gender}
        races = dict(zip(RACES, rng.dirichlet([0.35] * 3)))
        ages = _knots(rng.uniform(0.38, 0.9), {"child": 0.1875, "young": 0.5, "old": 1.0})
        muscle, weight = rng.normal(0.5, 0.2, 2).clip(0, 1)
        muscles = _knots(muscle, {"minmuscle": 0.0, "averagemuscle": 0.5, "maxmuscle": 1.0})
        weights = _knots(weight, {"minweight": 0.0, "averageweight": 0.5, "maxweight": 1.0})
        positions = base.copy()
        for parts in itertools.product(races.items(), genders.items(), ages.items()):
            positions += _share(parts) * macro["-".join(name for name, _ in parts)]
        for build in itertools.product(genders.items(), ages.items(), muscles.items(), weights.items()):
            positions += _share(build) * macro["universal-" + "-".join(name for name, _ in build)]
        values = {}
        for name in single:
            sigma = ASYMMETRY_SIGMA if name.startswith("asym") else SLIDER_SIGMA
            values[name] = rng.normal(0, sigma)
        for name in sided:
            both, apart = rng.normal(0, SLIDER_SIGMA), rng.normal(0, ASYMMETRY_SIGMA / 2)
            values[f"l-{name}"], values[f"r-{name}"] = both + apart, both - apart
        for name, value in values.items():
            pair = strength[name]
            if value >= 0:
                positions += value * pair[0]
            elif len(pair) == 2:
                positions -= value * pair[1]
        subjects.append(positions)
    stacked = np.stack(subjects)
    return np.concatenate([stacked, mirrored(stacked, data.mirror, cage)])


def _capped(moved: np.ndarray, face: sp.csr_matrix) -> np.ndarray:
    """A displacement of the cage, made smaller where it moves the face further than `LARGEST_SLIDER`."""
    return moved * min(1.0, LARGEST_SLIDER / max(np.abs(face @ moved).max(), 1e-9))


def _share(parts: tuple[tuple[str, float], ...]) -> float:
    return float(np.prod([weight for _, weight in parts]))


def mirrored(positions: np.ndarray, mirror: np.ndarray, cage: np.ndarray) -> np.ndarray:
    """The same shapes [..., cage, 3] with left and right exchanged."""
    place = np.full(len(mirror), -1)
    place[cage] = np.arange(len(cage))
    return positions[..., place[mirror[cage]], :] * np.array([-1, 1, 1])


def align_rigidly(subjects: np.ndarray, face: sp.csr_matrix, rounds: int = 3) -> np.ndarray:
    """Turn and shift subjects [n, cage, 3] onto their mean without scaling (generalised Procrustes analysis).

    `face` [points, cage] gives the points that are compared.
    """
    for _ in range(rounds):
        mean = face @ subjects.mean(axis=0)
        goal = mean - mean.mean(axis=0)
        aligned = []
        for subject in subjects:
            points = face @ subject
            centre = points.mean(axis=0)
            u, _, vt = np.linalg.svd((points - centre).T @ goal)
            turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
            aligned.append((subject - centre) @ turn)
        subjects = np.stack(aligned)
    return subjects
