"""Draw a contact sheet of a data set, to see whether it was prepared right.

    python -m datasets.show synthetic/small --out sheet.png

One row a subject: the three photos, the same with the 68 landmarks, and their part labels. A data set
that is missing is prepared first.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from datasets.pipeline import load_split
from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.config import DataConfig
from dfmvr_jax.errors import InputError
from dfmvr_jax.files import write_picture
from dfmvr_jax.pictures import color_labels, draw_landmarks, enlarge, tile, to_uint8
from render.array_types import UInt8


@dataclasses.dataclass(frozen=True)
class ShowCommand:
    name: Annotated[str, tyro.conf.Positional]  # data set and variant, e.g. synthetic/small
    out: Path = Path("sheet.png")  # picture to write
    directory: Path = Path(DataConfig.directory)  # of data sets
    split: str = "train"  # train, validation or test
    subjects: int = 8  # how many


def contact_sheet(examples: list[dict]) -> UInt8[np.ndarray, "height width 3"]:
    """One row an example: photos, photos with landmarks, part labels, each left, front, right."""
    rows = []
    for example in examples:
        photos = [enlarge(photo) for photo in to_uint8(example["photos"])]
        scale = photos[0].shape[0] // example["photos"].shape[1]
        marked = [draw_landmarks(*view) for view in zip(photos, scale * example["landmarks"])]
        rows.append([*photos, *marked, *(enlarge(color_labels(labels)) for labels in example["labels"])])
    return tile(rows, [example["subject"] for example in examples])


def main() -> None:
    command = parse_command(ShowCommand, __doc__)
    if command.subjects < 1:
        raise InputError(f"--subjects {command.subjects}: expected 1 or more")
    split = load_split(DataConfig(name=command.name, directory=str(command.directory)), command.split)
    examples = [split[index] for index in range(min(command.subjects, len(split)))]
    write_picture(command.out, contact_sheet(examples))
    print(f"{command.out}: {len(examples)} of {len(split)} subjects of {command.name}, {command.split}")


if __name__ == "__main__":
    run(main)
