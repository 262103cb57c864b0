"""The stages of a fit: poses, then all on points, then all on points and colours."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.fitting.colours import (
    ColourSamples,
    Look,
    PhotoColours,
    Seen,
    choose_samples,
    colour_cost,
    colour_normal,
    look_at_samples,
    scatter_normal,
    settle_look,
    weigh_samples,
)
from dfmvr_jax.fitting.config import FitConfig
from dfmvr_jax.fitting.free_form import with_free_form
from dfmvr_jax.fitting.gauss_newton import System, minimise
from dfmvr_jax.fitting.photos import FittingPhoto, focal_of_film
from dfmvr_jax.fitting.point_table import YAWS, PointTable
from dfmvr_jax.fitting.points import PhotoPoints, PointPlaces, place_points, point_normal
from dfmvr_jax.fitting.unknowns import POSE, Head, Layout, make_layout, move_head, prior_system
from dfmvr_jax.render.array_types import Array, Bool, Float

SURE = 1e-3  # deviation of the logarithm of a focal length that a user gives
PADDED = (3, 6, 12, 24)  # numbers of photos that code is compiled for


class FittingModel(NamedTuple):
    """A head model and what a fit needs of it, made once for many people."""

    model: MorphableModel  # with the modes of the free form
    free_form_modes: int  # the last ones of its identity
    places: PointPlaces
    samples: ColourSamples


class Fit(NamedTuple):
    """A head, and what its colours come from; the photos' axis is padded."""

    head: Head
    look: Look


def prepare_model(model: MorphableModel, table: PointTable, config: FitConfig) -> FittingModel:
    """Add the free form to a model, and look up what a fit needs of it."""
    wide = with_free_form(model, config)
    places = place_points(wide, table)
    from_the_front = np.asarray(places.mean[len(YAWS) // 2])
    modes = wide.dimensions[0] - model.dimensions[0]
    return FittingModel(wide, modes, places, choose_samples(wide, from_the_front, config))


def padded_number(photos: int) -> int:
    """For how many photos the code is compiled that these go through."""
    return next((number for number in PADDED if number >= photos), photos)


def pad(values: Sequence, number: int) -> np.ndarray:
    """Stack one value per photo, the last one repeated."""
    return np.stack([*values, *[values[-1]] * (number - len(values))]).astype(np.float32)


def photo_points(photos: Sequence[FittingPhoto], counts: Bool[np.ndarray, "photos"]) -> PhotoPoints:
    """The points of photos, in pixels of the crops; photos that do not count have weight 0."""
    number = padded_number(len(photos))
    crops = [_to_crop(photo) for photo in photos]
    points = [scale * photo.points + shift for photo, (scale, shift) in zip(photos, crops)]
    weight = np.zeros((number, len(points[0])), np.float32)
    weight[: len(photos)] = counts[:, None]
    return PhotoPoints(
        pixels=jnp.asarray(pad(points, number)),
        weight=jnp.asarray(weight),
        centre=jnp.asarray(pad([_centre(photo) for photo in photos], number)),
        longer_side=jnp.asarray(pad([_longer_side(photo) for photo in photos], number)),
        unit=jnp.asarray(pad([_unit(photo) for photo in photos], number)),
    )


def photo_colours(
    photos: Sequence[FittingPhoto], counts: Bool[np.ndarray, "photos"], blur: float, power: float = 1.0
) -> PhotoColours:
    """The crops of photos, blurred."""
    number = padded_number(len(photos))
    weight = np.zeros(number, np.float32)
    weight[: len(photos)] = counts / max(blur, 1.0) ** power
    inside = [_inside(photo) for photo in photos]
    images = [
        gaussian_filter(photo.crop, (blur, blur, 0), mode="nearest") if blur else photo.crop
        for photo in photos
    ]
    return PhotoColours(
        images=jnp.asarray(pad(images, number)),
        inside=jnp.asarray(pad(inside, number)),
        centre=jnp.asarray(pad([_centre(photo) for photo in photos], number)),
        longer_side=jnp.asarray(pad([_longer_side(photo) for photo in photos], number)),
        weight=jnp.asarray(weight),
    )


def _to_crop(photo: FittingPhoto) -> tuple[float, np.ndarray]:
    scale = 1 / photo.crop_to_photo[0, 0]
    return scale, -scale * photo.crop_to_photo[:, 2]


def _centre(photo: FittingPhoto) -> np.ndarray:
    """The principal point, the photo's middle, in pixels of the crop."""
    height, width = photo.size
    scale, shift = _to_crop(photo)
    return scale * np.array([width / 2, height / 2]) + shift


def _longer_side(photo: FittingPhoto) -> float:
    return max(photo.size) * _to_crop(photo)[0]


def _unit(photo: FittingPhoto) -> float:
    """Pixels of the crop that a unit of the model takes, by the first guess of the pose."""
    camera = face_camera(len(photo.crop))
    magnified = math.sqrt(abs(np.linalg.det(photo.pose.to_photo[:, :2])))
    return float(camera.focal / camera.distance) * magnified * _to_crop(photo)[0]


def _inside(photo: FittingPhoto) -> np.ndarray:
    """1 where a pixel of the crop lies in the photo."""
    grid = np.arange(len(photo.crop)) + 0.5
    (scale, _, left), (_, _, top) = photo.crop_to_photo
    height, width = photo.size
    x, y = left + scale * grid, top + scale * grid
    return np.outer((y > 0) & (y < height), (x > 0) & (x < width)).astype(np.float32)


def layout_of(
    fitting: FittingModel,
    photos: Sequence[FittingPhoto],
    config: FitConfig,
    free_form: bool = False,
    same_expression: bool = False,
    focal_mm: float | None = None,
) -> Layout:
    """Number the unknowns of a head in these photos.

    Args:
      fitting: the head's model.
      photos: of one person.
      config: says what is known of focal lengths.
      free_form: the head may leave its model.
      same_expression: in all photos.
      focal_mm: the photos' focal length, as of 35 mm film, where it is known for sure.
    """
    number = padded_number(len(photos))
    keys = {key: place for place, key in enumerate(dict.fromkeys(photo.camera.key for photo in photos))}
    cameras = pad([keys[photo.camera.key] for photo in photos], number).astype(int)
    given = [focal_of_film(focal_mm, photo.size) if focal_mm else None for photo in photos]
    means = [math.log(focal or photo.camera.focal or config.focal) for focal, photo in zip(given, photos)]
    deviations = [
        SURE if focal else config.exif_deviation if photo.camera.focal else config.focal_deviation
        for focal, photo in zip(given, photos)
    ]
    frozen = 0 if free_form else fitting.free_form_modes
    return make_layout(
        fitting.model, cameras, pad(means, number), pad(deviations, number), same_expression, frozen
    )


def first_head(model: MorphableModel, photos: Sequence[FittingPhoto], layout: Layout) -> Head:
    """The mean head, posed as the landmarks of each photo say."""
    identities, expressions, _ = model.dimensions
    number = padded_number(len(photos))
    rotations, translations = zip(
        *[_first_pose(photo, math.exp(mean)) for photo, mean in zip(photos, layout.focal_mean)]
    )
    return Head(
        identity=jnp.zeros(identities),
        expression=jnp.zeros((number, expressions)),
        rotation=jnp.asarray(pad(rotations, number)),
        translation=jnp.asarray(pad(translations, number)),
        log_focal=jnp.asarray(layout.focal_mean, jnp.float32),
    )


def _first_pose(photo: FittingPhoto, focal: float) -> tuple[np.ndarray, np.ndarray]:
    """Where a camera of that focal length, in longer sides, has the head that the guess sees."""
    turn, camera = photo.pose.to_photo, face_camera(len(photo.crop))
    scale = math.sqrt(abs(np.linalg.det(turn[:, :2])))
    focal_px = focal * max(photo.size)
    depth = camera.distance * focal_px / (camera.focal * scale)
    x, y = turn[:, :2] @ camera.principal_point + turn[:, 2]
    height, width = photo.size
    roll = math.atan2(turn[1, 0], turn[0, 0])  # clockwise in the photo
    rotation = Rotation.from_euler("xyz", [0, photo.pose.yaw, -roll]).as_matrix()
    towards = np.array([(x - width / 2) / focal_px, -(y - height / 2) / focal_px, -1])
    return rotation, float(depth) * towards


def pose_unknowns(layout: Layout, photos: int) -> Bool[np.ndarray, "unknowns"]:
    """Which unknowns are the poses of the first so many photos."""
    free = np.zeros(layout.size, bool)
    free[layout.places[:photos, -POSE - 1 : -1]] = True
    return free


def fit_points(
    fitting: FittingModel,
    head: Head,
    layout: Layout,
    points: PhotoPoints,
    config: FitConfig,
    rounds: int,
    free: Bool[np.ndarray, "unknowns"] | None = None,
    tell: Callable[[float], None] = lambda cost: None,
) -> Head:
    """Fit a head to points; of its unknowns those that are `free`, or all."""

    arrays = _arrays(layout)

    def linearise(head: Head) -> tuple[System, Head]:
        return _freeze(_point_system(fitting.places, head, points, arrays, config), free), head

    def try_step(head: Head, step: np.ndarray) -> tuple[float, Head]:
        moved = move_head(head, layout, step)
        return float(_point_system(fitting.places, moved, points, arrays, config).cost), moved

    return minimise(linearise, try_step, head, rounds, tell)


def fit_colours(
    fitting: FittingModel,
    fit: Fit,
    layout: Layout,
    points: PhotoPoints,
    colours: PhotoColours,
    config: FitConfig,
    rounds: int,
    tell: Callable[[float], None] = lambda cost: None,
) -> Fit:
    """Fit a head to points and colours."""
    arrays = _arrays(layout)

    def linearise(fit: Fit) -> tuple[System, Fit]:
        system, look = _settled_system(fitting, fit.head, fit.look.albedo, points, colours, arrays, config)
        return _freeze(system, None), Fit(fit.head, look)

    def try_step(fit: Fit, step: np.ndarray) -> tuple[float, Fit]:
        moved = Fit(move_head(fit.head, layout, step), fit.look)
        return float(_whole_cost(fitting, moved, points, colours, arrays, config)), moved

    return minimise(linearise, try_step, fit, rounds, tell)


@functools.partial(jax.jit, static_argnames="config")
def settle(
    fitting: FittingModel,
    head: Head,
    albedo: Float[Array, "albedo"],
    colours: PhotoColours,
    config: FitConfig,
) -> tuple[Look, Seen]:
    """Light, albedo and weights of the colours that a head is seen in, and these colours."""
    model, samples = fitting.model, fitting.samples
    weight = weigh_samples(model, samples, head, colours, config)
    seen = look_at_samples(model, samples, head, colours)
    return settle_look(albedo, weight, seen, samples, config), seen


def _arrays(layout: Layout) -> Layout:
    """The layout as arrays that compiled code takes."""
    return Layout(*(np.asarray(leaf, np.int32 if leaf.dtype.kind == "i" else np.float32) for leaf in layout))


def _freeze(system: System, free: Bool[np.ndarray, "unknowns"] | None) -> System:
    """The system in which all but the free unknowns stay where they are."""
    cost, gradient, hessian = (np.asarray(part, np.float64) for part in system)
    if free is not None:
        gradient = np.where(free, gradient, 0)
        hessian = np.where(np.outer(free, free), hessian, 0) + np.diag(np.where(free, 0.0, 1.0))
    return System(float(cost), gradient, hessian)


@functools.partial(jax.jit, static_argnames="config")
def _point_system(
    places: PointPlaces, head: Head, points: PhotoPoints, layout: Layout, config: FitConfig
) -> System:
    normal = point_normal(places, head, points, config)
    gradient, hessian = scatter_normal(normal.gradient, normal.hessian, layout.places, layout.size)
    cost, by_prior, precision = prior_system(head, layout)
    return System(normal.cost.sum() + cost, gradient + by_prior, hessian + jnp.diag(precision))


@functools.partial(jax.jit, static_argnames="config")
def _settled_system(
    fitting: FittingModel,
    head: Head,
    albedo: Float[Array, "albedo"],
    points: PhotoPoints,
    colours: PhotoColours,
    layout: Layout,
    config: FitConfig,
) -> tuple[System, Look]:
    look, seen = settle(fitting, head, albedo, colours, config)
    by_points = _point_system(fitting.places, head, points, layout, config)
    cost = colour_cost(fitting.samples, seen, look)
    by_colours = colour_normal(fitting.samples, seen, look, layout.places, layout.size)
    return jax.tree.map(jnp.add, by_points, System(cost, *by_colours)), look


@functools.partial(jax.jit, static_argnames="config")
def _whole_cost(
    fitting: FittingModel,
    fit: Fit,
    points: PhotoPoints,
    colours: PhotoColours,
    layout: Layout,
    config: FitConfig,
) -> Float[Array, ""]:
    by_points = _point_system(fitting.places, fit.head, points, layout, config).cost
    seen = look_at_samples(fitting.model, fitting.samples, fit.head, colours)
    return by_points + colour_cost(fitting.samples, seen, fit.look)
