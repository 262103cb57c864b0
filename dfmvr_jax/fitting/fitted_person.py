"""A fitted person as users have it: the head, its photos, and the files of both."""

import dataclasses
import functools
import json
import math
import re
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from dfmvr_jax.conventions import AMBIENT, UNIT_MM
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model.morphable_model import MorphableModel, face_albedo, vertex_normals
from dfmvr_jax.face_model.mouth_light import mouth_light
from dfmvr_jax.files import whole_files
from dfmvr_jax.fitting.colours import FAR, head_shapes
from dfmvr_jax.fitting.config import FitConfig
from dfmvr_jax.fitting.fit_person import PersonFit, PhotoError
from dfmvr_jax.fitting.paint import on_face, paint_head
from dfmvr_jax.fitting.photos import FittingPhoto
from dfmvr_jax.fitting.point_table import YAWS
from dfmvr_jax.fitting.points import seen_yaw
from dfmvr_jax.fitting.size import Size, find_size
from dfmvr_jax.fitting.stages import photo_colours
from dfmvr_jax.fitting.wishes import Wishes
from dfmvr_jax.geometry import rotation_matrix
from dfmvr_jax.mesh_files.head import Head, PhotoCamera
from dfmvr_jax.mesh_files.ply import write_ply
from dfmvr_jax.mesh_files.write_head import write_head
from dfmvr_jax.pictures import halve, tile, to_uint8
from dfmvr_jax.render import mesh_edges, render_mesh
from dfmvr_jax.render.array_types import Array, Float, Int, UInt8
from dfmvr_jax.render.camera import Camera
from dfmvr_jax.render.shade import shade
from dfmvr_jax.results import DESCRIPTION, results_in
from dfmvr_jax.textures.atlas import with_atlas
from dfmvr_jax.textures.head_texture import HeadTexture, VertexColors
from dfmvr_jax.textures.surface import Surface, TexturePhoto
from dfmvr_jax.turntable import turn_whole_head
from dfmvr_jax.viewer.shown import ErrorMap, ShownPhoto
from dfmvr_jax.viewer.write_view import write_view

HEAD_YAWS = (-60.0, 0.0, 60.0)  # degrees, of the head in the overview
PICTURE = 320  # px, side of the overview's pictures
GREY = 0.65  # albedo of the head without its colours
SHARP = 0.5  # px of the crop, blur of the photos whose colours the head gets


@dataclasses.dataclass(frozen=True, eq=False)
class HeadInPhoto:
    """A head before the camera of a photo. Pixels are those of the photo, upright."""

    file: Path
    size_px: tuple[int, int]  # width, height
    focal_px: float
    principal_point_px: tuple[float, float]
    rotation: Float[np.ndarray, "3 3"]  # posed = points @ rotation.T + translation_mm
    translation_mm: Float[np.ndarray, "3"]  # the camera stands in the origin and looks along -z, y is up
    vertex_mm_to_photo_pixel: Float[np.ndarray, "3 4"]  # times (x, y, z, 1): (x, y, 1) times the depth
    yaw_degrees: float  # of the head
    expression: Float[np.ndarray, "expression"]
    light: Float[np.ndarray, "3 9"]
    vertices_mm: Float[np.ndarray, "vertices 3"]  # the head as in this photo, not posed
    landmark_error: PhotoError
    left_out_error: PhotoError | None  # by the head of the other photos
    doubt: str = ""  # in words: whether the face, or its points, are the person's

    def as_json(self) -> dict:
        """Give all but the mesh as JSON has it."""
        return {
            "file": str(self.file),
            "size_px": list(self.size_px),
            "focal_px": self.focal_px,
            "principal_point_px": list(self.principal_point_px),
            "rotation": self.rotation.tolist(),
            "translation_mm": self.translation_mm.tolist(),
            "vertex_mm_to_photo_pixel": self.vertex_mm_to_photo_pixel.tolist(),
            "yaw_degrees": self.yaw_degrees,
            "expression": self.expression.tolist(),
            "light": self.light.tolist(),
            "landmark_error_px": self.landmark_error.pixels,
            "landmark_error_of_eye_distance": self.landmark_error.of_eye_distance,
            **({"doubt": self.doubt} if self.doubt else {}),
        } | (
            {}
            if self.left_out_error is None
            else {
                "left_out_error_px": self.left_out_error.pixels,
                "left_out_error_of_eye_distance": self.left_out_error.of_eye_distance,
            }
        )


@dataclasses.dataclass(frozen=True, eq=False)
class FittedPerson:
    """A person's head, fitted to photos. Axes: docs/conventions.md; lengths in millimetres."""

    model: MorphableModel  # with the free form's modes, where there are any
    identity: Float[np.ndarray, "identity"]
    albedo: Float[np.ndarray, "albedo"]
    modes: int  # of `identity`, that are the head model's own; the rest are the free form's
    vertices_mm: Float[np.ndarray, "vertices 3"]  # neutral, model space
    photos: tuple[HeadInPhoto, ...]
    left_out: dict[Path, str]  # photos that were not used, and why
    size: Size
    started_by: str  # "points" or "network"
    fitting_photos: tuple[FittingPhoto, ...] = dataclasses.field(repr=False)
    face: Float[np.ndarray, "vertices"]  # 1 where photos may colour it, 0 where they show hair or clothes
    painted: VertexColors | None = dataclasses.field(repr=False)  # where there is no texture
    texture_size: int = 2048  # texels on a side; 0: no texture

    @functools.cached_property
    def texture(self) -> HeadTexture | None:
        """Baked from the photos (docs/textures.md); None: not wanted, or the model has no place for one."""
        if self.texture_size == 0 or self.model.uv is None:
            return None
        from dfmvr_jax.textures.bake import bake_texture

        surface, photos = textured_surface(self)
        return bake_texture(surface, photos, self.texture_size)

    @functools.cached_property
    def _vertex_colors(self) -> VertexColors:
        if self.painted is not None:
            return self.painted
        from dfmvr_jax.textures.at_vertices import texture_at_vertices

        assert self.texture is not None
        return texture_at_vertices(self.texture, self.model)

    @property
    def colors(self) -> Float[np.ndarray, "vertices 3"]:
        """Of the skin without light, in [0, 1]: the texture's, where there is one."""
        return self._vertex_colors.colors

    @property
    def confidence(self) -> Float[np.ndarray, "vertices"]:
        """How often and how squarely photos show a vertex, 0 to 1."""
        return self._vertex_colors.confidence

    @property
    def triangles(self) -> Int[np.ndarray, "triangles 3"]:
        """Vertices of each triangle, counter-clockwise seen from outside."""
        return np.asarray(self.model.triangles)

    @property
    def landmarks_mm(self) -> Float[np.ndarray, "68 3"]:
        """iBUG's 68 landmarks on the neutral head."""
        return self.vertices_mm[np.asarray(self.model.landmarks)]

    def save(self, folder: Path | str, error_map: ErrorMap | None = None) -> list[Path]:
        """Write meshes, coefficients.json and pictures into a folder (docs/photos.md): all of them or none.

        view.html shows the `error_map`, where there is one, and coefficients.json its errors. Files that are
        there are replaced; returns those of an earlier run that are not. Raises `InputError` where the folder
        cannot be written to.
        """
        names = photo_names([photo.file for photo in self.photos])
        earlier = results_in(Path(folder))
        title, head, texture = Path(folder).resolve().name, as_head(self), self.texture
        with whole_files(Path(folder)) as unfinished, ThreadPoolExecutor() as pool:
            writing: list[Future] = [  # NumPy writes while JAX draws
                pool.submit(write_head, unfinished, head, texture),
                pool.submit(write_page, unfinished / "view.html", self, title, error_map),
            ]
            overlays = draw_overlays(self)
            overview, thumbnail = draw_person(self, overlays), draw_thumbnail(self, overlays)
            for name, photo in zip(names, self.photos):
                write_ply(unfinished / f"head_{name}.ply", photo.vertices_mm, self.colors, self.model)
            found = self.as_json() | ({} if error_map is None else {"scan": error_map.as_json()})
            text = json.dumps(found, indent=2) + "\n"
            (unfinished / DESCRIPTION).write_text(text, encoding="utf-8")
            for name, overlay in zip(names, overlays):
                Image.fromarray(overlay).save(unfinished / f"overlay_{name}.jpg", quality=92)
            Image.fromarray(overview).save(unfinished / "overview.png")
            Image.fromarray(thumbnail).save(unfinished / "thumbnail.jpg", quality=88)
            for written in writing:
                written.result()
            files = {path.name for path in unfinished.iterdir()}
        return [Path(folder, name) for name in sorted(earlier - files)]

    def as_json(self) -> dict:
        """Give all but the mesh as JSON has it."""
        return {
            "face_model": {"name": self.model.name, "unit_mm": UNIT_MM},
            "size": {
                "scale": self.size.scale,
                "source": self.size.source,
                "deviation": self.size.deviation,
            },
            "identity": self.identity[: self.modes].tolist(),
            "free_form": self.identity[self.modes :].tolist(),
            "albedo": self.albedo.tolist(),
            "expression_names": list(self.model.expression_names),
            "landmarks_mm": self.landmarks_mm.tolist(),
            "confidence": np.round(self.confidence, 3).tolist(),
            "started_by": self.started_by,
            "photos": [photo.as_json() for photo in self.photos],
            "left_out": {str(path): reason for path, reason in self.left_out.items()},
            "conventions": {
                "axes": "+x to the subject's left, +y up, +z out of the face",
                "shape": "vertices_mm = 100 * scale * (mean + identity basis @ identity + free form)",
                "pose": "posed = points @ rotation.T + translation; the camera stands in the origin and "
                "looks along -z",
                "light": "9 spherical harmonics per colour channel, fixed to the camera; band 0 gets +0.8",
            },
        }


def as_head(person: FittedPerson) -> Head:
    """Give the head as mesh files have it; they open with the expression of the photo nearest to frontal."""
    names = [f"photo_{name}" for name in photo_names([photo.file for photo in person.photos])]
    frontal = min(zip(person.photos, names), key=lambda named: abs(named[0].yaw_degrees))
    return Head(
        model=person.model,
        unit_mm=UNIT_MM * person.size.scale,
        neutral_mm=person.vertices_mm,
        mesh_mm=person.vertices_mm,
        colors=person.colors,
        photographed_mm={name: photo.vertices_mm for name, photo in zip(names, person.photos)},
        opens_as=frontal[1],
        cameras=tuple(
            PhotoCamera(
                name,
                photo.size_px,
                photo.focal_px,
                photo.principal_point_px,
                photo.vertex_mm_to_photo_pixel,
            )
            for name, photo in zip(names, person.photos)
        ),
    )


def textured_surface(person: FittedPerson) -> tuple[Surface, list[TexturePhoto]]:
    """Give the head, and what its photos show of it, for a texture."""
    colors = np.asarray(face_albedo(person.model, jnp.asarray(person.albedo)))
    surface = Surface(person.model, person.vertices_mm, colors, person.face)
    photos = []
    for photo, read in zip(person.photos, person.fitting_photos):
        corner, shrink = np.array(read.head.corner), read.head.shrink
        x, y = (photo.principal_point_px - corner) / shrink
        posed = photo.vertices_mm @ photo.rotation.T + photo.translation_mm
        outline = (read.points - corner) / shrink
        photos.append(
            TexturePhoto(read.head.pixels, photo.focal_px / shrink, (x, y), posed, photo.light, outline)
        )
    return surface, photos


def write_page(path: Path, person: FittedPerson, title: str, error_map: ErrorMap | None = None) -> None:
    """Write the page that shows the head on its photos."""
    head, count = as_head(person), len(person.photos)
    photos = [
        ShownPhoto(photo.file.name, describe_fit(photo), read.picture, photo.light, expression)
        for photo, read, expression in zip(person.photos, person.fitting_photos, head.photographed_mm)
    ]
    facts = f"A head fitted to {count} photo{'s' if count > 1 else ''}."
    write_view(path, head, title, facts, photos, person.confidence, person.texture, error_map)


def describe_fit(photo: HeadInPhoto) -> str:
    """Say how the head stands in the photo and how well it fits."""
    share = 100 * photo.landmark_error.of_eye_distance
    return (
        f"Head turned by {photo.yaw_degrees:+.0f}°, landmarks off by {photo.landmark_error.pixels:.1f} px, "
        f"{share:.1f} % of the eyes' distance."
    )


def photo_names(files: list[Path]) -> list[str]:
    """Short names of photos for files of their own: a number and what is plain of the photo's name."""
    stems = [re.sub(r"[^A-Za-z0-9_-]+", "_", file.stem)[:40].strip("_") for file in files]
    return [f"{number}_{stem}" if stem else str(number) for number, stem in enumerate(stems, 1)]


def describe(
    found: PersonFit, config: FitConfig, wishes: Wishes, modes: int, texture_size: int = 2048
) -> FittedPerson:
    """Turn what a fit found into millimetres, colours and cameras of whole photos."""
    model, head, look = found.fitting.model, found.fit.head, found.fit.look
    face = on_face(model, np.asarray(found.fitting.places.mean[len(YAWS) // 2]))
    textured = with_atlas(model) if texture_size else model
    painted = None
    if not texture_size or textured.uv is None:
        colours = photo_colours(found.photos, np.ones(len(found.photos), bool), SHARP)
        colors, confidence = paint_head(model, head, look, colours, jnp.asarray(face))
        painted = VertexColors(np.asarray(colors).clip(0, 1), np.asarray(confidence))
    neutral = np.asarray(model.mean_shape + model.identity_basis @ head.identity, np.float64)
    size = find_size(neutral, model, wishes.pupils_mm)
    millimetres = UNIT_MM * size.scale
    shapes = np.asarray(head_shapes(model, head), np.float64)
    photos = []
    for number, photo in enumerate(found.photos):
        height, width = photo.size
        focal = math.exp(float(head.log_focal[number])) * max(photo.size)
        rotation = np.asarray(head.rotation[number], np.float64)
        translation = millimetres * np.asarray(head.translation[number], np.float64)
        seen = np.array([[focal, 0, -width / 2], [0, -focal, -height / 2], [0, 0, -1]])
        photos.append(
            HeadInPhoto(
                file=photo.path,
                size_px=(width, height),
                focal_px=focal,
                principal_point_px=(width / 2, height / 2),
                rotation=rotation,
                translation_mm=translation,
                vertex_mm_to_photo_pixel=seen @ np.concatenate([rotation, translation[:, None]], axis=1),
                yaw_degrees=math.degrees(float(seen_yaw(head.rotation[number], head.translation[number]))),
                expression=np.asarray(head.expression[number]),
                light=np.asarray(look.light[number]),
                vertices_mm=millimetres * shapes[number],
                landmark_error=found.errors[number],
                left_out_error=found.left_out_errors[number] if found.left_out_errors else None,
                doubt=photo.doubt,
            )
        )
    return FittedPerson(
        model=textured,
        identity=np.asarray(head.identity),
        albedo=np.asarray(look.albedo),
        modes=modes,
        vertices_mm=millimetres * neutral,
        photos=tuple(photos),
        left_out=found.left_out,
        size=size,
        started_by=found.started_by,
        fitting_photos=tuple(found.photos),
        face=face,
        painted=painted,
        texture_size=texture_size,
    )


@jax.jit
def _draw(camera: Camera, model: MorphableModel, vertices, rotation, translation, colors, light, edges):
    """A lit head before a camera in the origin; vertices and translation in model units."""
    posed = vertices @ rotation.T + translation
    lit = shade(colors, vertex_normals(vertices, model) @ rotation.T, light, AMBIENT)
    rendered = render_mesh(camera, posed, lit, model.triangles, edges)
    return rendered.image, rendered.coverage


def draw_overlays(person: FittedPerson) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Draw the head over each photo, in its light."""
    edges = mesh_edges(person.model.triangles)
    pictures = []
    for photo, read in zip(person.photos, person.fitting_photos):
        picture = read.picture
        shrink = max(photo.size_px) / max(picture.shape[:2])
        camera = Camera(
            photo.focal_px / shrink,
            tuple(value / shrink for value in photo.principal_point_px),
            0.0,
            picture.shape[:2],
            far=FAR,
        )
        millimetres = UNIT_MM * person.size.scale
        image, coverage = _draw(
            camera,
            person.model,
            np.float32(photo.vertices_mm / millimetres),
            np.float32(photo.rotation),
            np.float32(photo.translation_mm / millimetres),
            np.float32(person.colors * mouth_light(person.model, photo.vertices_mm)[:, None]),
            photo.light,
            edges,
        )
        behind = (1 - np.asarray(coverage))[..., None] * (picture / np.float32(255))
        pictures.append(to_uint8(np.clip(image, 0, 1) + behind))
    return pictures


def draw_person(
    person: FittedPerson, overlays: list[UInt8[np.ndarray, "h w 3"]]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Draw the photos, the head on each, and the neutral head from three sides, coloured and grey."""
    rows = [
        [_face_of(read, picture) for read, picture in zip(person.fitting_photos, pictures)]
        for pictures in ([read.picture for read in person.fitting_photos], overlays)
    ]
    camera, edges = face_camera(2 * PICTURE), mesh_edges(person.model.triangles)
    vertices = np.float32(person.vertices_mm / UNIT_MM)
    turns = turn_whole_head(person.model, np.radians(HEAD_YAWS).tolist())
    dark = mouth_light(person.model, person.vertices_mm)[:, None]
    grey = np.full_like(person.colors, GREY)
    for colors, light in ((person.colors * dark, _front_light(0.3)), (grey * dark, _front_light(0.25))):
        drawn = []
        for rotation, translation in zip(turns.rotation, turns.translation):
            pose = rotation_matrix(rotation), translation
            image, coverage = _draw(camera, person.model, vertices, *pose, np.float32(colors), light, edges)
            drawn.append(image + 1 - coverage[..., None])
        rows.append(list(to_uint8(np.asarray(halve(jnp.stack(drawn))))))
    return tile(rows, ("photos", "fit", "head", "shape"))


def draw_thumbnail(
    person: FittedPerson, overlays: list[UInt8[np.ndarray, "h w 3"]]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Draw the face in the photo that is nearest to frontal, and beside it the head on it."""
    number = min(range(len(person.photos)), key=lambda n: abs(person.photos[n].yaw_degrees))
    read = person.fitting_photos[number]
    return np.concatenate([_face_of(read, picture) for picture in (read.picture, overlays[number])], axis=1)


def _front_light(strength: float) -> Float[Array, "3 9"]:
    """Even light with more from the front and above."""
    light = np.zeros((3, 9), np.float32)
    light[:, 2], light[:, 1] = strength, -strength / 3
    return jnp.asarray(light)


def _face_of(read: FittingPhoto, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "side side 3"]:
    """The crop around the face of a picture of the photo."""
    scale = max(picture.shape[:2]) / max(read.size)
    left, top = scale * read.crop_to_photo[:, 2]
    side = scale * read.crop_to_photo[0, 0] * len(read.crop)
    box = (round(left), round(top), round(left + side), round(top + side))
    return np.asarray(Image.fromarray(picture).crop(box).resize((PICTURE, PICTURE), Image.Resampling.LANCZOS))
