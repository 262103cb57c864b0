"""How like its photos a textured head looks, and how long its texture takes. Prints a table.

    python -m benchmarks.texture --people 3 --photos photos --out runs/texture

Generated people, and by --photos the real ones in folders of their own within a folder. Of each, the head is
rendered from each photo's camera, its albedo in the fitted light, and compared with the photo over the face
but for the eyeballs, which are the head model's, at 512 pixels at most: "colour" is the mean absolute
difference of colours in [0, 1], "ssim" the structural similarity (Wang et al. 2004), of the worst photo.
"step" is how much colours change over eight texels where two photos meet, by the same a little beside.
"unseen" is the share of the head's skin that no photo shows.
"seconds" is the time of the bake, the photos being of 12 megapixels, "cpu" that of all cores together; the
first bake of a process, which compiles, is not counted.
"""

import functools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks.arguments import make_parser, positive
from benchmarks.generated_people import YAWS, Shooting, generate_person
from benchmarks.results import write_results
from dfmvr_jax import fit
from dfmvr_jax.command_line import run
from dfmvr_jax.compilation import keep_compiled
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_normals
from dfmvr_jax.file_names import is_shown
from dfmvr_jax.fitting.fitted_person import FittedPerson, textured_surface
from dfmvr_jax.fitting.fitter import Fitter, load_fitter
from dfmvr_jax.photos.preparation import PhotoFile, find_photo_files
from dfmvr_jax.photos.reading import read_photo
from dfmvr_jax.pictures import to_uint8, write_picture
from dfmvr_jax.render import interpolate, render_mesh, sample_texture
from dfmvr_jax.render.array_types import Bool, Float, UInt8
from dfmvr_jax.render.camera import Camera
from dfmvr_jax.textures.bake import Baked, bake, pieces_apart
from dfmvr_jax.textures.surface import Surface, TexturePhoto
from dfmvr_jax.textures.views import FAR_MM, NEAR_MM, face_shading

LARGEST = 512  # pixels, side of the pictures that are compared
ROOM = 1.05  # their side, in sides of the box around the face
BORDER = 5  # pixels at the face's outline that are left out
BLUR = 1.5  # pixels, of the windows of the structural similarity
LIGHTNESS, CONTRAST = 0.01**2, 0.03**2  # its constants
BESIDE = 6  # coarse texels from where two photos meet to where nothing does


class Measured(NamedTuple):
    """Of one person."""

    colour: list[float]  # of each photo
    ssim: list[float]
    step: float
    unseen: float
    seconds: float
    cpu: float


class Compared(NamedTuple):
    """A photo of the face and the head in its place."""

    photo: Float[np.ndarray, "size size 3"]
    head: Float[np.ndarray, "size size 3"]
    face: Bool[np.ndarray, "size size"]


def measure(person: FittedPerson, size: int) -> tuple[Measured, Baked, list[Compared]]:
    """Bake the texture of a person and compare it with the photos."""
    surface, photos = textured_surface(person)
    bake(surface, photos, size)
    started, used = time.perf_counter(), time.process_time()
    baked = bake(surface, photos, size)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    compared = [compare(surface, photo, baked.texture.albedo) for photo in photos]
    colour = [float(np.abs(one.photo - one.head)[one.face].mean()) for one in compared]
    ssim = [float(similarity(one.photo, one.head)[one.face].mean()) for one in compared]
    step = step_where_photos_meet(baked)
    return Measured(colour, ssim, step, baked.texture.unseen, seconds, cpu), baked, compared


def compare(surface: Surface, photo: TexturePhoto, albedo: UInt8[np.ndarray, "size size 3"]) -> Compared:
    """Render the head into the photo's crop around the face."""
    low, high = photo.outline.min(axis=0), photo.outline.max(axis=0)
    side = ROOM * float((high - low).max())
    corner, pixels = (low + high - side) / 2, int(min(LARGEST, side))
    scale = pixels / side
    blurred = cv2.GaussianBlur(photo.pixels, (0, 0), 0.4 / scale) if scale < 0.7 else photo.pixels
    to_crop = np.array(
        [[scale, 0, -corner[0] * scale + scale / 2 - 0.5], [0, scale, -corner[1] * scale + scale / 2 - 0.5]]
    )
    crop = cv2.warpAffine(blurred, to_crop, (pixels, pixels), flags=cv2.INTER_LINEAR) / np.float32(255)
    x, y = scale * (photo.principal_point - corner)
    camera = Camera(scale * photo.focal, (x, y), 0.0, (pixels, pixels), NEAR_MM, FAR_MM)
    posed = np.float32(photo.posed_mm)
    normals = np.asarray(jax.jit(vertex_normals)(posed, surface.model))
    shading = face_shading(normals, photo.light, surface.face)
    shown = surface.face * ~pieces_apart(surface.model)
    drawn = np.asarray(
        _draw(camera, surface.model, posed, np.column_stack([shading, shown]).astype(np.float32), albedo)
    )
    hull = cv2.convexHull(np.float32((photo.outline - corner) * scale)).astype(np.int32)
    face = cv2.fillConvexPoly(np.zeros((pixels, pixels), np.uint8), hull, 1) * (drawn[..., 3] > 0.9)
    face = cv2.erode(face.astype(np.uint8), np.ones((BORDER, BORDER), np.uint8)) > 0
    return Compared(crop, drawn[..., :3].clip(0, 1), face)


@jax.jit
def _draw(camera: Camera, model: MorphableModel, posed, attributes, albedo):
    """The textured head, shaded, and the last attribute."""
    texture = albedo / jnp.float32(255)

    def shader(pixels, fragments):
        colors = sample_texture(texture, interpolate(model.uv, model.uv_triangles, fragments))
        return jnp.concatenate([colors * pixels[..., :3], pixels[..., 3:]], axis=-1)

    return render_mesh(camera, posed, attributes, model.triangles, shader=shader).image


def similarity(
    one: Float[np.ndarray, "h w 3"], other: Float[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w 3"]:
    """Structural similarity around each pixel, channel by channel."""
    mean_one, mean_other = _blur(one), _blur(other)
    variance = _blur(one**2) - mean_one**2 + _blur(other**2) - mean_other**2
    together = _blur(one * other) - mean_one * mean_other
    lightness = (2 * mean_one * mean_other + LIGHTNESS) / (mean_one**2 + mean_other**2 + LIGHTNESS)
    return lightness * (2 * together + CONTRAST) / (variance + CONTRAST)


def _blur(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), BLUR)


def step_where_photos_meet(baked: Baked) -> float:
    """Change of the albedo where two photos meet, by that a little beside; NaN where they do not."""
    albedo = baked.texture.albedo.astype(np.float32) / 255
    source = baked.consensus.source
    step = len(albedo) // len(source)
    across, beside = [], []
    for turned in (False, True):
        picture, number = (albedo.swapaxes(0, 1), source.T) if turned else (albedo, source)
        there = (number[:, :-1] != number[:, 1:]) & (number[:, :-1] >= 0) & (number[:, 1:] >= 0)
        alike = (number[:, :-1] == number[:, 1:]) & (number[:, :-1] >= 0)
        row, column = np.nonzero(there)
        across.append(_change(picture, row, column, step))
        for down, right in ((-BESIDE, 0), (BESIDE, 0), (0, -BESIDE), (0, BESIDE)):
            near = (row + down).clip(0, len(number) - 1), (column + right).clip(0, number.shape[1] - 2)
            chosen = alike[near]
            beside.append(_change(picture, near[0][chosen], near[1][chosen], step))
    across, beside = np.concatenate(across), np.concatenate(beside)
    return float(across.mean() / beside.mean()) if len(across) and len(beside) else float("nan")


def _change(picture: np.ndarray, row: np.ndarray, column: np.ndarray, step: int) -> np.ndarray:
    """How much colours differ on both sides of the middle between a coarse texel and the next one."""
    middle, row = step * (column + 1), step * row + step // 2
    left, right = (middle - step).clip(0), (middle + step).clip(max=picture.shape[1] - 1)
    return np.abs(picture[row, left] - picture[row, right]).mean(axis=-1)


def generated_files(seed: int, photos: int, size: int, megapixels: float) -> list[PhotoFile]:
    """Photos of a generated person, enlarged, that lie on no disk."""
    person = generate_person(load_face_model("builtin"), seed, Shooting(yaws=YAWS[photos], size=size))
    return [
        PhotoFile(
            Path(f"{number}.generated"), read=functools.partial(_enlarged, photo=photo, megapixels=megapixels)
        )
        for number, photo in enumerate(person.photos)
    ]


def _enlarged(_: Path, photo: np.ndarray, megapixels: float) -> UInt8[np.ndarray, "h w 3"]:
    side = round(1000 * np.sqrt(megapixels))
    return np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC))


def people_of(flags) -> Iterator[tuple[str, list[PhotoFile]]]:
    """Names and photos of all who are asked for."""
    for seed in range(flags.first, flags.first + flags.people):
        for photos in flags.views:
            yield f"{seed}, {photos} photos", generated_files(seed, photos, flags.size, flags.megapixels)
    for folder in flags.photos:
        people = sorted(path for path in folder.iterdir() if path.is_dir() and is_shown(path)) or [folder]
        for person in people:
            files = [PhotoFile(file.path, read=read_photo) for file in find_photo_files(person)]
            if files:
                yield person.name, files


def keep_pictures(out: Path, name: str, baked: Baked, compared: Sequence[Compared]) -> None:
    """Save the textures, and each photo beside the head in its place and their difference, four times."""
    name = name.replace(", ", "_").replace(" ", "_")
    for kind in ("albedo", "photographed", "confidence"):
        picture = getattr(baked.texture, kind)
        write_picture(out / f"{name}_{kind}.png", picture if picture.ndim == 3 else np.dstack([picture] * 3))
    for number, one in enumerate(compared, 1):
        difference = 4 * np.abs(one.photo - one.head) * one.face[..., None]
        write_picture(out / f"{name}_{number}.png", to_uint8(np.hstack([one.photo, one.head, difference])))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--face-model", default="builtin", help="that is fitted")
    parser.add_argument("--people", type=int, default=3, help="how many generated ones")
    parser.add_argument("--first", type=int, default=1000, help="number of the first")
    parser.add_argument(
        "--views", type=int, nargs="*", choices=sorted(YAWS), default=[3], help="photos of each"
    )
    parser.add_argument("--size", type=positive, default=1500, help="side of generated photos, pixels")
    parser.add_argument("--megapixels", type=float, default=12.0, help="that these are then enlarged to")
    parser.add_argument(
        "--photos", type=Path, nargs="*", default=[], help="folders of photos, or of such folders"
    )
    parser.add_argument("--texture-size", type=int, default=2048, help="texels on a side")
    parser.add_argument("--out", type=Path, help="folder for results.json and pictures to look at")
    flags = parser.parse_args()
    keep_compiled()
    fitter: Fitter = load_fitter(flags.face_model)
    print(
        f"{'person':24s} {'colour':>7s} {'ssim':>6s} {'step':>6s} {'unseen':>7s} {'seconds':>8s} {'cpu':>6s}"
    )
    results = {}
    for name, files in people_of(flags):
        person = fit(files, face_model=fitter, texture_size=flags.texture_size)
        if person.model.uv is None:
            raise InputError(f"face model {person.model.name}: has no texture coordinates; install xatlas")
        found, baked, compared = measure(person, flags.texture_size)
        results[name] = found._asdict()
        print(
            f"{name:24s} {max(found.colour):7.3f} {min(found.ssim):6.3f} {found.step:6.2f} "
            f"{found.unseen:7.2f} {found.seconds:8.2f} {found.cpu:6.2f}",
            flush=True,
        )
        write_results(flags.out and flags.out / "results.json", results)
        if flags.out:
            keep_pictures(flags.out, name, baked, compared)


if __name__ == "__main__":
    run(main, ("photos",))
