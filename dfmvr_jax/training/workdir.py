"""The folder of a run: one config and one face model, for good."""

import json
from pathlib import Path

from dfmvr_jax.config import Config, differing_fields, flat_fields, read_config, settings, write_config
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.topology import check_topology, topology
from dfmvr_jax.files import read_json, whole_files

FACE_MODEL_FILE = "face_model.json"


def check_workdir(workdir: Path, config: Config) -> None:
    """Raise `InputError` where the folder holds a run of another config."""
    path = workdir / "config.json"
    if not path.exists():
        return
    different = differing_fields(flat_fields(config), flat_fields(read_config(path)))
    fields = settings()
    words = [
        f"<{name}> {words}"
        for name, words in different.items()
        if not fields[name].metadata.get("may_change")
    ]
    if words:
        raise InputError(
            f"{path} is of a run with other settings ({'; '.join(words)}): "
            "choose a new workdir, or give the same settings to go on with that run"
        )


def open_workdir(workdir: Path, config: Config, model: MorphableModel) -> None:
    """Make the folder and write its config; what `may_change` in a run that goes on is replaced.

    Raises `InputError` where the folder holds a run of another config or face model or cannot be written.
    """
    check_workdir(workdir, config)
    check_face_model(workdir, model)
    with whole_files(workdir) as folder:
        write_config(config, folder / "config.json")
        (folder / FACE_MODEL_FILE).write_text(json.dumps(topology(model), indent=2) + "\n")


def check_face_model(workdir: Path, model: MorphableModel) -> None:
    """Raise `InputError` unless the model has the triangles, landmarks and coefficients of the workdir's.

    Else coefficients, which are those of one face model, would be read as those of another.
    """
    path = workdir / FACE_MODEL_FILE
    if not path.exists():
        return
    try:
        theirs = read_json(path)
        if not isinstance(theirs, dict):
            raise ValueError(f"it holds {theirs!r:.50}")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({one_line(error)}); rename it to go without this check"
        ) from None
    check_topology(workdir, theirs, model)
