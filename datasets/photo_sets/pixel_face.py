"""Pixel-Face: 855 people, 7 or 23 expressions each, three fixed cameras, scans.

    DIR/train/.../SUBJECT/EXPRESSION/0/t.jpg   from the left, 1/t.jpg front, 2/t.jpg right; or t.bmp, t.png
    DIR/train/.../SUBJECT/EXPRESSION/fusion/nicp_106_pts.txt   106 points on the scan, a line `x y z` each
    DIR/train/.../SUBJECT/EXPRESSION/fusion/gt.obj             the scan, for evaluation; any name, or
    DIR/val_obj/SUBJECTEXPRESSION.obj                          all of them in a folder whose name ends in _obj
    DIR/val/...                                                the same for test

Points and scans are in units of 100 mm. The photos are stored turned and mirrored. Where the folders train
and val (or test) are missing, subjects are split by chance. Where there is another folder between that of the
expression and those of the views, set `subject_folder` to 3.

The 106 points have the order of the usual 106-point scheme: 0-32 outline, 33-42 upper edge of the brows,
43-51 nose, 52-63 eyes, 64-71 lower edge of the brows, 72-83 more of eyes and nose, 84-103 lips, 104-105
pupils. Of these the 51 are used that are also iBUG's, at the places of the 101 points where every face model
has them. (The paper's 101 are another choice of the 106, for which its authors give vertices of BFM only.)
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dfmvr_jax.datasets.photo_sets.builder import PhotoSet, PhotoSetConfig
from dfmvr_jax.datasets.photo_sets.examples import check_face_like
from dfmvr_jax.datasets.photo_sets.mesh_files import read_obj, read_points
from dfmvr_jax.datasets.photo_sets.samples import Sample, ScanMesh, Truth, sample_of, spelled, walk
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.file_names import by_plain_name, only, plain
from dfmvr_jax.landmarks import REGISTRATION, WITHOUT_JAW
from dfmvr_jax.photos.alignment import mean_landmarks
from dfmvr_jax.photos.preparation import PhotoFile, PreparedPhoto, landmarks_beside, naming
from dfmvr_jax.photos.reading import read_photo
from dfmvr_jax.render.array_types import UInt8

UNIT_MM = 100.0
PHOTO_NAMES = ("t.jpg", "t.bmp", "t.png")
SPLIT_FOLDERS = {"train": "train", "val": "test", "validation": "test", "eva": "test", "test": "test"}
# of the 106 points, those that are iBUG's 17 to 67: brows, nose, eyes, lips
IBUG_OF_106 = np.r_[33:43, 43:52, 52:64, 84:104]


def read_stored_photo(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """A photo as it should be: turned by 90 degrees clockwise and then mirrored."""
    return np.ascontiguousarray(np.rot90(read_photo(path), -1)[:, ::-1])


class PixelFace(PhotoSet):
    has_landmarks_3d = True

    @staticmethod
    def find_samples(config: PhotoSetConfig) -> list[Sample]:
        source = Path(config.source)
        listed = {folder: by_plain_name(files) for folder, files in walk(source)}
        views = [folder for folder, named in listed.items() if not named.keys().isdisjoint(PHOTO_NAMES)]
        folders = sorted({view.parent for view in views if view.name in ("0", "1", "2")})
        if not folders:
            raise InputError(f"{source}: has no photos .../SUBJECT/EXPRESSION/0/t.jpg, 1/t.jpg, 2/t.jpg")
        level = config.subject_folder
        check_subjects([folder.relative_to(source).parts for folder in folders], level)
        scans = defaultdict(list)
        for folder, named in listed.items():
            if folder.parent == source and plain(folder.name).endswith("_obj"):
                for name, paths in named.items():
                    scans[name] += paths
        samples = []
        for folder in folders:
            parts = folder.relative_to(source).parts
            find = partial(_sample, folder, parts, level, listed, scans)
            samples.append(sample_of(subject_of(parts, level), "/".join(parts), find))
        return samples

    @staticmethod
    def read_truth(
        sample: Sample, photos: Sequence[PreparedPhoto], model: MorphableModel, size: int
    ) -> Truth:
        path = sample.truth["points"]
        points = UNIT_MM * read_points(path, 106)
        shared = points[IBUG_OF_106]
        with naming(path):
            check_face_like(shared, mean_landmarks(model)[WITHOUT_JAW])
        landmarks_3d = np.full((len(model.landmarks_3d), 3), np.nan)
        landmarks_3d[WITHOUT_JAW] = shared
        scan = None
        if "scan" in sample.truth and sample.split != "train":
            vertices, triangles = read_obj(sample.truth["scan"])
            scan = ScanMesh(UNIT_MM * vertices, triangles, landmarks_3d[list(REGISTRATION)])
        return Truth(landmarks_3d=landmarks_3d, scan=scan)


def subject_of(folder: tuple[str, ...], level: int) -> str:
    """Name of the subject's folder, so many above those of the views."""
    if len(folder) < level:
        raise InputError(
            f"{'/'.join(folder) or '.'}: has not enough folders above it; the source must be the folder with "
            "all subjects (and <subject_folder> says how many folders above 0, 1, 2 they are)"
        )
    return folder[-level]


def check_subjects(folders: Sequence[tuple[str, ...]], level: int) -> None:
    """Raise `InputError` where folders in several places have one subject's name: expressions, likely."""
    places = {}
    for folder in folders:
        subject = subject_of(folder, level)
        place = folder[:-level]
        if place and place[0].lower() in SPLIT_FOLDERS:
            place = place[1:]
        if places.setdefault(subject, place) != place:
            raise InputError(
                f"{subject} is the name of folders in {'/'.join(places[subject])} and in {'/'.join(place)}: "
                f"is it an expression's? Say where subjects are by <subject_folder> {level + 1}"
            )


def _sample(
    folder: Path,
    parts: tuple[str, ...],
    level: int,
    listed: dict[Path, dict[str, list[Path]]],
    scans: dict[str, list[Path]],
) -> Sample:
    subject, files = subject_of(parts, level), []
    for view in range(3):
        named = listed.get(folder / str(view), {})
        there = [path for name in PHOTO_NAMES for path in named.get(name, ())]
        path = only(there, "photos of one view") or folder / str(view) / PHOTO_NAMES[0]
        files.append(PhotoFile(path, landmarks_beside(path, named), view, read_stored_photo))
    fusion = listed.get(folder / "fusion", {})
    truth = {"points": spelled(fusion, folder / "fusion", "nicp_106_pts.txt")}
    expression = parts[1 - level] if level > 1 else ""
    of_expression = scans.get(plain(f"{subject}{expression}.obj"), ())
    objects = [path for name, paths in fusion.items() if name.endswith(".obj") for path in paths]
    scan = only(of_expression or fusion.get("gt.obj") or objects, f"scans of {'/'.join(parts)}")
    if scan:
        truth["scan"] = scan
    return Sample(subject, "/".join(parts), tuple(files), truth, SPLIT_FOLDERS.get(parts[0].lower()))
