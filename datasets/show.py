"""Draw a contact sheet of a data set, to see whether it was prepared right.

    python -m datasets.show synthetic/small --out sheet.png

One row a subject: the three photos, the same with the 68 landmarks, and their part labels.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image, ImageDraw

from datasets.pipeline import load_split
from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.config import DataConfig
from dfmvr_jax.errors import InputError
from render.array_types import Float, UInt8

PART_COLORS = np.array(
    [
        [0, 0, 0],  # background
        [205, 160, 130],  # face skin
        [150, 80, 200],  # left brow
        [90, 40, 140],  # right brow
        [60, 130, 240],  # left eye
        [20, 60, 160],  # right eye
        [250, 200, 40],  # nose
        [255, 255, 255],  # mouth
        [230, 60, 80],  # upper lip
        [140, 20, 50],  # lower lip
    ],
    np.uint8,
)


@dataclasses.dataclass(frozen=True)
class ShowCommand:
    name: Annotated[str, tyro.conf.Positional]  # data set and variant, e.g. synthetic/small
    out: Path = Path("sheet.png")  # picture to write
    directory: Path = Path(DataConfig.directory)  # of data sets
    split: str = "train"  # train, validation or test
    subjects: int = 8  # how many


def contact_sheet(examples: list[dict]) -> UInt8[np.ndarray, "height width 3"]:
    """One row an example: photos, photos with landmarks, part labels, each left, front, right.

    Photos smaller than 224 px are enlarged by a whole number.
    """
    rows = []
    for example in examples:
        scale = max(1, 224 // example["photos"].shape[1])
        photos = np.uint8(np.round(255 * example["photos"])).repeat(scale, axis=1).repeat(scale, axis=2)
        parts = PART_COLORS[example["labels"]].repeat(scale, axis=1).repeat(scale, axis=2)
        marked = [draw_points(photo, scale * points) for photo, points in zip(photos, example["landmarks"])]
        rows.append(np.concatenate([*photos, *marked, *parts], axis=1))
    return np.concatenate(rows)


def draw_points(
    photo: UInt8[np.ndarray, "height width 3"], points: Float[np.ndarray, "n 2"]
) -> UInt8[np.ndarray, "height width 3"]:
    """The photo with a green dot at each point (x, y), pixels."""
    image = Image.fromarray(photo)
    draw, radius = ImageDraw.Draw(image), round(photo.shape[0] / 150)
    for column, row in np.floor(points).astype(int).tolist():
        draw.rectangle([column - radius, row - radius, column + radius, row + radius], fill=(40, 255, 60))
    return np.asarray(image)


def main() -> None:
    command = parse_command(ShowCommand, __doc__)
    split = load_split(DataConfig(name=command.name, directory=str(command.directory)), command.split)
    examples = [split[index] for index in range(min(command.subjects, len(split)))]
    try:
        Image.fromarray(contact_sheet(examples)).save(command.out)
    except (OSError, ValueError) as error:
        raise InputError(f"{command.out}: cannot be written as a picture ({error})") from error
    print(f"{command.out}: {len(examples)} of {len(split)} subjects of {command.name}, {command.split}")


if __name__ == "__main__":
    run(main)
