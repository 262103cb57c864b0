"""A picture of a face model: what `commands.contact_sheet` draws."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.conventions import FACE_DISTANCE, VIEWS
from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_model.arkit import ARKIT
from dfmvr_jax.face_model.arkit_units import BLENDSHAPES, units_of_blendshape
from dfmvr_jax.face_model.expression_units import EXPRESSION_UNITS
from dfmvr_jax.face_model.loading import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.sampling import sample_coefficients
from dfmvr_jax.face_rendering import Rendering, render_coefficients
from dfmvr_jax.pictures import PART_COLORS, draw_landmarks, halve, tile, to_uint8, write_picture
from dfmvr_jax.render import Camera, project

SHAPES_YAW, SHAPES_DISTANCE = 0.35, 1.0  # radians; model units beyond the usual distance
ROOM = 1.04  # around the head
HALF_ANGLE = np.arctan(112 / 1015)  # of view of the face camera
YAW = (-0.7, 0.0, 0.7)  # radians, of the left, front and right view
LIGHT = (-0.13, -0.12, 0.26, -0.07, 0.0, 0.0, 0.02, 0.0, 0.0)  # white, from the front and a little from above


def write_sheet(
    out: Path, face_model: str, subjects: int, shapes: bool, size: int, columns: int, seed: int
) -> None:
    """Draw the sheet of a face model. Raises `InputError` where the model or the file is not to be had."""
    model = load_face_model(face_model)
    if shapes:
        write_picture(out, draw_shapes(model, size, columns))
    else:
        write_picture(out, draw_sheet(model, subjects, size, columns, seed))


def draw_sheet(model: MorphableModel, subjects: int, size: int, columns: int, seed: int) -> np.ndarray:
    """The sheet as uint8 [height, width, 3]: the mean, so many random subjects, the marks, in `columns`."""
    # drawn at twice the size and averaged: soft outlines
    cameras = face_cameras(len(VIEWS), 2 * size)
    neutral = _neutral(model)
    draw = jax.jit(lambda coefficients: render_coefficients(model, cameras, coefficients)[1])
    rng = np.random.default_rng(seed)
    cells = [_views(draw(neutral))]
    for index in track(range(subjects), "subjects"):
        identity, expression, albedo = sample_coefficients(rng, model)
        subject = neutral._replace(
            identity=jnp.asarray(identity),
            expression=jnp.asarray(expression * (index % 2)),
            albedo=jnp.asarray(albedo),
        )
        cells.append(_views(draw(subject)))
    cells.append(_marks(model, neutral, cameras))
    rows = [cells[k : k + columns] for k in range(0, len(cells), columns)]
    return tile(rows)


def draw_shapes(model: MorphableModel, size: int, columns: int) -> np.ndarray:
    """The mean face and each of its expressions in full, half turned, as uint8 [height, width, 3].

    Of the built-in head these are ARKit's blendshapes, of others the model's own.
    """
    neutral = _neutral(model)
    half_turned = neutral._replace(
        rotation=jnp.array([[0.0, SHAPES_YAW, 0.0]]), translation=jnp.array([[0.0, 0.0, -SHAPES_DISTANCE]])
    )
    cameras = face_cameras(1, 2 * size)
    draw = jax.jit(lambda coefficients: render_coefficients(model, cameras, coefficients)[1])
    cells, names = [], []
    shapes = {"neutral": neutral.expression, **_shapes(model)}
    for name, expression in track(shapes.items(), "expressions"):
        cells.append(_views(draw(half_turned._replace(expression=jnp.asarray(expression, jnp.float32)))))
        names.append(name)
    rows = [cells[k : k + columns] for k in range(0, len(cells), columns)]
    return tile(rows, captions=[names[k : k + columns] for k in range(0, len(names), columns)])


def _shapes(model: MorphableModel) -> dict[str, np.ndarray]:
    """Expression coefficients of each shape by its name."""
    if model.expression_names == EXPRESSION_UNITS:
        return {name: units_of_blendshape(name) for name in ARKIT if name in BLENDSHAPES}
    count = model.dimensions[1]
    names = model.expression_names or tuple(f"{number}" for number in range(count))
    prior = model.expression_prior
    full = np.full(count, 2.0)  # standard deviations, where there is no end to it
    if prior is not None:
        full = np.where(np.isfinite(prior.highest), prior.highest, full * np.asarray(prior.scale))
    shapes = dict(zip(names, np.diag(full)))
    if {"mouthClose", "jawOpen"} <= shapes.keys():  # which closes the mouth of an open jaw
        shapes["mouthClose"] = shapes["mouthClose"] + shapes["jawOpen"]
    return shapes


def _neutral(model: MorphableModel) -> Coefficients:
    """The mean face from three sides, as far away as it takes to see all of it."""
    identities, expressions, albedos = model.dimensions
    low, high = np.asarray(model.mean_shape).min(axis=0), np.asarray(model.mean_shape).max(axis=0)
    depth = ROOM * max(high[1] - low[1], high[2] - low[2]) / 2 / np.tan(HALF_ANGLE)
    away = max(0.0, depth - FACE_DISTANCE)
    middle = (low + high) / 2 * (away > 0)
    return Coefficients(
        identity=jnp.zeros(identities),
        expression=jnp.zeros(expressions),
        albedo=jnp.zeros(albedos),
        light=jnp.tile(jnp.array(LIGHT), (3, 1)),
        rotation=jnp.array([[0.0, yaw, 0.0] for yaw in YAW]),
        translation=jnp.array([[-np.sin(yaw) * middle[2], -middle[1], -away] for yaw in YAW], jnp.float32),
    )


def _views(rendering: Rendering) -> np.ndarray:
    """The three views side by side on white, at half the size they were drawn in."""
    images = jnp.where(rendering.masks[..., None], rendering.images, 1.0).clip(0, 1)
    return to_uint8(np.concatenate(np.asarray(halve(images)), axis=1))


def _marks(model: MorphableModel, neutral: Coefficients, cameras: Camera) -> np.ndarray:
    """The mean face in the colours of its parts, the 68 landmarks in black and the 33 others in white."""
    painted = dataclasses.replace(
        model, mean_albedo=jnp.asarray(PART_COLORS[np.asarray(model.part_labels)] / 255, jnp.float32)
    )
    face, rendering = render_coefficients(painted, cameras, neutral)
    views = np.split(_views(rendering), len(VIEWS), axis=1)
    points = np.asarray(jax.vmap(project)(cameras, face.posed[:, model.landmarks_3d])) / 2
    marked = [
        draw_landmarks(draw_landmarks(view, xy[68:], (255, 255, 255)), xy[:68], (0, 0, 0))
        for view, xy in zip(views, points)
    ]
    return np.concatenate(marked, axis=1)
