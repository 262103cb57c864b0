"""Data sets of a few rendered faces, written in the file formats and folders of the real ones."""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh
from PIL import Image
from scipy.spatial.transform import Rotation

from dfmvr_jax.celebamask import FOLDED
from dfmvr_jax.conventions import PARTS, UNIT_MM, VIEWS
from dfmvr_jax.datasets.photo_sets.pixel_face import IBUG_OF_106
from dfmvr_jax.datasets.synthetic.scenes import Scene, photograph, render_scene, sample_subject
from dfmvr_jax.face_camera import face_camera
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.geometry import move
from dfmvr_jax.render import clip_positions, interpolate, rasterize

MODEL = "builtin-coarse"
SIZE = 224  # of the crops that the photos show
YAW = 30  # of the side views, degrees; detectors are sure of such faces
BORDER = 40  # of grey around them, pixels


class RenderedSubject(NamedTuple):
    scene: Scene
    photos: np.ndarray  # uint8 [3, SIZE, SIZE, 3]
    vertices_mm: np.ndarray  # model space

    def framed(self, view: int) -> np.ndarray:
        """The photo with a border: its pixel (x, y) shows the crop's (x, y) - BORDER."""
        border = [(BORDER, BORDER), (BORDER, BORDER), (0, 0)]
        return np.pad(self.photos[view], border, constant_values=100)

    def framed_landmarks(self, view: int) -> np.ndarray:
        return np.asarray(self.scene.landmarks[view], np.float64) + BORDER


def render_subjects(number: int) -> list[RenderedSubject]:
    model = load_face_model(MODEL)
    subjects = []
    for k in range(number):
        rng = np.random.default_rng([11, k])
        rotation = np.float32([[0, yaw, 0] for yaw in np.radians([-YAW, 0, YAW])])
        scene = render_scene(model, sample_subject(rng, model)._replace(rotation=rotation), SIZE)
        vertices = np.asarray(scene.vertices, np.float64) * UNIT_MM
        subjects.append(RenderedSubject(scene, photograph(rng, scene), vertices))
    return subjects


def save(picture: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def write_photo_folder(root: Path, subjects: list[RenderedSubject]) -> None:
    """Names that say nothing of the views."""
    for number, subject in enumerate(subjects):
        for view, name in enumerate("cab"):
            save(subject.framed(view), root / f"person{number}" / f"{name}.png")


def write_pixel_face(root: Path, subjects: list[RenderedSubject]) -> None:
    """Subject k has k + 1 expressions (all the same); scans in a frame of their own, units of 100 mm."""
    model = load_face_model(MODEL)
    for number, subject in enumerate(subjects):
        turn = Rotation.from_euler("xyz", [0.3, -0.2, 0.1]).as_matrix()
        scan = (subject.vertices_mm @ turn.T + [30, -20, 500]) / 100
        points = np.zeros((106, 3))
        points[IBUG_OF_106] = scan[np.asarray(model.landmarks)[17:]]
        for expression in range(number + 1):
            folder = root / "batch1" / f"{100 + number:05d}" / f"{expression:02d}"
            for view in range(3):
                upright = Image.fromarray(subject.framed(view))
                stored = upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(90, expand=True)
                save(np.asarray(stored), folder / str(view) / "t.jpg")
            (folder / "fusion").mkdir()
            np.savetxt(folder / "fusion" / "nicp_106_pts.txt", points, fmt="%.6f")
            trimesh.Trimesh(scan, model.triangles, process=False).export(folder / "fusion" / "gt.obj")


def write_multi_pie(root: Path, subjects: list[RenderedSubject]) -> None:
    """Crops of 128 pixels; one has its five landmarks in a file."""
    for number, subject in enumerate(subjects):
        for view, camera in enumerate(("130", "051", "041")):
            small = Image.fromarray(subject.photos[view]).resize((128, 128), Image.Resampling.LANCZOS)
            save(np.asarray(small), root / "session01" / f"{number + 1:03d}_01_01_{camera}_06_crop_128.png")


def write_bosphorus(root: Path, subjects: list[RenderedSubject], side: int = 160) -> None:
    """Range images of `side` x `side` points, of the front view."""
    model, camera = load_face_model(MODEL), face_camera(side)
    for number, subject in enumerate(subjects):
        folder, name, front = root / f"bs{number:03d}", f"bs{number:03d}", VIEWS.index("front")
        for view, turn in enumerate(("YR_R45", "N_N", "YR_L45")):
            save(subject.framed(view), folder / f"{name}_{turn}_0.png")
        coefficients = subject.scene.coefficients
        posed = move(subject.scene.vertices, coefficients.rotation[front], coefficients.translation[front])
        fragments = rasterize(clip_positions(camera, posed), model.triangles, camera.image_size)
        points = np.asarray(interpolate(posed, model.triangles, fragments), np.float64) * UNIT_MM
        y, x = (np.mgrid[:side, :side] + 0.5) / side * SIZE + BORDER
        background, seen = -1e9, np.asarray(fragments.mask)
        columns = [*np.moveaxis(points, -1, 0), *(xy / (SIZE + 2 * BORDER) for xy in (x, y))]
        columns = [np.where(seen, column, background) for column in columns]
        photo_name = f"{name}_N_N_0.png".encode()
        header = struct.pack("<HHdH", side, side, background, len(photo_name)) + photo_name
        count = struct.pack("<I", 5 * side * side)
        data = b"".join(column.astype("<f8").tobytes() for column in columns)
        (folder / f"{name}_N_N_0.bnt").write_bytes(header + count + data)


def write_celebamask_hq(root: Path, subjects: list[RenderedSubject], names_of_viewer: bool = False) -> None:
    """Photos twice as large as the crops, masks of 512 pixels; l_ and r_ mean the subject's sides, or not."""
    class_of_part = {part: name for name, part in reversed(FOLDED.items()) if name != "eye_g"}
    for number, subject in enumerate(subjects):
        view = number % 3
        photo = Image.fromarray(subject.photos[view]).resize((2 * SIZE, 2 * SIZE))
        save(np.asarray(photo), root / "CelebA-HQ-img" / f"{number}.jpg")
        labels = Image.fromarray(np.asarray(subject.scene.labels[view], np.uint8))
        labels = np.asarray(labels.resize((512, 512), Image.Resampling.NEAREST))
        for part in range(1, len(PARTS)):
            name = class_of_part[PARTS[part]]
            if names_of_viewer and name[:2] in ("l_", "r_") and name != "l_lip":
                name = {"l_": "r_", "r_": "l_"}[name[:2]] + name[2:]
            path = root / "CelebAMask-HQ-mask-anno" / "0" / f"{number:05d}_{name}.png"
            if (labels == part).any():
                save(np.where(labels == part, np.uint8(255), np.uint8(0)), path)
