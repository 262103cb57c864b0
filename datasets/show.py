"""Draw samples of a data set on a sheet, to see whether it was prepared right.

    python -m datasets.show pixel_face/full --out sheet.png

One row a sample: the photos, the same with the 68 landmarks, their part labels, and the weights that
these give to the pixels in the photo loss (white: eyes, brows, nose and mouth with what is around them).
"""

import dataclasses
from pathlib import Path
from typing import Annotated

from dfmvr_jax.command_line import POSITIONAL, flag, parse_command, program
from dfmvr_jax.config import DataConfig
from dfmvr_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class ShowFlags:
    name: Annotated[str, POSITIONAL]  # data set and variant, e.g. synthetic/small
    out: Path = Path("sheet.png")  # picture to write
    # where prepared data sets are
    directory: Annotated[Path, flag("data.directory")] = Path(DataConfig.directory)
    split: str = "train"  # train, validation or test
    subjects: int = 8  # how many


@program("cli", "data")
def main() -> None:
    flags = parse_command(ShowFlags, __doc__, aliases={"--directory": "--data.directory"})
    if flags.subjects < 1:
        raise InputError(f"--subjects {flags.subjects}: expected 1 or more")
    from dfmvr_jax.datasets.sheet import show

    show(**vars(flags))


if __name__ == "__main__":
    main()
