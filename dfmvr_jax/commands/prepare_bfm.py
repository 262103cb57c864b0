"""Build BFM_model_front.mat, the face model of the released weights, from the files that its owners hand out.

Example: python -m dfmvr_jax.commands.prepare_bfm --source BFM --out BFM_model_front.mat

The front crop of the Basel Face Model 2009 with expressions of FaceWarehouse: 35,709 of its 53,490 vertices,
80 identity, 64 expression and 80 albedo modes. --source is a folder with six files; it is said which of them
are missing, and where to get them.
"""

import dataclasses
from pathlib import Path

from dfmvr_jax.command_line import parse_command, program
from dfmvr_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class PrepareBfmFlags:
    source: Path  # folder with the owners' files
    out: Path = Path("BFM_model_front.mat")  # file to write


@program("cli")
def main() -> None:
    flags = parse_command(PrepareBfmFlags, __doc__)
    if flags.out.suffix.lower() != ".mat":
        raise InputError(f"--out {flags.out}: call it something.mat, as --face-model wants it")
    from dfmvr_jax.programs.prepare_bfm import prepare_bfm

    prepare_bfm(**vars(flags))


if __name__ == "__main__":
    main()
