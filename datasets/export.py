"""Write one subject of a data set as plain files, as if somebody had photographed them.

    python -m datasets.export synthetic/small --split test --index 0 --out photos

Writes left.png, front.png, right.png (photo.png in a set of single photos), the 68 landmarks of each as
left.txt, ..., and the true mesh or the scan, truth.ply (millimetres), where the split has it. A synthetic
data set that is missing is prepared first.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image

from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.config import DataConfig
from dfmvr_jax.conventions import UNIT_MM, VIEWS
from dfmvr_jax.datasets.pipeline import load_split
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.files import whole_files
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.render.array_types import Float, Int


@dataclasses.dataclass(frozen=True)
class ExportSubjectCommand:
    name: Annotated[str, tyro.conf.Positional]  # data set and variant, e.g. synthetic/small
    out: Path  # folder to write
    directory: Path = Path(DataConfig.directory)  # of data sets
    split: str = "test"  # train, validation or test
    index: int = 0  # which subject


def main() -> None:
    command = parse_command(ExportSubjectCommand, __doc__)
    split = load_split(DataConfig(name=command.name, directory=str(command.directory)), command.split)
    if not 0 <= command.index < len(split):
        raise InputError(
            f"--index {command.index}: the split {command.split} has subjects 0 to {len(split) - 1}"
        )
    example = split[command.index]
    with whole_files(command.out) as folder:
        views = VIEWS if len(example["photos"]) == len(VIEWS) else ("photo",)
        for view, photo, landmarks in zip(views, to_uint8(example["photos"]), example["landmarks"]):
            Image.fromarray(photo).save(folder / f"{view}.png")
            np.savetxt(folder / f"{view}.txt", landmarks, fmt="%.3f")
        vertices, triangles = true_mesh(example, split.metadata["face_model"])
        if len(vertices):
            import trimesh

            trimesh.Trimesh(vertices, triangles, process=False).export(folder / "truth.ply")
    print(f"{example['subject']}: {command.out}")


def true_mesh(example: dict, face_model: str) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, "t 3"]]:
    """The scan, or the mesh that was rendered, mm; empty where there is none."""
    if "vertices" not in example:
        return example["scan_points"], example["scan_triangles"]
    model = load_face_model(face_model)
    return example["vertices"] * UNIT_MM, np.asarray(model.triangles)


if __name__ == "__main__":
    run(main)
