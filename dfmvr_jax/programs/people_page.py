"""The page of all people of a run, kept up to date while it runs."""

from collections.abc import Collection, Iterable
from pathlib import Path

from dfmvr_jax.files import read_json
from dfmvr_jax.programs.people import Tell
from dfmvr_jax.results import DESCRIPTION
from dfmvr_jax.viewer.write_index import ListedPerson, write_index

ERRORS = {
    "landmark_error_of_eye_distance": "Landmarks off by",
    "left_out_error_of_eye_distance": "By the other photos alone:",
}


class PeoplePage:
    """index.html of the folder in which each person has one: those of this run, and of earlier runs.

    It is written at once and again with each news, so that a run that is killed leaves a page that tells how
    far it came.
    """

    def __init__(self, folder: Path, people: Iterable[Path]):
        earlier = folder.glob(f"*/{DESCRIPTION}") if folder.is_dir() else ()
        self.folder = folder
        self.people = {
            person: saved_person(person) for person in (*people, *(path.parent for path in earlier))
        }
        self._write()

    def tell(self, person: Path, failure: str | None) -> None:
        """Take in that a person's files were written, or why not."""
        self.people[person] = saved_person(person)._replace(failure=failure)
        self._write()

    def _write(self) -> None:
        write_index(self.folder, [self.people[person] for person in sorted(self.people)])


def tell_page(folder: Path, people: Collection[Path]) -> Tell:
    """Give what keeps the page of people up to date, which is written now; nothing for one person alone."""
    if list(people) == [folder]:
        return lambda person, failure: None
    page = PeoplePage(folder, people)
    print(f"all of them, kept up to date: {folder / 'index.html'}")
    return page.tell


def saved_person(folder: Path) -> ListedPerson:
    """What a person's folder tells; files that are missing or damaged tell nothing."""
    there = {name: name if (folder / name).is_file() else None for name in ("view.html", "thumbnail.jpg")}
    try:
        found = read_json(folder / DESCRIPTION)
        notes = describe_person(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        notes = ()
    return ListedPerson(folder.name, notes, there["view.html"], there["thumbnail.jpg"])


def describe_person(found: dict) -> tuple[str, ...]:
    """Say by their coefficients.json how many photos a person has, and how well the head fits them."""

    photos = found["photos"]
    if isinstance(photos, dict):  # by view, as a network has them
        photos = [photo for photo in photos.values() if photo]
    count = f"{len(photos)} photo{'s' if len(photos) > 1 else ''}"
    if found.get("left_out"):
        count += f", {len(found['left_out'])} left out"
    notes = [count]
    for key, said in ERRORS.items():
        shares = [photo[key] for photo in photos if key in photo]
        if shares:
            notes.append(f"{said} {100 * sum(shares) / len(shares):.1f} % of the eyes' distance")
    if "scan" in found:
        notes.append(f"RMSE to the scan {found['scan']['rmse_mm']:.2f} mm")
    return tuple(notes)
