"""Measure where MediaPipe's points lie on a head model: on rendered heads, whose surface is known.

The detector has habits of its own: points of cheeks and jaw slide with the yaw, brows lie higher than an
artist puts them. One table for all views makes a fit worse than the mean face; a table for each yaw does not.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

from dfmvr_jax.closest_points import closest_points, import_open3d
from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.conventions import HEAD_PARTS, UNIT_MM
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel, face_albedo
from dfmvr_jax.face_model.sampling import sample_coefficients
from dfmvr_jax.face_rendering import light_face, place_face
from dfmvr_jax.fitting.point_table import YAWS, PointTable
from dfmvr_jax.lights import sample_light
from dfmvr_jax.photos.detection import Detector
from dfmvr_jax.photos.faces import by_size
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.render import render_mesh
from dfmvr_jax.render.array_types import Array, Float, Int
from dfmvr_jax.render.camera import Camera

POINTS = 468
SIZE = 384  # side of the rendered photos, pixels
DISTANCE = (4.0, 15.0)  # of the camera, model units
FACE_SHARE = 0.17  # of the photo's side that a unit of the model takes
PITCH, ROLL = 0.15, 0.1  # standard deviations, radians
LEAST_FOUND = 0.33  # share of the heads on which a point must lie on the face to be used
OUTLIER = 3.0  # medians; what lies farther from the others does not count
SMALLEST_MM = 0.6  # deviation: a pixel of the photos
MEDIAN_OF_RADIUS = 1.177  # of a normal distribution in the plane, standard deviations
# fmt: off
UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291,
             78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP = (146, 91, 181, 84, 17, 314, 405, 321, 375,
             95, 88, 178, 87, 14, 317, 402, 318, 324)
# fmt: on


def calibrate(model: MorphableModel, detector: Detector, heads: int = 24, seed: int = 0) -> PointTable:
    """Measure the table of a model on random heads of its own, seen from every yaw of `YAWS`.

    A progress bar is shown. Raises `InputError` where Open3D is missing, or the detector finds hardly a face.
    """
    import_open3d()  # it is needed at the end
    rng = np.random.default_rng(seed)
    draw = jax.jit(functools.partial(_render, model))
    triangles = np.asarray(model.triangles)
    places = np.full((len(YAWS), heads, POINTS, 3), np.nan)
    seen = np.zeros(len(triangles), bool)
    subjects = [sample_coefficients(rng, model) for _ in range(heads)]
    views = [(bin, head) for bin in range(len(YAWS)) for head in range(heads)]
    for bin, head in track(views, f"measuring the points on {model.name}"):
        yaw, (identity, expression, albedo) = YAWS[bin], subjects[head]
        distance = rng.uniform(*DISTANCE)
        coefficients = Coefficients(
            identity=jnp.asarray(identity),
            expression=jnp.asarray(expression),
            albedo=jnp.asarray(albedo),
            light=jnp.asarray(sample_light(rng, float(face_albedo(model, jnp.asarray(albedo)).mean()))),
            rotation=jnp.array([[rng.normal(0, PITCH), yaw + rng.normal(0, 0.08), rng.normal(0, ROLL)]]),
            translation=jnp.zeros((1, 3)),
        )
        image, ids, barycentrics = map(np.asarray, draw(coefficients, distance))
        background = rng.uniform(0, 1, 3)
        photo = to_uint8(np.where(ids[..., None] >= 0, image, background))
        seen[np.unique(ids[ids >= 0])] = True
        faces = by_size(detector(photo))
        if faces and faces[0].mesh is not None:
            places[bin, head] = _places(model, faces[0].mesh, ids, barycentrics)
    found = np.isfinite(places[len(YAWS) // 2]).any(axis=(1, 2)).mean()
    if found < LEAST_FOUND:
        raise InputError(
            f"{model.name}: the detector finds a face in {found:.0%} of rendered heads of this model, seen "
            "from the front; do its sheets look like people (python -m dfmvr_jax.commands.contact_sheet)?"
        )
    return _summarise(model, places, seen)


def _render(model: MorphableModel, coefficients: Coefficients, distance: Float[Array, ""]):
    """Image, triangle ids and barycentrics of a head from that distance."""
    focal = FACE_SHARE * SIZE * distance
    camera = Camera(focal, (SIZE / 2, SIZE / 2), distance, (SIZE, SIZE))
    face = place_face(model, coefficients)
    colors = light_face(model, face, coefficients)
    rendered = render_mesh(camera, face.posed[0], colors[0], model.triangles)
    return rendered.image, rendered.fragments.triangle_ids, rendered.fragments.barycentrics


def _places(
    model: MorphableModel,
    points: Float[np.ndarray, "points 2"],
    ids: Int[np.ndarray, "size size"],
    barycentrics: Float[np.ndarray, "size size 3"],
) -> Float[np.ndarray, "points 3"]:
    """Where each point lies on the mean face, model units; NaN where it lies beside the head.

    Points of a lip that fall onto the other or into the mouth count as beside it.
    """
    column, row = np.floor(points).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < SIZE) & (row < SIZE)
    column, row = column.clip(0, SIZE - 1), row.clip(0, SIZE - 1)
    hit = np.where(inside, ids[row, column], -1)
    corners = np.asarray(model.triangles)[hit]
    parts = np.asarray(model.part_labels)[corners]
    there = hit >= 0
    for lip, name in ((UPPER_LIP, "upper lip"), (LOWER_LIP, "lower lip")):
        others = [HEAD_PARTS.index(part) for part in ("upper lip", "lower lip", "mouth", "teeth")]
        others.remove(HEAD_PARTS.index(name))
        there[list(lip)] &= ~np.isin(parts[list(lip)], others).any(axis=1)
    places = np.einsum("pk,pkd->pd", barycentrics[row, column], np.asarray(model.mean_shape)[corners])
    return np.where(there[:, None], places, np.nan)


def _summarise(
    model: MorphableModel, places: Float[np.ndarray, "yaws heads points 3"], seen: np.ndarray
) -> PointTable:
    """The middle of each point's places, moved to the surface, and how far they scatter."""
    found = np.isfinite(places[..., 0])
    enough = found.mean(axis=1) >= LEAST_FOUND
    places = np.where(enough[:, None, :, None], places, 0.0)
    middle = np.nanmedian(places, axis=1)
    distance = np.linalg.norm(places - middle[:, None], axis=-1)
    radius = np.nanmedian(distance, axis=1)
    near = distance <= OUTLIER * radius[:, None]
    middle = np.nanmean(np.where(near[..., None], places, np.nan), axis=1)
    surface = np.asarray(model.triangles)[seen]
    nearest = closest_points(np.asarray(model.mean_shape, float), surface, middle.reshape(-1, 3))
    shape = middle.shape
    deviation = np.maximum(UNIT_MM * radius / MEDIAN_OF_RADIUS, SMALLEST_MM)
    return PointTable(
        corners=surface[nearest.triangle_ids].reshape(shape),
        barycentrics=nearest.barycentrics.reshape(shape),
        deviation_mm=np.where(enough, deviation, np.inf),
    )
