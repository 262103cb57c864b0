"""Names of files as machines write them: in any case, accents in two ways, bytes that are no Unicode."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dfmvr_jax.errors import InputError

# what programs keep in people's folders, besides hidden ones: macOS' archives, Synology, Windows, disks
DEBRIS = frozenset(
    ("__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "@tmp", "$recycle.bin", "recycler")
    + ("system volume information", "lost+found", "__pycache__")
)
LISTED = 5  # names of files in a message


def printable(text: str) -> str:
    """Text that can be written: names of files may hold bytes that are no UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def composed(name: str) -> str:
    """The name with its accents as they are typed; macOS has some that are decomposed."""
    return unicodedata.normalize("NFC", name)


def plain(name: str) -> str:
    """What all spellings of a name have in common, whatever their case and accents."""
    return composed(composed(name).casefold())


def is_shown(path: Path) -> bool:
    """Whether a file or folder is the user's, not one that programs keep: hidden, or `DEBRIS`."""
    return not path.name.startswith(".") and plain(path.name) not in DEBRIS


def by_plain_name(files: Iterable[Path]) -> dict[str, list[Path]]:
    """The files that are shown, by their `plain` names."""
    named = defaultdict(list)
    for file in sorted(files):
        if is_shown(file):
            named[plain(file.name)].append(file)
    return dict(named)


def only(files: Sequence[Path], what: str) -> Path | None:
    """The one file that there is for a purpose, in words, or None. Raises `InputError` for several."""
    if len(files) > 1:
        one_folder = len({file.parent for file in files}) == 1
        where, names = f"{files[0].parent}: ", list_names(files)
        if not one_folder:
            where, names = "", ", ".join(map(str, files))
        raise InputError(f"{where}{len(files)} {what}: {names}; take all but one away")
    return files[0] if files else None


def file_beside(
    path: Path, suffixes: Sequence[str], what: str, named: Mapping[str, Sequence[Path]] | None = None
) -> Path | None:
    """The file beside another that has its name and one of these suffixes, in any spelling, or None.

    Args:
      path: of the other file.
      suffixes: of lower case.
      what: it is, in words.
      named: `by_plain_name` of the folder, where it is known.

    Raises `InputError` where there are several.
    """
    if named is None:
        try:
            named = by_plain_name(path.parent.iterdir())
        except OSError:  # as of the photo itself, which is told of later
            return None
    there = [file for suffix in suffixes for file in named.get(plain(path.stem) + suffix, ())]
    return only([file for file in there if file.is_file()], f"files of {what} for {path.name}")


def list_names(files: Sequence[Path]) -> str:
    """The names of some files, for a message."""
    names = [file.name for file in files[:LISTED]]
    return ", ".join([*names, "..."] if len(files) > LISTED else names)
