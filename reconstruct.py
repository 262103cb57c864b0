"""Reconstruct a face from three photos, or from one.

Example: python reconstruct.py --checkpoint runs/small --left l.png --front f.png --right r.png --out out

Photos are either aligned square crops like those of the training data, or plain photos with a file of 68 or 5
landmarks each. In the left photo the nose points to the image's left. Writes mesh.ply, mesh.glb and mesh.obj
(millimetres, colours per vertex), coefficients.json and overview.png.
"""

import dataclasses
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from dfmvr_jax.coefficients import VIEWS, Coefficients
from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.errors import InputError
from dfmvr_jax.files import whole_files
from dfmvr_jax.inference import Run, load_run
from dfmvr_jax.meshes import coefficients_json, write_meshes
from dfmvr_jax.photos.alignment import AlignedPhoto, align_photo, nose_offset
from dfmvr_jax.photos.landmark_files import read_landmarks
from dfmvr_jax.photos.reading import read_photo
from dfmvr_jax.pictures import enlarge, overlay, tile, to_uint8
from dfmvr_jax.reconstruction import Rendering, reconstruct
from render.camera import face_camera

FACING_AWAY = 0.1  # distances of the eyes that the nose may point to the wrong side
TURNTABLE_YAW = (-45.0, 0.0, 45.0)  # degrees; of the rendered views in overview.png


@dataclasses.dataclass(frozen=True)
class ReconstructCommand:
    checkpoint: Path  # folder that train.py wrote
    out: Path  # folder for meshes, coefficients and pictures; those that are there are replaced
    face_model: str | None = None  # where the run's face model is; None: where it was in the training
    left: Path | None = None  # photo in which the nose points to the image's left
    front: Path | None = None  # frontal photo
    right: Path | None = None  # photo in which the nose points to the image's right
    left_landmarks: Path | None = None  # 68 or 5 points of the photo, "x y" a line, .txt, .pts or .npy
    front_landmarks: Path | None = None  # the same for the frontal photo
    right_landmarks: Path | None = None  # the same for the right photo


def main() -> None:
    command = parse_command(ReconstructCommand, __doc__)
    paths = [getattr(command, view) for view in VIEWS]
    landmark_paths = [getattr(command, f"{view}_landmarks") for view in VIEWS]
    check_photos(paths, landmark_paths)
    photos = [path and read_photo(path) for path in paths]
    landmarks = [path and read_landmarks(path) for path in landmark_paths]
    trained = load_run(command.checkpoint, command.face_model)
    aligned = [
        None if photo is None else align(view, photo, points, points_path or path, trained)
        for view, photo, points, path, points_path in zip(VIEWS, photos, landmarks, paths, landmark_paths)
    ]
    given = np.array([photo is not None for photo in aligned])
    if not given.all() and trained.config.data.all_views_probability == 1:
        print(
            f"warning: if {command.checkpoint} was trained with all three photos only (the default), one "
            "gives a poor face; train with --data.all-views-probability 0.667",
            file=sys.stderr,
        )
    size = trained.config.image_size
    crops = np.stack([np.zeros((size, size, 3), np.float32) if a is None else a.crop for a in aligned])

    coefficients = trained.predict(crops, given)
    if not all(np.isfinite(leaf).all() for leaf in coefficients):
        raise InputError(
            f"{command.checkpoint}: its network answers these photos with numbers that are not finite: its "
            "weights are not those of a finished training"
        )
    face, rendering = jax.jit(reconstruct)(trained.model, trained.camera, coefficients)

    vertices_mm = np.asarray(face.vertices) * trained.model.unit_mm
    description = coefficients_json(coefficients, trained.camera, trained.model) | {
        "photos": {
            view: photo and {"file": str(path), "crop_pixel_to_photo_pixel": photo.to_photo.tolist()}
            for view, path, photo in zip(VIEWS, paths, aligned)
        }
    }
    overview = draw_overview(trained, coefficients, rendering, crops, given)
    with whole_files(command.out) as folder:
        write_meshes(folder, vertices_mm, np.asarray(trained.model.triangles), np.asarray(face.albedo))
        (folder / "coefficients.json").write_text(json.dumps(description, indent=2) + "\n")
        Image.fromarray(overview).save(folder / "overview.png")
    print(f"meshes, coefficients.json and overview.png: {command.out}")


def check_photos(paths: list[Path | None], landmark_paths: list[Path | None]) -> None:
    if sum(path is not None for path in paths) not in (1, 3):
        raise InputError("give all three of --left, --front and --right, or just one of them")
    for view, path, landmarks in zip(VIEWS, paths, landmark_paths):
        if landmarks and not path:
            raise InputError(
                f"--{view}-landmarks {landmarks}: there is no --{view} photo they could belong to"
            )


def align(
    view: str, photo: np.ndarray, landmarks: np.ndarray | None, source: Path, trained: Run
) -> AlignedPhoto:
    """The crop that the network wants. Errors name `source`, the file to mend."""
    try:
        aligned = align_photo(photo, landmarks, trained.model, trained.config.image_size)
        if landmarks is not None:
            check_facing(view, landmarks)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    return aligned


def check_facing(view: str, landmarks: np.ndarray) -> None:
    wrong_way = {"left": 1, "front": 0, "right": -1}[view]
    if wrong_way * nose_offset(landmarks) > FACING_AWAY:
        raise InputError(
            f"the nose points to the wrong side for --{view}, where it should point to the image's {view}; "
            "are the left and the right photo swapped?"
        )


def draw_overview(
    trained: Run, coefficients: Coefficients, rendering: Rendering, crops: np.ndarray, given: np.ndarray
) -> np.ndarray:
    """Photos, the reconstruction laid over them, and the face from three sides under even light."""
    yaw = np.radians(TURNTABLE_YAW).astype(np.float32)
    turntable = coefficients._replace(
        light=jnp.zeros_like(coefficients.light).at[:, 2].set(0.3),
        rotation=jnp.stack([jnp.zeros(3), jnp.asarray(yaw), jnp.zeros(3)], axis=-1),
        translation=jnp.zeros_like(coefficients.translation),
    )
    _, views = jax.jit(reconstruct)(trained.model, face_camera(), turntable)
    photos, images, masks = (
        to_uint8(crops),
        to_uint8(np.asarray(rendering.images)),
        np.asarray(rendering.masks),
    )
    faces, face_masks = to_uint8(np.asarray(views.images)), np.asarray(views.masks)
    overlays = [overlay(*view) for view in zip(photos, images, masks)]
    return tile(
        [
            [enlarge(photo if there else np.full_like(photo, 255)) for photo, there in zip(photos, given)],
            [enlarge(drawn if there else np.full_like(drawn, 255)) for drawn, there in zip(overlays, given)],
            [overlay(np.full_like(image, 255), image, mask) for image, mask in zip(faces, face_masks)],
        ],
        ("photos", "overlay", "face"),
        VIEWS,
    )


if __name__ == "__main__":
    run(main)
