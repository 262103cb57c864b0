"""Bosphorus: 105 people, scanned with the head turned by several angles. For evaluation only.

    DIR/.../bs000_N_N_0.png      photo from the front, neutral
    DIR/.../bs000_N_N_0.bnt      its range image: the scan that reconstructions are measured against
    DIR/.../bs000_YR_R45_0.png   photo with the head turned to the subject's right, here by 45 degrees: left
    DIR/.../bs000_YR_L45_0.png   to the subject's left, by 45 degrees: right

The folders in between do not matter. `left_yaw` takes the left photo at 10, 20, 30 or 45 degrees, as the
paper's table 4 does; the right photo is at 45. The mesh is a Delaunay triangulation of the range image.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.datasets.photo_sets.builder import PhotoSet, PhotoSetConfig
from dfmvr_jax.datasets.photo_sets.range_images import delaunay_triangles, points_at, read_range_image
from dfmvr_jax.datasets.photo_sets.samples import Sample, ScanMesh, Truth, sample_of, spelled, walk
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.file_names import by_plain_name
from dfmvr_jax.landmarks import OUTER_EYE_CORNERS, REGISTRATION
from dfmvr_jax.photos.preparation import PhotoFile, PreparedPhoto, landmarks_beside, naming

LEFT_YAWS = (10, 20, 30, 45)
FRONT_PHOTO = re.compile(r"(bs\d{3})_N_N_0\.(png|jpg|bmp)", re.IGNORECASE)
NEAR = 0.1  # of the distance of the outer eye corners, within which a landmark must have been scanned


class Bosphorus(PhotoSet):
    usual_test_share = 1.0

    @staticmethod
    def find_samples(config: PhotoSetConfig) -> list[Sample]:
        source = Path(config.source)
        if config.left_yaw not in LEFT_YAWS:
            expected = ", ".join(map(str, LEFT_YAWS))
            raise InputError(f"<left_yaw> {config.left_yaw}: expected one of {expected}")
        samples = []
        turns = (f"YR_R{config.left_yaw:02d}", "N_N", "YR_L45")
        for folder, files in walk(source):
            named = by_plain_name(files)
            for front in files:
                if match := FRONT_PHOTO.fullmatch(front.name):
                    subject = match[1].lower()
                    find = partial(_sample, subject, turns, front.suffix, folder, named)
                    samples.append(sample_of(subject, subject, find))
        if not samples:
            raise InputError(f"{source}: has no photos called bs000_N_N_0.png and so on")
        return samples

    @staticmethod
    def read_truth(
        sample: Sample, photos: Sequence[PreparedPhoto], model: MorphableModel, size: int
    ) -> Truth:
        path, front = sample.truth["scan"], photos[VIEWS.index("front")]
        image = read_range_image(path)
        landmarks = front.landmarks
        with naming(path):
            if len(landmarks) != 68:
                raise InputError("needs 68 landmarks of the front photo, whose file has five")
            right, left = landmarks[list(OUTER_EYE_CORNERS)]
            within = NEAR * float(np.linalg.norm(right - left))
            pixels = landmarks[list(REGISTRATION)]
            on_scan = points_at(image, pixels, front.photo.shape[:2], within)
            return Truth(scan=ScanMesh(image.points, delaunay_triangles(image.points), on_scan))


def _sample(
    subject: str, turns: Sequence[str], suffix: str, folder: Path, named: dict[str, list[Path]]
) -> Sample:
    paths = [spelled(named, folder, f"{subject}_{turn}_0{suffix}") for turn in turns]
    photos = [PhotoFile(path, landmarks_beside(path, named), view) for view, path in enumerate(paths)]
    scan = spelled(named, folder, f"{subject}_N_N_0.bnt")
    return Sample(subject, subject, tuple(photos), {"scan": scan})
