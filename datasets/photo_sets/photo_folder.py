"""Your own photos: a folder of folders, each with three photos of one person.

    DIR/
      anna/   a.jpg b.jpg c.jpg             the head from the left, the front and the right, in any order
      ben/    left.png front.png right.png  or by name
              left.pts front.pts right.pts  and, if you have them, landmarks: 68 or five points a photo

A folder below another, DIR/anna/smiling/, is another sample of the same person, anna.
"""

from functools import partial
from pathlib import Path

from dfmvr_jax.datasets.photo_sets.builder import PhotoSet, PhotoSetConfig
from dfmvr_jax.datasets.photo_sets.samples import Sample, sample_of, walk
from dfmvr_jax.errors import InputError
from dfmvr_jax.photos.preparation import PhotoFile, find_photo_files, holds_only_results
from dfmvr_jax.photos.reading import is_photo
from dfmvr_jax.results import is_result


class PhotoFolder(PhotoSet):
    @staticmethod
    def find_samples(config: PhotoSetConfig) -> list[Sample]:
        source = Path(config.source)
        loose = [
            path for path in source.iterdir() if is_photo(path) and path.is_file() and not is_result(path)
        ]
        # which belong to nobody: the report says so
        samples = [Sample(path.name, path.name, (PhotoFile(path),)) for path in loose]
        people, with_photos = set(), set()
        for folder, files in walk(source):
            if folder == source or holds_only_results(folder):
                continue
            name = folder.relative_to(source)
            person = name.parts[0]
            people.add(person)
            if any(is_photo(path) for path in files):
                with_photos.add(person)
                samples.append(sample_of(person, str(name), partial(_find, person, name, folder)))
        if not with_photos:
            raise InputError(
                f"{source}: has no folders with photos; expected one a person, three photos in each"
            )
        return samples + [Sample(person, person, ()) for person in sorted(people - with_photos)]


def _find(person: str, name: Path, folder: Path) -> Sample:
    return Sample(person, str(name), tuple(find_photo_files(folder)))
