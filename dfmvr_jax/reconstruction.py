"""Photos of a person in, a face out: the Python API.

from dfmvr_jax import reconstruct

face = reconstruct(["a.jpg", "b.jpg", "c.jpg"], checkpoint="runs/x")
face.save("out")
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from dfmvr_jax.coefficients import Coefficients
from dfmvr_jax.coefficients_json import coefficients_json
from dfmvr_jax.conventions import UNIT_MM, VIEWS
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_camera import for_each_view
from dfmvr_jax.face_model.morphable_model import MorphableModel, face_shape
from dfmvr_jax.face_rendering import Face, Rendering, light_face, place_face, render_face
from dfmvr_jax.files import whole_files
from dfmvr_jax.mesh_files.head import Head, PhotoCamera
from dfmvr_jax.mesh_files.write_head import write_head
from dfmvr_jax.overview import draw_overview
from dfmvr_jax.photos.detection import Detector, load_detector
from dfmvr_jax.photos.detector_names import DetectorName
from dfmvr_jax.photos.faces import numbers_of_faces
from dfmvr_jax.photos.on_photo import FaceInPhoto, draw_on_photo, find_in_photo
from dfmvr_jax.photos.preparation import (
    PhotoFile,
    PreparedPhoto,
    assign_views,
    landmarks_beside,
    prepare_photo,
)
from dfmvr_jax.pictures import overlay, to_uint8
from dfmvr_jax.prediction import Run, load_run
from dfmvr_jax.render import mesh_edges
from dfmvr_jax.render.array_types import Array, Bool, Float, Int, UInt8
from dfmvr_jax.render.camera import Camera
from dfmvr_jax.results import DESCRIPTION, results_in
from dfmvr_jax.viewer.shown import ShownPhoto
from dfmvr_jax.viewer.write_view import write_view

PHOTOGRAPHED = "photographed"  # the expression's name in mesh.glb


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstruction:
    """One person's face and the photos it comes from. Axes and units: docs/conventions.md."""

    run: Run  # whose network saw the photos
    photos: tuple[PreparedPhoto | None, ...]  # by view: left, front, right; None where none was given
    crops: Float[np.ndarray, "views h w 3"]  # what the network saw of them, black where there is none
    labels: Int[np.ndarray, "views h w"]  # parts in the crops, as the parse net sees them
    coefficients: Coefficients  # of the face model, with a pose for each view
    face: Face  # shape, albedo, poses; model units
    colors: Float[Array, "views vertices 3"]  # of the lit face
    rendering: Rendering  # of the face over the crops
    cameras: tuple[FaceInPhoto, ...]  # one for each given photo: where the face is in it

    @property
    def vertices_mm(self) -> Float[np.ndarray, "vertices 3"]:
        """The mesh in model space, mm: +x to the subject's left, +y up, +z out of the face."""
        return UNIT_MM * np.asarray(self.face.vertices)

    @property
    def triangles(self) -> Int[np.ndarray, "triangles 3"]:
        """Vertices of each triangle, counter-clockwise seen from outside."""
        return np.asarray(self.run.model.triangles)

    @property
    def landmarks_mm(self) -> Float[np.ndarray, "68 3"]:
        """iBUG's 68 landmarks on the mesh, model space, mm."""
        return self.vertices_mm[np.asarray(self.run.model.landmarks)]

    @property
    def given(self) -> Bool[np.ndarray, "views"]:
        """Which views there are photos of."""
        return np.array([photo is not None for photo in self.photos])

    def save(self, folder: Path | str) -> list[Path]:
        """Write meshes, coefficients.json and pictures into a folder; files that are there are replaced.

        mesh.ply, .glb, .obj, overview.png, overlay_left.png, view.html and so on (docs/photos.md): all of
        them or none. Returns files of an earlier run that are not replaced. Raises `InputError` where the
        folder cannot be written to.
        """
        model, camera = self.run.model, self.run.camera
        cameras = {camera.view: camera.as_json() for camera in self.cameras}
        description = coefficients_json(self.coefficients, camera, model) | {
            "photos": {view: cameras.get(view) for view in VIEWS}
        }
        overview = draw_overview(model, self.coefficients, self.crops, self.given, self.rendering)
        edges, earlier = mesh_edges(model.triangles), results_in(Path(folder))
        with whole_files(Path(folder)) as unfinished:
            write_head(unfinished, _as_head(self))
            (unfinished / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
            Image.fromarray(overview).save(unfinished / "overview.png")
            for view, photo, posed, colors in zip(VIEWS, self.photos, self.face.posed, self.colors):
                if photo:
                    picture = draw_on_photo(model, edges, camera, posed, colors, photo)
                    Image.fromarray(picture).save(unfinished / f"overlay_{view}.png")
            Image.fromarray(_draw_thumbnail(self)).save(unfinished / "thumbnail.jpg", quality=88)
            _write_page(unfinished / "view.html", self, Path(folder).resolve().name)
            written = {path.name for path in unfinished.iterdir()}
        return [Path(folder, name) for name in sorted(earlier - written)]


def _as_head(face: Reconstruction) -> Head:
    """The face as mesh files have it; one expression for all photos."""
    model = face.run.model
    identity, expression = face.coefficients.identity, face.coefficients.expression
    neutral = face_shape(model, identity, jnp.zeros_like(expression))
    photos = [photo for photo in face.photos if photo]
    return Head(
        model=model,
        unit_mm=UNIT_MM,
        neutral_mm=UNIT_MM * np.asarray(neutral),
        mesh_mm=face.vertices_mm,
        colors=np.asarray(face.face.albedo),
        photographed_mm={PHOTOGRAPHED: face.vertices_mm},
        opens_as=PHOTOGRAPHED,
        cameras=tuple(
            PhotoCamera(
                name=f"photo_{camera.view}",
                size_px=photo.photo.shape[1::-1],
                focal_px=camera.focal_px,
                principal_point_px=camera.principal_point_px,
                vertex_mm_to_photo_pixel=camera.vertex_mm_to_photo_pixel,
            )
            for camera, photo in zip(face.cameras, photos)
        ),
    )


def _write_page(path: Path, face: Reconstruction, title: str) -> None:
    """Write the page that shows the face on its photos, which have one light and one expression."""
    given = [photo for photo in face.photos if photo]
    photos = [
        ShownPhoto(
            file=camera.file.name,
            note=_describe_view(camera),
            picture=photo.photo,
            light=np.asarray(face.coefficients.light),
            expression=PHOTOGRAPHED,
        )
        for camera, photo in zip(face.cameras, given)
    ]
    count = f"{len(photos)} photo{'s' if len(photos) > 1 else ''}"
    write_view(path, _as_head(face), title, f"A face that a network saw in {count}.", photos)


def _describe_view(camera: FaceInPhoto) -> str:
    """Say how the head stands in the photo and how well it fits, as far as that is known."""
    said = f"The {camera.view} photo."
    share = camera.landmark_error_of_eye_distance
    if share is not None:
        said += f" Landmarks off by {100 * share:.1f} % of the eyes' distance."
    return said


def _draw_thumbnail(face: Reconstruction) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the face in the photo nearest to frontal, and beside it the reconstruction on it."""
    view = max(np.flatnonzero(face.given), key=lambda view: VIEWS[view] == "front")
    crop, image = to_uint8(face.crops[view]), to_uint8(np.asarray(face.rendering.images[view]))
    return np.concatenate([crop, overlay(crop, image, np.asarray(face.rendering.masks[view]))], axis=1)


def reconstruct(
    photos: Sequence[Path | str | PhotoFile],
    checkpoint: Path | str | Run,
    *,
    face_model: str | None = None,
    aligned: bool = False,
    detector: DetectorName = "mediapipe",
    faces: Sequence[int] = (),
) -> Reconstruction:
    """Reconstruct one person's face from three photos, or from one.

    Args:
      photos: the head from the left, the front and the right, in any order. A file of landmarks beside a
        photo, of its name, is used (docs/photos.md); a `PhotoFile` says which view it is.
      checkpoint: folder of a run, or what `load_run` made of it, to reconstruct many people by.
      face_model: where the run's face model is; None: where it was in the training.
      aligned: the photos are aligned square crops, like those of the training data.
      detector: what finds faces and landmarks.
      faces: which face, where a photo shows several, 1 being the largest: a number for all photos, or one
        for each; none: the largest, and `FaceInPhoto.doubt` says where another may be meant.

    Raises:
      InputError: the run or a photo cannot be used; says which, why, and how to mend it.
    """
    if isinstance(photos, str | Path):
        raise InputError(f"{photos}: give a list of photos, of one person: reconstruct(['a.jpg', ...], ...)")
    for photo in photos:
        if isinstance(photo, PhotoFile) and photo.view not in (None, *range(len(VIEWS))):
            raise InputError(
                f"{photo.path}: view {photo.view!r}; expected 0, 1, 2 for {', '.join(VIEWS)}, or None"
            )
    run = checkpoint if isinstance(checkpoint, Run) else load_run(Path(checkpoint), face_model)
    files = [
        photo if isinstance(photo, PhotoFile) else PhotoFile(Path(photo), landmarks_beside(Path(photo)))
        for photo in photos
    ]
    get_detector = None if aligned else functools.partial(_detector, detector)
    return reconstruct_from(run, prepare_views(run, files, get_detector, faces))


def prepare_views(
    run: Run,
    files: Sequence[PhotoFile],
    get_detector: Callable[[], Detector] | None,
    faces: Sequence[int] = (),
) -> list[PreparedPhoto | None]:
    """Read one person's photos, find the face in each, and tell which view each is.

    Raises `InputError` as `reconstruct` does.
    """
    size = run.config.image_size
    numbers = numbers_of_faces(faces, len(files))
    return assign_views(
        [prepare_photo(file, get_detector, run.model, size, face) for file, face in zip(files, numbers)]
    )


def reconstruct_from(run: Run, photos: Sequence[PreparedPhoto | None]) -> Reconstruction:
    """Reconstruct a face from prepared photos, one for each view or None.

    Raises `InputError` where the network's answer is not finite.
    """
    size = run.config.image_size
    crops = np.stack([p.aligned.crop if p else np.zeros((size, size, 3), np.float32) for p in photos])
    predicted = run.predict(crops, np.array([photo is not None for photo in photos]))
    coefficients = predicted.coefficients
    if not all(np.isfinite(leaf).all() for leaf in coefficients):
        raise InputError(
            f"{run.workdir}: its network answers these photos with numbers that are not finite: its weights "
            "are not those of a finished training"
        )
    views = for_each_view(run.camera, len(photos))
    face, colors, rendering = _place_and_render(run.model, views, coefficients)
    cameras = [
        find_in_photo(run.model, run.camera, coefficients, face, view, photo)
        for view, photo in enumerate(photos)
        if photo
    ]
    return Reconstruction(
        run=run,
        photos=tuple(photos),
        crops=crops,
        labels=np.asarray(predicted.labels),
        coefficients=coefficients,
        face=face,
        colors=colors,
        rendering=rendering,
        cameras=tuple(cameras),
    )


@jax.jit
def _place_and_render(
    model: MorphableModel, cameras: Camera, coefficients: Coefficients
) -> tuple[Face, Float[Array, "views vertices 3"], Rendering]:
    face = place_face(model, coefficients)
    colors = light_face(model, face, coefficients)
    return face, colors, render_face(model, cameras, face, colors)


@functools.cache
def _detector(name: DetectorName) -> Detector:
    return load_detector(name)
