"""Put ICT-FaceKit, a head model of scanned people with ARKit's expressions, into one file that loads fast.

Example:

    git clone https://github.com/ICT-VGL/ICT-FaceKit
    python -m dfmvr_jax.commands.prepare_ict --source ICT-FaceKit --out ict.npz
    python train.py --preset small+ict --workdir runs/ict

Its licence is MIT (USC Institute for Creative Technologies). Colours, of which it has none, are the built-in
head's. --coarse keeps less than half of the vertices, for machines without a GPU.
"""

import dataclasses
from pathlib import Path

from dfmvr_jax.command_line import parse_command, program
from dfmvr_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class PrepareIctFlags:
    source: Path  # the folder that git clone gives
    out: Path = Path("ict.npz")  # file to write
    coarse: bool = False  # 11,000 vertices in the place of 23,000


@program("cli")
def main() -> None:
    flags = parse_command(PrepareIctFlags, __doc__)
    if flags.out.suffix.lower() != ".npz":
        raise InputError(f"--out {flags.out}: call it something.npz, as --face-model wants it")
    from dfmvr_jax.face_model.ict_model import prepare_ict

    prepare_ict(**vars(flags))


if __name__ == "__main__":
    main()
