"""Multi-PIE as TP-GAN's authors released it: aligned photos of 337 people from many cameras, no scans.

    DIR/.../001_01_01_051_06_crop_128.png   subject, session, recording, camera, light
    DIR/.../001_01_01_051_06_crop_128.5pt   if you have them: five landmarks of the photo

The folders in between do not matter. A sample is the front photo (camera 051) and one from either side by
cameras that stand at the same angle, taken at the same moment under the same light; there is one for each of
the angles asked for. Which of the two is the left photo, the detector tells.
"""

import re
from collections import defaultdict
from pathlib import Path

from dfmvr_jax.datasets.photo_sets.builder import PhotoSet, PhotoSetConfig
from dfmvr_jax.datasets.photo_sets.samples import Sample, walk
from dfmvr_jax.errors import InputError
from dfmvr_jax.photos.preparation import PhotoFile, landmarks_beside

FRONT = "051"
SIDES = {15: ("140", "050"), 30: ("130", "041"), 45: ("080", "190"), 60: ("090", "200")}  # cameras by angle
PHOTO = re.compile(r"(\d{3})_(\d{2})_(\d{2})_(\d{3})_(\d{2})(_.*)?\.(png|jpg|jpeg|bmp)", re.IGNORECASE)


class MultiPie(PhotoSet):
    @staticmethod
    def find_samples(config: PhotoSetConfig) -> list[Sample]:
        source = Path(config.source)
        unknown = set(config.angles) - set(SIDES)
        if unknown or not config.angles:
            given = " ".join(map(str, config.angles))
            raise InputError(f"<angles> {given}: expected some of {', '.join(map(str, SIDES))}")
        shots = defaultdict(dict)
        for path in (path for _, files in walk(source) for path in files):
            if match := PHOTO.fullmatch(path.name):
                subject, session, recording, camera, light = match.groups()[:5]
                shots[subject, session, recording, light].setdefault(camera, path)
        samples = []
        for (subject, session, recording, light), cameras in sorted(shots.items()):
            for angle in sorted(set(config.angles)):
                paths = [cameras.get(camera) for camera in (FRONT, *SIDES[angle])]
                if all(paths):
                    photos = tuple(PhotoFile(path, landmarks_beside(path)) for path in paths)
                    name = f"{subject}_{session}_{recording}_{light}_{angle:02d}"
                    samples.append(Sample(subject, name, photos))
        if not samples:
            raise InputError(
                f"{source}: has no photos of one moment by the cameras {FRONT} and, at the angles asked for, "
                f"{' or '.join(' and '.join(SIDES[angle]) for angle in config.angles)}; expected names like "
                "001_01_01_051_06_crop_128.png (subject, session, recording, camera, light)"
            )
        return samples
