"""The files that we write of a person, by name: they are no photos, and may be those of an earlier run."""

import re
from collections.abc import Iterable
from pathlib import Path

DESCRIPTION = "coefficients.json"  # in each folder of results
NAMES = re.compile(
    r"mesh\.(ply|glb|obj|mtl)|texture(_photographed)?\.png|overview\.png|thumbnail\.jpg|view\.html"
    r"|head_\d+(_[\w-]+)?\.ply|overlay_(\d+(_[\w-]+)?\.jpg|(left|front|right)\.png)"
    rf"|{re.escape(DESCRIPTION)}",
    re.ASCII,
)


def is_result(path: Path) -> bool:
    """Whether a file is ours: called as ours are, and in a folder of results."""
    return bool(NAMES.fullmatch(path.name)) and (path.parent / DESCRIPTION).is_file()


def results_in(folder: Path) -> set[str]:
    """Names of our files in a folder."""
    return {path.name for path in _files(folder) if is_result(path)}


def is_folder_of_results(folder: Path) -> bool:
    """Whether we wrote a folder, of one person or of many."""
    return (folder / DESCRIPTION).is_file() or (
        (folder / "index.html").is_file() and any((path / DESCRIPTION).is_file() for path in _files(folder))
    )


def _files(folder: Path) -> Iterable[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return ()
