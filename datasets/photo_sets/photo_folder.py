"""Your own photos: a folder of folders, each with three photos of one person.

    DIR/
      anna/   a.jpg b.jpg c.jpg             the head from the left, the front and the right, in any order
      ben/    left.png front.png right.png  or by name
              left.pts front.pts right.pts  and, if you have them, landmarks: 68 or five points a photo

A folder below another, DIR/anna/smiling/, is another sample of the same person, anna.
"""

from pathlib import Path

from dfmvr_jax.datasets.photo_sets.builder import PhotoSet, PhotoSetConfig
from dfmvr_jax.datasets.photo_sets.samples import Sample, walk
from dfmvr_jax.errors import InputError
from dfmvr_jax.photos.preparation import find_photo_files


class PhotoFolder(PhotoSet):
    @staticmethod
    def find_samples(config: PhotoSetConfig) -> list[Sample]:
        source = Path(config.source)
        loose = find_photo_files(source)  # which belong to nobody: the report says so
        samples = [Sample(file.path.name, file.path.name, (file,)) for file in loose]
        people, with_photos = set(), set()
        for folder, _ in walk(source):
            if folder == source:
                continue
            name = folder.relative_to(source)
            people.add(name.parts[0])
            if photos := find_photo_files(folder):
                with_photos.add(name.parts[0])
                samples.append(Sample(name.parts[0], str(name), tuple(photos)))
        if not with_photos:
            raise InputError(
                f"{source}: has no folders with photos; expected one a person, three photos in each"
            )
        return samples + [Sample(person, person, ()) for person in sorted(people - with_photos)]
