"""Turn PyTorch checkpoints into the workdir of a run, to evaluate, to reconstruct with, or to train from.

Example:
    python -m dfmvr_jax.commands.import_torch df_mvr.pth --out runs/released --face-model BFM_model_front.mat

Takes the released DF-MVR file, a face parsing file (face_mask.pth, or the common one of 19 classes), or both:
then the parse net is that of its own file. Only tensors are read from the files, no code. Needs torch.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

from dfmvr_jax.command_line import POSITIONAL, parse_command, program
from dfmvr_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class ImportFlags:
    checkpoints: Annotated[tuple[Path, ...], POSITIONAL]  # .pth files, one or two
    out: Path  # folder to make: a workdir
    # builtin, builtin-coarse, or the path of the BFM_model_front.mat that the released weights speak of
    face_model: str | None = None
    image_size: int | None = None  # side of photos, pixels; None: 224, or that of an exported run
    # also where tensors are missing or do not fit, which then start as in a new network, or unknown: left out
    partial: bool = False


@program("cli", "torch")
def main() -> None:
    flags = parse_command(ImportFlags, __doc__)
    if not flags.checkpoints:
        raise InputError("name the .pth files to import")
    if (flags.out / "config.json").exists():
        raise InputError(f"--out {flags.out}: there is a run in it already; name another folder")
    from dfmvr_jax.programs.import_torch import import_torch

    import_torch(**vars(flags))


if __name__ == "__main__":
    main()
