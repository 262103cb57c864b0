"""A page of many people: index.html."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from dfmvr_jax.files import whole_file
from dfmvr_jax.viewer.pages import as_text, assemble

STYLES = ("look.css", "index.css")


class ListedPerson(NamedTuple):
    """A person in the list of many, who has a folder of that name or has none yet."""

    name: str
    notes: tuple[str, ...] = ()  # photos, errors; a line each
    view: str | None = None  # file in the folder, the page of the head; None: there is none
    thumbnail: str | None = None  # file in the folder, twice as wide as high
    failure: str | None = None  # why there is no head, or none of this time


def write_index(folder: Path, people: Sequence[ListedPerson]) -> None:
    """Write index.html, a card for each person, into the folder that has one folder a person.

    Raises `InputError` where the folder cannot be written to.
    """
    failed = sum(person.failure is not None for person in people)
    waiting = sum(person.view is None and person.failure is None for person in people)
    summary = [f"{len(people)} {'person' if len(people) == 1 else 'people'}"]
    summary += [f"{failed} failed"] if failed else []
    summary += [f"{waiting} still to come"] if waiting else []
    page = assemble(
        "index.html",
        STYLES,
        (),
        images="'self' file:",
        title=as_text(folder.resolve().name),
        summary=as_text(", ".join(summary)),
        people="\n".join(map(_card, people)),
    )
    with whole_file(folder / "index.html") as path:
        path.write_text(page, encoding="utf-8")


def _card(person: ListedPerson) -> str:
    name = as_text(person.name)
    notes = "".join(f'<p class="faint">{as_text(note)}</p>' for note in person.notes)
    if person.failure is not None:
        notes += f'<p class="failed">Failed: {as_text(person.failure)}</p>'
    elif person.view is None:
        notes += '<p class="faint">Still to come.</p>'
    picture = '<div class="blank"></div>'
    if person.thumbnail is not None:
        picture = f'<img src="{_link(person.name, person.thumbnail)}" alt="" loading="lazy">'
    if person.view is not None:
        name = f'<a href="{_link(person.name, person.view)}">{name}</a>'
    return f"<li>{picture}<div><h2>{name}</h2>{notes}</div></li>"


def _link(*names: str) -> str:
    """The relative address of a file, whatever its name."""
    return as_text("/".join([".", *(quote(os.fsencode(name)) for name in names)]))
