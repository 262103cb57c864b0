"""A sheet of a data set's samples: what `datasets.show` draws."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.command_line import as_called
from dfmvr_jax.config import DataConfig, LossConfig
from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.datasets.pipeline import check_directory, load_split
from dfmvr_jax.losses import photo_weights
from dfmvr_jax.pictures import color_labels, draw_landmarks, enlarge, tile, to_uint8, write_picture
from dfmvr_jax.render.array_types import UInt8


def show(name: str, out: Path, directory: Path, split: str, subjects: int) -> None:
    """Draw the first subjects of a split. Raises `InputError` where they cannot be read or drawn."""
    if directory != Path(DataConfig.directory):
        check_directory(directory)
    examples = load_split(DataConfig(name=name, directory=str(directory)), split)
    shown = [examples[index] for index in range(min(subjects, len(examples)))]
    with_labels = examples.metadata["labels"] != "none"
    write_picture(out, sheet_of_samples(shown, with_labels))
    if not with_labels:
        print(as_called("it has no part labels; dfmvr-prepare --parse-net RUN would have made some"))
    print(f"{out}: {len(shown)} of {len(examples)} samples of {name}, {split}")


def sheet_of_samples(examples: list[dict], with_labels: bool = True) -> UInt8[np.ndarray, "height width 3"]:
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
