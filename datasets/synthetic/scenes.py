"""Random subjects, lights and head poses, and the photos and exact labels they give."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.conventions import PARSED_AS, VIEWS
from dfmvr_jax.datasets.synthetic.backgrounds import add_head, sample_background
from dfmvr_jax.face_camera import face_camera, face_cameras, for_each_view
from dfmvr_jax.face_model.morphable_model import MorphableModel, face_albedo, face_shape
from dfmvr_jax.face_model.sampling import sample_coefficients
from dfmvr_jax.face_rendering import landmark_pixels, render_coefficients
from dfmvr_jax.geometry import move
from dfmvr_jax.lights import sample_light
from dfmvr_jax.pictures import halve
from dfmvr_jax.render.array_types import Array, Float, Int, UInt8
from dfmvr_jax.render.camera import Camera, clip_positions, project
from dfmvr_jax.render.rasterize import rasterize

YAW_DEGREES = ((-50, -20), (-10, 10), (20, 50))  # smallest and largest, per view
PITCH_DEGREES, ROLL_DEGREES = 10, 8  # largest, either way
SHIFT = 0.05  # standard deviation of the face's place in the crop, model units (5 px at 224 px)
DEPTH_SHIFT = 0.3  # standard deviation, model units (3 % of the face's size)
MARGIN = 0.03  # part of the image's side that landmarks keep from its edge
HEAD_PROBABILITY = 0.6  # of hair, neck and shoulders behind the face


class Scene(NamedTuple):
    """One subject as the cameras see it. Conventions: docs/conventions.md."""

    coefficients: Coefficients
    vertices: Float[Array, "vertices 3"]  # model space, model units
    faces: Float[Array, "views size size 3"]  # antialiased, premultiplied by the coverage
    coverage: Float[Array, "views size size"]  # share of the pixel that shows the face
    labels: Int[Array, "views size size"]  # parts at the pixel centres
    landmarks: Float[Array, "views 68 2"]  # pixels
    landmarks_3d: Float[Array, "points 3"]  # model space, model units


def sample_subject(rng: np.random.Generator, model: MorphableModel) -> Coefficients:
    """A random face under random light, its head turned as `YAW_DEGREES` etc. say and shifted a little."""
    identity, expression, albedo = (np.float32(c) for c in sample_coefficients(rng, model))
    low, high = np.array(YAW_DEGREES, float).T
    yaw, pitch, roll = rng.uniform(low, high), *rng.uniform(-1, 1, (2, 3)) * [[PITCH_DEGREES], [ROLL_DEGREES]]
    rotation = np.radians(np.stack([pitch, yaw, roll], axis=-1))
    translation = rng.normal(0, [SHIFT, SHIFT, DEPTH_SHIFT], (3, 3))
    light = sample_light(rng, float(face_albedo(model, jnp.asarray(albedo)).mean()))
    return Coefficients(identity, expression, albedo, light, np.float32(rotation), np.float32(translation))


@functools.partial(jax.jit, static_argnames="image_size")
def render_scene(model: MorphableModel, coefficients: Coefficients, image_size: int) -> Scene:
    """The subject, shifted where landmarks would leave the image.

    Faces are rendered at twice the size and averaged down, so that outlines are soft.
    """
    camera = face_camera(image_size)
    coefficients = _keep_in_image(model, camera, coefficients)
    twice = face_cameras(len(VIEWS), 2 * image_size)
    face, rendering = render_coefficients(model, twice, coefficients)
    fragments = jax.vmap(
        lambda posed: rasterize(clip_positions(camera, posed), model.triangles, camera.image_size)
    )(face.posed)
    nearest_corner = jnp.argmax(fragments.barycentrics, axis=-1)
    vertices = model.triangles[fragments.triangle_ids, nearest_corner]
    return Scene(
        coefficients=coefficients,
        vertices=face.vertices,
        faces=halve(rendering.images),
        coverage=halve(rendering.masks[..., None].astype(jnp.float32))[..., 0],
        labels=jnp.where(fragments.mask, jnp.array(PARSED_AS)[model.part_labels[vertices]], 0),
        landmarks=landmark_pixels(model, for_each_view(camera, len(VIEWS)), face.posed),
        landmarks_3d=face.vertices[model.landmarks_3d],
    )


def photograph(rng: np.random.Generator, scene: Scene) -> UInt8[np.ndarray, "views size size 3"]:
    """The faces in front of random backgrounds, with sensor noise."""
    faces, coverage = np.clip(scene.faces, 0, 1), np.asarray(scene.coverage)
    size = faces.shape[1]
    backgrounds = np.stack([sample_background(rng, size) for _ in faces])
    if rng.random() < HEAD_PROBABILITY:
        backgrounds = add_head(rng, backgrounds, coverage > 0.5, skin=faces[coverage == 1].mean(axis=0))
    photos = faces + (1 - coverage[..., None]) * backgrounds
    photos += rng.normal(0, rng.uniform(0, 0.015), photos.shape)
    return np.round(255 * np.clip(photos, 0, 1)).astype(np.uint8)


def _keep_in_image(model: MorphableModel, camera: Camera, coefficients: Coefficients) -> Coefficients:
    points = face_shape(model, coefficients.identity, coefficients.expression)[model.landmarks]

    def keep_view(rotation, translation):
        pixels = project(camera, move(points, rotation, translation))
        margin, size = MARGIN * camera.image_size[0], camera.image_size[0]
        missing = jnp.maximum(margin - pixels.min(axis=0), 0)
        missing -= jnp.maximum(pixels.max(axis=0) - (size - margin), 0)
        units_per_pixel = (camera.distance - translation[2]) / camera.focal
        return translation + units_per_pixel * jnp.array([missing[0], -missing[1], 0])

    return coefficients._replace(
        translation=jax.vmap(keep_view)(coefficients.rotation, coefficients.translation)
    )
