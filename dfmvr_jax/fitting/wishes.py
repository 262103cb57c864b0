"""What users know of their photos, or want."""

from typing import NamedTuple

from dfmvr_jax.errors import InputError

LIMITS = {"focal_mm": (8, 1200), "pupils_mm": (30, 90)}
MOST_FACES = 1000


class Wishes(NamedTuple):
    """What a user wants of the fit of one person."""

    same_expression: bool = False  # in all photos
    focal_mm: float | None = None  # of all photos, as of 35 mm film
    pupils_mm: float | None = None  # the distance of the pupils
    # which face, where a photo shows several, or which in each photo; 1 is the largest; none: the person's of
    # the other photos
    faces: tuple[int, ...] = ()


def check_wishes(wishes: Wishes) -> None:
    """Raise `InputError` for what cannot be meant."""
    limited = [(name, getattr(wishes, name), *limits) for name, limits in LIMITS.items()]
    for name, value, low, high in limited + [("face", face, 1, MOST_FACES) for face in wishes.faces]:
        if value is not None and not low <= value <= high:
            raise InputError(f"<{name}> {value}: expected {low} to {high}")
