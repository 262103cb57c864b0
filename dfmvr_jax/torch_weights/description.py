"""What no tensor tells, beside an exported PyTorch file: x.dfmvr.json for x.pth."""

import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

from dfmvr_jax.config import Config, config_from_json
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.topology import topology
from dfmvr_jax.files import read_json, whole_file


class Description(NamedTuple):
    config: Config
    face_model: dict  # its `topology`


def description_path(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".dfmvr.json")


def write_description(checkpoint: Path, config: Config, model: MorphableModel) -> None:
    """Raises `InputError` where the file cannot be written."""
    path = description_path(checkpoint)
    description = {"config": dataclasses.asdict(config), "face_model": topology(model)}
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(description, indent=2) + "\n")


def read_description(checkpoint: Path) -> Description | None:
    """None where there is none beside the checkpoint; raises `InputError` where it is damaged or outdated."""
    path = description_path(checkpoint)
    if not path.exists():
        return None
    try:
        description = read_json(path)
        return Description(config_from_json(description["config"]), dict(description["face_model"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: is no description of this version ({one_line(error)}): move it away to import "
            f"{checkpoint} without it"
        ) from None
