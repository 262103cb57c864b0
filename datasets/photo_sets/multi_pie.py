"""Multi-PIE as TP-GAN's authors released it: aligned photos of 337 people from many cameras, no scans.

    DIR/.../001_01_01_051_06_crop_128.png   subject, session, recording, camera, light
    DIR/.../001_01_01_051_06_crop_128.5pt   if you have them: five landmarks of the photo

The folders in between do not matter. A sample is the front photo (camera 051) and one from either side by
cameras that stand at the same angle, taken at the same moment under the same light; there is one for each of
the angles asked for. Which of the two is the left photo, the detector tells.
"""

import re
from collections import defaultdict
from functools import partial
from pathlib import Path

from dfmvr_jax.datasets.photo_sets.builder import PhotoSet, PhotoSetConfig
from dfmvr_jax.datasets.photo_sets.samples import Sample, sample_of, walk
from dfmvr_jax.errors import InputError
from dfmvr_jax.file_names import by_plain_name, only
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
        shots = defaultdict(lambda: defaultdict(list))
        named = {}
        for folder, files in walk(source):
            named[folder] = by_plain_name(files)
            for path in files:
                if match := PHOTO.fullmatch(path.name):
                    subject, session, recording, camera, light = match.groups()[:5]
                    shots[subject, session, recording, light][camera].append(path)
        samples = []
        for (subject, session, recording, light), cameras in sorted(shots.items()):
            for angle in sorted(set(config.angles)):
                seen = {camera: cameras[camera] for camera in (FRONT, *SIDES[angle]) if camera in cameras}
                if len(seen) == 3:
                    name = f"{subject}_{session}_{recording}_{light}_{angle:02d}"
                    samples.append(sample_of(subject, name, partial(_sample, subject, name, seen, named)))
        if not samples:
            raise InputError(
                f"{source}: has no photos of one moment by the cameras {FRONT} and, at the angles asked for, "
                f"{' or '.join(' and '.join(SIDES[angle]) for angle in config.angles)}; expected names like "
                "001_01_01_051_06_crop_128.png (subject, session, recording, camera, light)"
            )
        return samples


def _sample(subject: str, name: str, seen: dict[str, list[Path]], named: dict[Path, dict]) -> Sample:
    paths = [only(paths, f"photos of {name} by camera {camera}") for camera, paths in seen.items()]
    photos = (PhotoFile(path, landmarks_beside(path, named[path.parent])) for path in paths)
    return Sample(subject, name, tuple(photos))
