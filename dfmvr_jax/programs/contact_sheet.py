"""A picture of a face model: what `commands.contact_sheet` draws."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.conventions import HEAD_PARTS, VIEWS
from dfmvr_jax.face_camera import face_cameras
from dfmvr_jax.face_model.full_expressions import full_expressions
from dfmvr_jax.face_model.loading import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.sampling import sample_coefficients
from dfmvr_jax.face_rendering import Rendering, render_coefficients
from dfmvr_jax.files import check_writable
from dfmvr_jax.pictures import (
    PART_COLORS,
    caption_height,
    check_picture_name,
    draw_landmarks,
    halve,
    legend,
    tile,
    to_uint8,
    write_picture,
)
from dfmvr_jax.render import Camera, Shine, mesh_edges, project
from dfmvr_jax.turntable import turn_whole_head

SHAPES_YAW = 0.35  # radians
# model units beyond the usual distance, and upwards: the crown is seen
SHAPES_DISTANCE, SHAPES_SINK = 2.0, -0.25
YAW = (-0.7, 0.0, 0.7)  # radians, of the left, front and right view
LIGHT = (-0.13, -0.12, 0.26, -0.07, 0.0, 0.0, 0.02, 0.0, 0.0)  # white, from the front and a little from above


def write_sheet(
    out: Path, face_model: str, subjects: int, shapes: bool, shine: float, size: int, columns: int, seed: int
) -> None:
    """Draw the sheet of a face model. Raises `InputError` where the model or the file is not to be had."""
    check_picture_name(out)
    check_writable(out.parent)  # now, not when all is drawn
    model = load_face_model(face_model)
    if shapes:
        write_picture(out, draw_shapes(model, shine, size, columns))
    else:
        write_picture(out, draw_sheet(model, subjects, shine, size, columns, seed))


def draw_sheet(
    model: MorphableModel, subjects: int, shine: float, size: int, columns: int, seed: int
) -> np.ndarray:
    """The sheet as uint8 [height, width, 3]: the mean, so many random subjects, the marks, in `columns`."""
    cameras = face_cameras(len(VIEWS), 2 * size)
    draw = _drawing(model, cameras, shine)
    neutral = _neutral(model)
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


def draw_shapes(model: MorphableModel, shine: float, size: int, columns: int) -> np.ndarray:
    """The mean face and each of its expressions in full, half turned, as uint8 [height, width, 3].

    Of the built-in head these are ARKit's blendshapes, of others the model's own.
    """
    neutral = _neutral(model)
    half_turned = neutral._replace(
        rotation=jnp.array([[0.0, SHAPES_YAW, 0.0]]),
        translation=jnp.array([[0.0, SHAPES_SINK, -SHAPES_DISTANCE]]),
    )
    draw = _drawing(model, face_cameras(1, 2 * size), shine)
    cells, names = [], []
    shapes = {"neutral": neutral.expression, **_shapes(model)}
    for name, expression in track(shapes.items(), "expressions"):
        picture = _views(draw(half_turned._replace(expression=jnp.asarray(expression, jnp.float32))))
        cells.append(np.pad(picture, [(caption_height(size), 0), (0, 0), (0, 0)], constant_values=255))
        names.append(name)
    rows = [cells[k : k + columns] for k in range(0, len(cells), columns)]
    return tile(rows, captions=[names[k : k + columns] for k in range(0, len(names), columns)])


def _shapes(model: MorphableModel) -> dict[str, np.ndarray]:
    """Expression coefficients of each shape by its name."""
    shapes = full_expressions(model)
    if {"mouthClose", "jawOpen"} <= shapes.keys():  # which closes the mouth of an open jaw
        shapes["mouthClose"] = shapes["mouthClose"] + shapes["jawOpen"]
    return shapes


def _neutral(model: MorphableModel) -> Coefficients:
    """The mean face from three sides, as far away as it takes to see all of it."""
    identities, expressions, albedos = model.dimensions
    return Coefficients(
        identity=jnp.zeros(identities),
        expression=jnp.zeros(expressions),
        albedo=jnp.zeros(albedos),
        light=jnp.tile(jnp.array(LIGHT), (3, 1)),
        **turn_whole_head(model, YAW)._asdict(),
    )


def _drawing(model: MorphableModel, cameras: Camera, shine: float) -> Callable[[Coefficients], Rendering]:
    """What draws faces with smooth outlines."""
    edges = mesh_edges(model.triangles)
    return jax.jit(lambda face: render_coefficients(model, cameras, face, Shine(shine), edges)[1])


def _views(rendering: Rendering) -> np.ndarray:
    """The views side by side on white, at half the size they were drawn in: softer still."""
    images = (rendering.images + 1 - rendering.coverage[..., None]).clip(0, 1)
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
    row = np.concatenate(marked, axis=1)
    return np.concatenate([row, legend(HEAD_PARTS[1:], PART_COLORS[1:], row.shape[1])])
