"""Draw a contact sheet of a data set, to see whether it was prepared right.

    python -m datasets.show pixel_face/full --out sheet.png

One row a sample: the photos, the same with the 68 landmarks, their part labels, and the weights that
these give to the pixels in the photo loss (white: eyes, brows, nose and mouth with what is around them).
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
import numpy as np
import tyro

from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.config import DataConfig, LossConfig
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.datasets.pipeline import load_split
from dfmvr_jax.errors import InputError
from dfmvr_jax.losses import photo_weights
from dfmvr_jax.pictures import color_labels, draw_landmarks, enlarge, tile, to_uint8, write_picture
from dfmvr_jax.render.array_types import UInt8


@dataclasses.dataclass(frozen=True)
class ShowCommand:
    name: Annotated[str, tyro.conf.Positional]  # data set and variant, e.g. synthetic/small
    out: Path = Path("sheet.png")  # picture to write
    directory: Path = Path(DataConfig.directory)  # of data sets
    split: str = "train"  # train, validation or test
    subjects: int = 8  # how many


def contact_sheet(examples: list[dict], with_labels: bool = True) -> UInt8[np.ndarray, "height width 3"]:
    """One row an example: photos, photos with landmarks, part labels, weight maps, each of all views."""
    rows = []
    for example in examples:
        photos = [enlarge(photo) for photo in to_uint8(example["photos"])]
        scale = photos[0].shape[0] // example["photos"].shape[1]
        marked = [draw_landmarks(*view) for view in zip(photos, scale * example["landmarks"])]
        row = [*photos, *marked]
        if with_labels:
            weights = np.asarray(photo_weights(LossConfig(), jnp.asarray(example["labels"])))
            grey = np.repeat((weights / weights.max())[..., None], 3, axis=-1)
            row += [enlarge(color_labels(labels)) for labels in example["labels"]]
            row += [enlarge(view) for view in to_uint8(grey)]
        rows.append(row)
    views = VIEWS if len(examples[0]["photos"]) == len(VIEWS) else [""]
    kinds = ("photo", "landmarks", "parts", "weights")[: 4 if with_labels else 2]
    names = [f"{kind} {view}".strip() for kind in kinds for view in views]
    return tile(rows, [example.get("name", example["subject"]) for example in examples], names)


def main() -> None:
    command = parse_command(ShowCommand, __doc__)
    if command.subjects < 1:
        raise InputError(f"--subjects {command.subjects}: expected 1 or more")
    split = load_split(DataConfig(name=command.name, directory=str(command.directory)), command.split)
    examples = [split[index] for index in range(min(command.subjects, len(split)))]
    with_labels = split.metadata["labels"] != "none"
    write_picture(command.out, contact_sheet(examples, with_labels))
    if not with_labels:
        print("it has no part labels; datasets.prepare --parse-net RUN would have made some")
    print(f"{command.out}: {len(examples)} of {len(split)} samples of {command.name}, {command.split}")


if __name__ == "__main__":
    run(main)
