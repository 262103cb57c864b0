"""A subject of a data set as plain files: what `datasets.export` writes."""

from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from dfmvr_jax.config import DataConfig
from dfmvr_jax.conventions import UNIT_MM, VIEWS
from dfmvr_jax.datasets.pipeline import Split, check_directory, check_same_head, load_split
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import load_face_model
from dfmvr_jax.files import whole_files
from dfmvr_jax.pictures import to_uint8
from dfmvr_jax.render.array_types import Float, Int


def export_subject(name: str, out: Path, directory: Path, split: str, index: int) -> None:
    """Write the subject of that index. Raises `InputError` where it cannot be read or written."""
    if directory != Path(DataConfig.directory):
        check_directory(directory)
    examples = load_split(DataConfig(name=name, directory=str(directory)), split)
    if not 0 <= index < len(examples):
        raise InputError(f"--index {index}: the split {split} has subjects 0 to {len(examples) - 1}")
    example = examples[index]
    with whole_files(out) as folder:
        views = VIEWS if len(example["photos"]) == len(VIEWS) else ("photo",)
        for view, photo, landmarks in zip(views, to_uint8(example["photos"]), example["landmarks"]):
            Image.fromarray(photo).save(folder / f"{view}.png")
            np.savetxt(folder / f"{view}.txt", landmarks, fmt="%.3f")
        vertices, triangles = true_mesh(example, examples)
        if len(vertices):
            trimesh.Trimesh(vertices, triangles, process=False).export(folder / "truth.ply")
    print(f"{example['subject']}: {out}")


def true_mesh(example: dict, split: Split) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, "t 3"]]:
    """The scan, or the mesh that was rendered, mm; empty where there is none. `split` is the example's."""
    if "vertices" not in example:
        return example["scan_points"], example["scan_triangles"]
    model = load_face_model(split.metadata["face_model"])
    check_same_head(split, model)
    return example["vertices"] * UNIT_MM, np.asarray(model.triangles)
