"""Write a trained run as a PyTorch checkpoint with the released names.

Example: python -m dfmvr_jax.commands.export_torch --workdir runs/x --out x.pth

The file holds the reconstruction network and, as mask_model..., the parse net; of a run with a parse net
only, that net, named as in face_mask.pth. The config is written beside it (x.dfmvr.json), so that
python -m dfmvr_jax.commands.import_torch gives back the same networks, bit for bit. Needs torch.
"""

import dataclasses
from pathlib import Path

from dfmvr_jax.command_line import parse_command, program
from dfmvr_jax.files import check_is_file_name


@dataclasses.dataclass(frozen=True)
class ExportTorchFlags:
    workdir: Path  # folder of the run
    out: Path  # .pth file to write; one that is there is replaced
    # of the PyTorch code's camera (released: 1), model units: faces move so that it sees the same pictures;
    # None: they stay
    camera_distance: float | None = None
    face_model: str | None = None  # where the run's face model is; None: where it was in the training


@program("cli", "torch")
def main() -> None:
    flags = parse_command(ExportTorchFlags, __doc__, first="--workdir")
    check_is_file_name(flags.out)
    from dfmvr_jax.programs.export_torch import export_torch

    export_torch(**vars(flags))


if __name__ == "__main__":
    main()
