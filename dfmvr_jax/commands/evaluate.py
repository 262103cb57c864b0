"""Measure a trained run on subjects it has never seen, beside the mean face on the same subjects.

Example: dfmvr-evaluate --workdir runs/small

Takes the checkpoint of the lowest validation loss.
Writes metrics.json, subjects.csv and error_maps.png to the workdir's folder evaluation/.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

from dfmvr_jax.command_line import flag, parse_command, program
from dfmvr_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class EvaluateFlags:
    workdir: Path  # folder of the run
    # data set, such as synthetic/small; None: that of the training
    data_name: Annotated[str | None, flag("data.name")] = None
    # where prepared data sets are; None: where the training had them
    data_directory: Annotated[str | None, flag("data.directory")] = None
    split: str = "test"  # train, validation or test
    face_model: str | None = None  # where the run's face model is; None: where it was in the training
    out: Path | None = None  # folder for the report, replaced if there; None: evaluation/ in the workdir
    pictures: int = 6  # subjects to draw in error_maps.png


@program("cli", "data", "evaluation")
def main() -> None:
    aliases = {"--data-name": "--data.name", "--data-directory": "--data.directory"}
    flags = parse_command(EvaluateFlags, __doc__, aliases)
    if flags.pictures < 0:
        raise InputError(f"--pictures {flags.pictures}: expected 0 or more")
    from dfmvr_jax.programs.evaluate import evaluate

    evaluate(**vars(flags))


if __name__ == "__main__":
    main()
