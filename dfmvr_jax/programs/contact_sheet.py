"""A picture of a face model: what `commands.contact_sheet` draws."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_model.loading import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.sampling import sample_coefficients
from dfmvr_jax.face_rendering import Rendering, render_coefficients
from dfmvr_jax.pictures import PART_COLORS, draw_landmarks, halve, tile, to_uint8, write_picture
from dfmvr_jax.render import Camera, project

YAW = (-0.7, 0.0, 0.7)  # radians, of the left, front and right view
LIGHT = (-0.13, -0.12, 0.26, -0.07, 0.0, 0.0, 0.02, 0.0, 0.0)  # white, from the front and a little from above


def write_sheet(out: Path, face_model: str, subjects: int, size: int, columns: int, seed: int) -> None:
    """Draw the sheet of a face model. Raises `InputError` where the model or the file is not to be had."""
    sheet = draw_sheet(load_face_model(face_model), subjects, size, columns, seed)
    write_picture(out, sheet)


def draw_sheet(model: MorphableModel, subjects: int, size: int, columns: int, seed: int) -> np.ndarray:
    """The sheet as uint8 [height, width, 3]: the mean, so many random subjects, the marks, in `columns`."""
    # drawn at twice the size and averaged: soft outlines
    cameras = face_cameras(len(VIEWS), 2 * size)
    identities, expressions, albedos = model.dimensions
    neutral = Coefficients(
        identity=jnp.zeros(identities),
        expression=jnp.zeros(expressions),
        albedo=jnp.zeros(albedos),
        light=jnp.tile(jnp.array(LIGHT), (3, 1)),
        rotation=jnp.array([[0.0, yaw, 0.0] for yaw in YAW]),
        translation=jnp.zeros((len(VIEWS), 3)),
    )
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
