"""The folder of a run: one config, for good."""

from pathlib import Path

from dfmvr_jax.config import Config, differing_fields, read_config, write_config
from dfmvr_jax.errors import InputError

# what may change when a run goes on: it does not change what is learnt
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
    """Make the folder and write its config, unless it holds a run of this config already.

    Raises `InputError` where it holds a run of another one or cannot be written; nothing is overwritten.
    """
    check_workdir(workdir, config)
    path = workdir / "config.json"
    if path.exists():
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        write_config(config, path)
    except OSError as error:
        raise InputError(
            f"{workdir} cannot be written ({error.strerror}); choose another --workdir"
        ) from None
