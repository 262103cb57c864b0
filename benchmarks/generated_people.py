"""People made of a head model, and photos of them by cameras like those of phones, with all that is true.

python -m benchmarks.generated_people --out photos
"""

import dataclasses
import functools
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks.arguments import make_parser, positive
from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.command_line import run
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel, face_albedo
from dfmvr_jax.face_model.sampling import sample_coefficients
from dfmvr_jax.face_rendering import light_face, place_face
from dfmvr_jax.lights import sample_light
from dfmvr_jax.pictures import halve, write_picture
from dfmvr_jax.render import render_mesh
from dfmvr_jax.render.array_types import Float, Int, UInt8
from dfmvr_jax.render.camera import Camera

YAWS = {  # degrees, by the number of photos
    1: (0.0,),
    3: (-35.0, 0.0, 35.0),
    8: (-50.0, -35.0, -20.0, -7.0, 7.0, 20.0, 35.0, 50.0),
}


@dataclasses.dataclass(frozen=True)
class Shooting:
    """How the photos of a person are taken."""

    yaws: tuple[float, ...] = YAWS[3]  # of the head, degrees
    size: int = 640  # side of the photos, pixels
    focal: tuple[float, float] = (1.5, 3.5)  # in sides of the photo; one for all photos
    head_share: tuple[float, float] = (0.2, 0.26)  # of the side that a unit of the model takes
    expressions: bool = True  # a person has one, the same in all photos
    smile_in: int | None = None  # the photo with another expression
    noise: float = 0.01
    same_light: bool = False
    side_light: bool = False  # strong and from the side
    grey: bool = False


class GeneratedPerson(NamedTuple):
    """Photos and the truth about them."""

    photos: list[UInt8[np.ndarray, "size size 3"]]
    neutral: Float[np.ndarray, "vertices 3"]  # model units
    photographed: Float[np.ndarray, "photos vertices 3"]
    focal: float  # in sides of the photos
    landmarks: Int[np.ndarray, "68"]  # vertices of iBUG's 68
    coefficients: Coefficients  # one expression, light and pose for each photo; the camera in the origin


@functools.partial(jax.jit, static_argnames="size")
def _render(model: MorphableModel, coefficients: Coefficients, focal, distance, size: int):
    camera = Camera(2 * focal, (float(size), float(size)), distance, (2 * size, 2 * size), far=200.0)
    face = place_face(model, coefficients)
    colors = light_face(model, face, coefficients)
    rendered = render_mesh(camera, face.posed[0], colors[0], model.triangles)
    return halve(rendered.image[None])[0], halve(rendered.coverage[None, ..., None])[0], face.vertices


def generate_person(model: MorphableModel, seed: int, shooting: Shooting = Shooting()) -> GeneratedPerson:  # noqa: B008
    """Photograph a random person of a model; the same seed gives the same person and photos."""
    rng = np.random.default_rng([seed, 17])
    identity, expression, albedo = sample_coefficients(rng, model)
    other = sample_coefficients(rng, model)[1]
    if not shooting.expressions:
        expression = np.zeros_like(expression)
    tone = float(face_albedo(model, jnp.asarray(albedo)).mean())
    focal = rng.uniform(*shooting.focal)
    light = sample_light(rng, tone)
    photos, shapes, seen, size = [], [], [], shooting.size
    for number, yaw in enumerate(shooting.yaws):
        share = rng.uniform(*shooting.head_share)
        distance = focal / share
        if not shooting.same_light:
            light = sample_light(rng, tone)
        if shooting.side_light:
            light = light.copy()
            light[:, 3] -= np.sign(rng.uniform(-1, 1)) * 0.35
        shift = rng.normal(0, 0.12, 2)
        pose = np.radians([rng.normal(0, 5), yaw + rng.normal(0, 3), rng.normal(0, 5)])
        coefficients = Coefficients(
            identity=jnp.asarray(identity),
            expression=jnp.asarray(other if number == shooting.smile_in else expression),
            albedo=jnp.asarray(albedo),
            light=jnp.asarray(light),
            rotation=jnp.asarray(pose, jnp.float32)[None],
            translation=jnp.asarray([[*shift, 0.0]], jnp.float32),
        )
        image, coverage, vertices = _render(model, coefficients, focal * size, distance, size)
        seen.append(coefficients._replace(translation=jnp.array([[*shift, -distance]])))
        background = np.asarray(
            Image.fromarray(np.uint8(255 * rng.random((5, 5, 3)))).resize((size, size), Image.BICUBIC)
        )
        photo = np.clip(image, 0, 1) + (1 - np.asarray(coverage)) * background / 255
        photo = photo + rng.normal(0, shooting.noise, photo.shape)
        if shooting.grey:
            photo = np.repeat(photo.mean(axis=-1, keepdims=True), 3, axis=-1)
        photos.append(np.round(255 * np.clip(photo, 0, 1)).astype(np.uint8))
        shapes.append(np.asarray(vertices))
    neutral = np.asarray(model.mean_shape) + np.asarray(model.identity_basis) @ identity
    truth = Coefficients(
        identity=identity,
        expression=np.stack([one.expression for one in seen]),
        albedo=albedo,
        light=np.stack([one.light for one in seen]),
        rotation=np.concatenate([one.rotation for one in seen]),
        translation=np.concatenate([one.translation for one in seen]),
    )
    return GeneratedPerson(photos, neutral, np.stack(shapes), focal, np.asarray(model.landmarks), truth)


def main() -> None:
    parser = make_parser("Photos of a generated person, to try fits on.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the photos")
    parser.add_argument("--face-model", default="builtin", help="whose random person it is")
    parser.add_argument("--person", type=int, default=7, help="number of the person")
    parser.add_argument("--photos", type=int, choices=sorted(YAWS), default=3, help="how many")
    parser.add_argument("--size", type=positive, default=1000, help="side of the photos, pixels")
    flags = parser.parse_args()
    shooting = Shooting(yaws=YAWS[flags.photos], size=flags.size)
    person = generate_person(load_face_model(flags.face_model), flags.person, shooting)
    for number, photo in enumerate(person.photos, 1):
        flags.out.mkdir(parents=True, exist_ok=True)
        write_picture(flags.out / f"photo_{number}.jpg", photo)


if __name__ == "__main__":
    run(main)
