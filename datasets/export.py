"""Write one subject of a data set as plain files, as if somebody had photographed them.

    python -m datasets.export synthetic/small --split test --index 0 --out photos

Writes left.png, front.png, right.png (photo.png in a set of single photos), the 68 landmarks of each as
left.txt, ..., and the true mesh or the scan, truth.ply (millimetres), where the split has it. A synthetic
data set that is missing is prepared first.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

from dfmvr_jax.command_line import POSITIONAL, flag, parse_command, program
from dfmvr_jax.config import DataConfig


@dataclasses.dataclass(frozen=True)
class ExportSubjectFlags:
    name: Annotated[str, POSITIONAL]  # data set and variant, e.g. synthetic/small
    out: Path  # folder to write
    # where prepared data sets are
    directory: Annotated[Path, flag("data.directory")] = Path(DataConfig.directory)
    split: str = "test"  # train, validation or test
    index: int = 0  # which subject


@program("cli", "data")
def main() -> None:
    flags = parse_command(ExportSubjectFlags, __doc__, aliases={"--directory": "--data.directory"})
    from dfmvr_jax.datasets.subject_files import export_subject

    export_subject(**vars(flags))


if __name__ == "__main__":
    main()
