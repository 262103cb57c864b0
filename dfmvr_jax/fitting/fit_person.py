"""From one person's photos to a head: the story of a fit, in the order in which it happens."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.fitting.colours import first_look, first_samples
from dfmvr_jax.fitting.config import FitConfig
from dfmvr_jax.fitting.fitter import Fitter
from dfmvr_jax.fitting.likeness import choose_alike, portray
from dfmvr_jax.fitting.photos import FittingPhoto, read_fitting_photo
from dfmvr_jax.fitting.points import project_places
from dfmvr_jax.fitting.stages import (
    Fit,
    FittingModel,
    first_head,
    fit_colours,
    fit_points,
    layout_of,
    photo_colours,
    photo_points,
    pose_unknowns,
    settle,
)
from dfmvr_jax.fitting.unknowns import Head, Layout
from dfmvr_jax.fitting.wishes import Wishes, check_wishes
from dfmvr_jax.landmarks import COUNT, OUTER_EYE_CORNERS, WITHOUT_JAW
from dfmvr_jax.photos.face_mesh import landmarks_of_mesh
from dfmvr_jax.photos.faces import numbers_of_faces
from dfmvr_jax.photos.preparation import PhotoFile
from dfmvr_jax.render.array_types import Bool, Float

Tell = Callable[[str, float], None]  # what is being done, and the cost so far
# a network's identity and expression for some photos; None: it has none to give
Start = Callable[[list[FittingPhoto]], tuple[np.ndarray, np.ndarray] | None]
BETTER = 0.99  # of the misfit, below which a network's start is the better one


def tell_nobody(stage: str, cost: float) -> None:
    """Take no notice of how far a fit is."""


class PhotoError(NamedTuple):
    """How far the landmarks of a head, the jaw's left out, lie from those of a photo."""

    pixels: float  # of the photo, on average
    of_eye_distance: float  # as a share of the outer eye corners' distance


class PersonFit(NamedTuple):
    """A fitted person: photos that are used, and what was found."""

    fitting: FittingModel
    photos: list[FittingPhoto]
    left_out: dict[Path, str]  # photos that are not, and why
    fit: Fit
    errors: list[PhotoError]  # of each photo
    left_out_errors: list[PhotoError] | None  # of each photo by the head of the others; None: not tried
    started_by: str  # "points" or "network"


def read_people(
    fitter: Fitter, files: Sequence[PhotoFile], wishes: Wishes
) -> tuple[list[list[FittingPhoto]], dict[Path, str]]:
    """Read one person's photos: the faces of each, and the photos that cannot be used, with the reason.

    Raises `InputError` where none is left.
    """
    read: list[list[FittingPhoto]] = []
    left_out: dict[Path, str] = {}
    for file, number in zip(files, numbers_of_faces(wishes.faces, len(files))):
        try:
            faces = read_fitting_photo(file, lambda: fitter.detector, fitter.model, fitter.config, number)
        except InputError as error:
            left_out[file.path] = str(error)
            continue
        same = next((known for known, *_ in read if is_same_picture(known, faces[0])), None)
        if same is None:
            read.append(faces)
        else:
            left_out[file.path] = f"{file.path}: is the same picture as {same.path.name}"
    if not read:
        if len(left_out) == 1:
            raise InputError(next(iter(left_out.values())))
        raise InputError("none of the photos can be used: " + "; ".join(left_out.values()))
    if len({len(faces[0].points) for faces in read}) > 1:
        # points of one kind for all
        read = [[face._replace(face=face.face._replace(mesh=None)) for face in faces] for faces in read]
    return read, left_out


def is_same_picture(one: FittingPhoto, other: FittingPhoto) -> bool:
    """Whether two files hold one photo."""
    return one.size == other.size and np.array_equal(one.picture, other.picture)


def fit_person(
    fitter: Fitter,
    files: Sequence[PhotoFile],
    wishes: Wishes = Wishes(),  # noqa: B008
    start: Start | None = None,
    tell: Tell = tell_nobody,
) -> PersonFit:
    """Fit a head to the photos of one person.

    Args:
      fitter: the head model.
      files: one photo or more, in any order.
      wishes: of the user.
      start: gives a network's identity and expression for these photos, or None.
      tell: is told of each step.

    Raises:
      InputError: none of the photos can be used, or a wish cannot be meant.
    """
    check_wishes(wishes)
    tell("photos", math.nan)
    read, left_out = read_people(fitter, files, wishes)
    config = fitter.config
    fitting = fitter.by_landmarks if len(read[0][0].points) == COUNT else fitter.by_mesh
    photos = choose_faces(fitting, read, config, wishes)
    photos, head = fit_those_that_agree(fitting, photos, config, wishes, left_out, tell)
    free_form = fitter.kind == "colours" and len(photos) >= config.free_form_photos
    layout = _layout(fitting, photos, config, wishes, free_form)
    head, started_by = _better_start(fitting, photos, head, config, wishes, start)
    fit = finish(fitting, photos, head, layout, fitter, np.ones(len(photos), bool), tell)
    left_out_errors = None
    if config.check and len(photos) >= 3:
        left_out_errors = [
            leave_out(fitting, photos, number, layout, fitter, wishes, tell) for number in range(len(photos))
        ]
    errors = photo_errors(fitting, photos, fit.head)
    return PersonFit(fitting, photos, left_out, fit, errors, left_out_errors, started_by)


def choose_faces(
    fitting: FittingModel, read: Sequence[Sequence[FittingPhoto]], config: FitConfig, wishes: Wishes
) -> list[FittingPhoto]:
    """Of photos that show several faces take the one that is most like the person of the others.

    The person is that of the photos with one face; where there is none, one who is in all, in the foreground.
    """
    if all(len(faces) == 1 for faces in read) or len(read) == 1:
        return [faces[0] for faces in read]
    portraits = [
        [portray(fitting, face, _points_head(fitting, [face], config, wishes), config) for face in faces]
        for faces in read
    ]
    return [faces[number] for faces, number in zip(read, choose_alike(portraits))]


def fit_those_that_agree(
    fitting: FittingModel,
    photos: list[FittingPhoto],
    config: FitConfig,
    wishes: Wishes,
    left_out: dict[Path, str],
    tell: Tell,
) -> tuple[list[FittingPhoto], Head]:
    """Fit a head to points; a photo that fits far worse than the others is left out, and all begins anew."""
    while True:
        head = _points_head(fitting, photos, config, wishes, tell)
        if len(photos) < 3:
            return photos, head
        found = misfits(fitting, photos, head)
        worst = int(found.argmax())
        usual = float(np.median(np.delete(found, worst)))
        if found[worst] <= config.strange * usual:
            return photos, head
        photos = list(photos)
        stranger = photos.pop(worst)
        left_out[stranger.path] = (
            f"{stranger.path}: shows somebody else, or its points are wrong: they lie "
            f"{found[worst] / usual:.1f} times as far from the head as those of the other photos"
        )


def _layout(
    fitting: FittingModel,
    photos: Sequence[FittingPhoto],
    config: FitConfig,
    wishes: Wishes,
    free_form: bool = False,
) -> Layout:
    return layout_of(fitting, photos, config, free_form, wishes.same_expression, wishes.focal_mm)


def _points_head(
    fitting: FittingModel,
    photos: Sequence[FittingPhoto],
    config: FitConfig,
    wishes: Wishes,
    tell: Tell = tell_nobody,
) -> Head:
    """Poses of the mean head, then all unknowns, on points."""
    layout = _layout(fitting, photos, config, wishes)
    points = photo_points(photos, np.ones(len(photos), bool))
    head, poses = first_head(fitting.model, photos, layout), pose_unknowns(layout, len(photos))
    head = fit_points(
        fitting, head, layout, points, config, config.pose_rounds, poses, lambda c: tell("poses", c)
    )
    head = fit_points(
        fitting, head, layout, points, config, config.point_rounds, None, lambda c: tell("points", c)
    )
    return head


def _better_start(
    fitting: FittingModel,
    photos: list[FittingPhoto],
    head: Head,
    config: FitConfig,
    wishes: Wishes,
    start: Start | None,
) -> tuple[Head, str]:
    """The head by points, or by a network's guess and points where that fits them clearly better."""
    guess = start(photos) if start else None
    if guess is None:
        return head, "points"
    layout = _layout(fitting, photos, config, wishes)
    points = photo_points(photos, np.ones(len(photos), bool))
    identity, expression = guess
    whole = np.zeros(len(head.identity), np.float32)
    whole[: len(identity)] = identity
    guessed = head._replace(
        identity=jnp.asarray(whole),
        expression=jnp.broadcast_to(jnp.asarray(expression, jnp.float32), head.expression.shape),
    )
    guessed = fit_points(
        fitting, guessed, layout, points, config, config.pose_rounds, pose_unknowns(layout, len(photos))
    )
    guessed = fit_points(fitting, guessed, layout, points, config, config.point_rounds)
    if misfits(fitting, photos, guessed).mean() < BETTER * misfits(fitting, photos, head).mean():
        return guessed, "network"
    return head, "points"


def finish(
    fitting: FittingModel,
    photos: Sequence[FittingPhoto],
    head: Head,
    layout: Layout,
    fitter: Fitter,
    counts: Bool[np.ndarray, "photos"],
    tell: Tell,
) -> Fit:
    """Fit colours, from blurred to sharp photos; without them find only light and albedo."""
    config = fitter.config
    points = photo_points(photos, counts)
    fit = Fit(head, first_look(fitting.model, len(head.translation), fitting.samples))
    if fitter.kind == "colours":
        for blur, count in zip(config.blurs, config.samples, strict=True):
            level = fitting._replace(samples=first_samples(fitting.samples, count))
            colours = photo_colours(photos, counts, blur, config.blur_power)
            fit = fit_colours(
                level, fit, layout, points, colours, config, config.colour_rounds,
                lambda cost: tell("colours", cost),
            )  # fmt: skip
    colours = photo_colours(photos, counts, config.blurs[-1])
    look, _ = settle(fitting, fit.head, fit.look.albedo, colours, config)
    return fit._replace(look=look)


def leave_out(
    fitting: FittingModel,
    photos: Sequence[FittingPhoto],
    number: int,
    layout: Layout,
    fitter: Fitter,
    wishes: Wishes,
    tell: Tell,
) -> PhotoError:
    """Fit all anew without one photo, then its pose alone, and say how far its landmarks are off."""
    config = fitter.config
    counts = np.arange(len(photos)) != number
    stage = f"without {photos[number].path.name}"
    points = photo_points(photos, counts)
    by_points = _layout(fitting, photos, config, wishes)
    head = first_head(fitting.model, photos, by_points)
    poses = pose_unknowns(by_points, len(photos))
    everything = photo_points(photos, np.ones(len(photos), bool))
    head = fit_points(fitting, head, by_points, everything, config, config.pose_rounds, poses)
    head = fit_points(
        fitting, head, by_points, points, config, config.point_rounds, None, lambda cost: tell(stage, cost)
    )
    head = finish(fitting, photos, head, layout, fitter, counts, lambda _, cost: tell(stage, cost)).head
    expression = np.asarray(head.expression).copy()
    expression[number] = expression[: len(photos)][counts].mean(axis=0)
    head = head._replace(expression=jnp.asarray(expression))
    only = np.arange(len(photos)) == number
    head = fit_points(fitting, head, by_points, photo_points(photos, only), config, config.pose_rounds, poses)
    return photo_errors(fitting, photos, head)[number]


def misfits(fitting: FittingModel, photos: Sequence[FittingPhoto], head: Head) -> Float[np.ndarray, "photos"]:
    """How far the points of each photo lie from the head's: root mean square, in their deviations."""
    points = photo_points(photos, np.ones(len(photos), bool))
    found, _, deviation = project_places(fitting.places, head, points)
    squared = ((np.asarray(found) - np.asarray(points.pixels)) ** 2).sum(axis=-1) / 2
    return np.sqrt((squared / np.asarray(deviation) ** 2).mean(axis=1))[: len(photos)]


def photo_errors(fitting: FittingModel, photos: Sequence[FittingPhoto], head: Head) -> list[PhotoError]:
    """How far the head's landmarks lie from each photo's: where the detector would see them on this head."""
    points = photo_points(photos, np.ones(len(photos), bool))
    found = np.asarray(project_places(fitting.places, head, points)[0], np.float64)
    errors = []
    for number, photo in enumerate(photos):
        scale = photo.crop_to_photo[0, 0]
        pixels = scale * found[number] + photo.crop_to_photo[:, 2]
        if len(pixels) != COUNT:
            pixels = landmarks_of_mesh(pixels)
        distances = np.linalg.norm(pixels - photo.face.landmarks, axis=1)[WITHOUT_JAW]
        mean = float(distances.mean())
        errors.append(PhotoError(mean, mean / eye_distance(fitting, photo, head, number)))
    return errors


def eye_distance(fitting: FittingModel, photo: FittingPhoto, head: Head, number: int) -> float:
    """Distance of the outer eye corners in a photo, pixels, if they were seen squarely."""
    marks = np.asarray(fitting.model.landmarks)[list(OUTER_EYE_CORNERS)]
    model = fitting.model
    corners = np.asarray(
        model.mean_shape[marks]
        + model.identity_basis[marks] @ head.identity
        + model.expression_basis[marks] @ head.expression[number]
    )
    depth = -(corners.mean(axis=0) @ np.asarray(head.rotation[number]).T + head.translation[number])[2]
    focal = math.exp(float(head.log_focal[number])) * max(photo.size)
    return float(focal * np.linalg.norm(corners[0] - corners[1]) / depth)
