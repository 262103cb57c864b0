"""Points of photos against a head: their cost and its normal equations (Wood et al. 2022)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.conventions import UNIT_MM
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.fitting.config import FitConfig
from dfmvr_jax.fitting.point_table import YAWS, PointTable
from dfmvr_jax.fitting.projection import project_points
from dfmvr_jax.fitting.unknowns import Head
from dfmvr_jax.render.array_types import Array, Float
from dfmvr_jax.render.precision import full_precision


class PointPlaces(NamedTuple):
    """Where the detector's points lie on a model's surface, and how they move: of a `PointTable`."""

    mean: Float[Array, "yaws points 3"]
    basis: Float[Array, "yaws points 3 shapes"]  # identity, then expression
    deviation: Float[Array, "yaws points"]  # model units; inf: not to be used


class PhotoPoints(NamedTuple):
    """The points of each photo and its camera, in pixels of any picture that shows the same."""

    pixels: Float[Array, "photos points 2"]
    weight: Float[Array, "photos points"]  # 0: not to be used
    centre: Float[Array, "photos 2"]  # principal point
    longer_side: Float[Array, "photos"]  # of the photo, the unit of focal lengths
    unit: Float[Array, "photos"]  # pixels that a unit of the model takes, roughly: in these, points scatter


class Normal(NamedTuple):
    """A cost, its gradient and Hessian by each photo's own unknowns."""

    cost: Float[Array, "photos"]
    gradient: Float[Array, "photos own"]
    hessian: Float[Array, "photos own own"]


def place_points(model: MorphableModel, table: PointTable) -> PointPlaces:
    """Look up the places of a table on a model."""
    basis = np.concatenate([np.asarray(model.identity_basis), np.asarray(model.expression_basis)], axis=-1)
    shares = table.barycentrics.astype(np.float32)
    return PointPlaces(
        mean=jnp.asarray(np.einsum("ypc,ypcd->ypd", shares, np.asarray(model.mean_shape)[table.corners])),
        basis=jnp.asarray(np.einsum("ypc,ypcdk->ypdk", shares, basis[table.corners])),
        deviation=jnp.asarray(table.deviation_mm / UNIT_MM, jnp.float32),
    )


def seen_yaw(rotation: Float[Array, "3 3"], translation: Float[Array, "3"]) -> Float[Array, ""]:
    """How far a head is turned for the camera in the origin, radians (docs/conventions.md)."""
    nose, camera = rotation[:, 2], -translation
    return jnp.arctan2(nose[0], nose[2]) - jnp.arctan2(camera[0], camera[2])


def at_yaw(places: PointPlaces, yaw: Float[Array, ""]) -> PointPlaces:
    """The places at a yaw, between those of the table; leaves lose their first axis."""
    steps = jnp.clip((yaw - YAWS[0]) / (YAWS[1] - YAWS[0]), 0, len(YAWS) - 1)
    low = jnp.minimum(steps.astype(int), len(YAWS) - 2)
    share = steps - low

    def between(leaf: Array) -> Array:
        return (1 - share) * leaf[low] + share * leaf[low + 1]

    deviation = jnp.where(jnp.isfinite(places.deviation), places.deviation, 1e6)
    return PointPlaces(between(places.mean), between(places.basis), between(deviation))


@jax.jit
@full_precision
def project_places(
    places: PointPlaces, head: Head, points: PhotoPoints
) -> tuple[
    Float[Array, "photos points 2"], Float[Array, "photos points 2 own"], Float[Array, "photos points"]
]:
    """Where a head's points are seen, the derivatives by each photo's unknowns, and deviations, pixels."""

    def in_photo(expression, rotation, translation, log_focal, centre, longer_side, unit):
        here = at_yaw(places, seen_yaw(rotation, translation))
        shape = here.mean + here.basis @ jnp.concatenate([head.identity, expression])
        focal = jnp.exp(log_focal) * longer_side
        pixels, derivative, _ = project_points(shape, here.basis, rotation, translation, focal, centre)
        return pixels, derivative, here.deviation * unit

    return jax.vmap(in_photo)(*head[1:], points.centre, points.longer_side, points.unit)


@full_precision
def point_normal(places: PointPlaces, head: Head, points: PhotoPoints, config: FitConfig) -> Normal:
    """Robust squares of the distances between a head's points and the photos', in their deviations."""
    pixels, derivative, deviation = project_places(places, head, points)
    residual = (pixels - points.pixels) / deviation[..., None]
    derivative = derivative / deviation[..., None, None]
    squared, bound = jnp.sum(residual**2, axis=-1), config.points_robust**2
    weight = points.weight / config.points_correlation**2
    cost = 0.5 * jnp.sum(weight * bound * jnp.log1p(squared / bound), axis=-1)
    rows = (weight / (1 + squared / bound))[..., None, None] * derivative
    return Normal(
        cost=cost,
        gradient=jnp.einsum("vpik,vpi->vk", rows, residual),
        hessian=jnp.einsum("vpik,vpil->vkl", rows, derivative),
    )
