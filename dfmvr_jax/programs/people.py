"""The people whose photos a user gave: one, or each in a folder of their own."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dfmvr_jax.command_line import as_printed
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.file_names import is_shown, printable
from dfmvr_jax.photos.preparation import (
    PhotoFile,
    check_names,
    find_photo_files,
    holds_only_results,
    landmarks_beside,
)
from dfmvr_jax.results import is_result

Tell = Callable[[Path, str | None], None]  # a folder is done, or why not
CheckNumber = Callable[[Sequence[PhotoFile], str | Path], None]  # raises `InputError` for too few or too many


def for_each_person(
    people: Mapping[Path, list[PhotoFile] | Path],
    check_number: CheckNumber,
    do: Callable[[list[PhotoFile], Path], None],
    tell: Tell,
) -> None:
    """Do something with each person's photos and the folder where the results go.

    Where that fails for one of several, it is said, and the others follow. `tell` hears of each folder that
    it is done, or why not. Raises `InputError` at the end.
    """
    failed = 0
    for folder, files in people.items():
        reason = None
        try:
            if isinstance(files, Path):
                files = find_photo_files(files)
            check_number(files, folder.name)
            do(files, folder)
        except Exception as error:  # whatever happens to one person of many, the others go on
            if len(people) == 1:
                raise
            failed += 1
            text = as_printed(error) if isinstance(error, InputError) else f"{folder.name}: {one_line(error)}"
            reason = printable(text)
            print(f"error: {reason}", file=sys.stderr)
        try:
            tell(folder, reason)
        except Exception as error:  # nor does a page that cannot be written end it
            print(f"warning: {printable(one_line(error))}", file=sys.stderr)
    if failed:
        raise InputError(f"{failed} of {len(people)} subjects were left out, see above")


def list_people(
    out: Path,
    photos: Sequence[Path],
    views: Mapping[str, tuple[Path, Path | None]],
    check_number: CheckNumber,
) -> dict[Path, list[PhotoFile] | Path]:
    """The photos of each person, or the folder that holds them, by the folder where the results go.

    Raises `InputError` where it is not clear whose photos they are.
    """
    if views:
        files = [
            PhotoFile(path, landmarks or landmarks_beside(path), VIEWS.index(view))
            for view, (path, landmarks) in views.items()
        ]
        check_chosen([path for path, _ in views.values()])
        check_number(files, "--left, --front, --right")
    elif len(photos) == 1 and photos[0].is_dir():
        (folder,) = photos
        if out.resolve() == folder.resolve():
            raise InputError(
                f"--out {out}: is the folder of the photos, where pictures of heads would be taken for photos"
                "; name another"
            )
        files = find_photo_files(folder)
        inner = [
            path
            for path in sorted(folder.iterdir())
            if path.is_dir() and is_shown(path) and path.resolve() != out.resolve()
        ]
        inner = [path for path in inner if not (os.access(path, os.R_OK) and holds_only_results(path))]
        if inner and not files:
            return {out / path.name: path for path in inner}
        people = [path for path in inner if os.access(path, os.R_OK) and find_photo_files(path)]
        if people:
            raise InputError(
                f"{folder}: holds {len(files)} photos, {files[0].path.name} first, and folders of photos, "
                f"{people[0].name} first: one person or many? Keep photos of many people in a folder for each"
            )
        check_number(files, folder)
    else:
        check_chosen(photos)
        files = [PhotoFile(path, landmarks_beside(path)) for path in photos]
        check_number(files, "--photos")
    return {out: files}


def check_faces(faces: Sequence[int], people: int) -> None:
    """Raise `InputError` where faces are chosen photo by photo, and there are several people."""
    if len(faces) > 1 and people > 1:
        raise InputError(
            f"--face {' '.join(map(str, faces))}: chooses faces of one person's photos, and there are "
            f"{people} people; give one number"
        )


def tell_doubts(doubts: Mapping[Path, str | None]) -> None:
    """Say of each photo whose face may be another one than is meant why that is so."""
    for path, doubt in doubts.items():
        if doubt:
            print(f"warning: {path}: {doubt}", file=sys.stderr)
    if any(doubts.values()):
        print("look at overview.png; --face 1 2 1 chooses a face of each photo, by size", file=sys.stderr)


def tell_earlier(files: Sequence[Path]) -> None:
    """Say which files of an earlier run lie among those that were just written."""
    if files:
        names = ", ".join(path.name for path in files)
        print(f"warning: {files[0].parent}: of an earlier run, not of this one: {names}", file=sys.stderr)


def check_chosen(photos: Sequence[Path]) -> None:
    """Raise `InputError` for pictures that we drew, and for two photos of one name."""
    for path in photos:
        if is_result(path):
            raise InputError(f"{path}: is no photo, but a picture that an earlier run drew; leave it out")
    check_names(photos)
