"""The folder of a run: one config, for good."""

from pathlib import Path

from dfmvr_jax.config import Config, differing_fields, read_config, write_config
from dfmvr_jax.errors import InputError
from dfmvr_jax.files import whole_files

# what may change when a run goes on: no update depends on it
RUNTIME_FIELDS = (
    "data.directory",
    "data.workers",
    "log_every",
    "picture_every",
    "checkpoint_every",
    "keep_checkpoints",
)


def check_workdir(workdir: Path, config: Config) -> None:
    """Raise `InputError` where the folder holds a run of another config."""
    path = workdir / "config.json"
    if not path.exists():
        return
    different = [
        field for field in differing_fields(config, read_config(path)) if not field.startswith(RUNTIME_FIELDS)
    ]
    if different:
        raise InputError(
            f"{path} is of a run with other settings ({'; '.join(different)}): "
            "choose a new --workdir, or give the same flags to go on with that run"
        )


def open_workdir(workdir: Path, config: Config) -> None:
    """Make the folder and write its config; a run that goes on may have new `RUNTIME_FIELDS`.

    Raises `InputError` where the folder holds a run of another config or cannot be written.
    """
    check_workdir(workdir, config)
    with whole_files(workdir) as folder:
        write_config(config, folder / "config.json")
