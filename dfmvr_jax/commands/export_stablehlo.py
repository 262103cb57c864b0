"""Write a trained run's inference as one self-contained StableHLO file, weights and face model inside.

Example: python -m dfmvr_jax.commands.export_stablehlo --workdir runs/x --out x.stablehlo

The function takes photos, float32 [3, h, w, 3] in [0, 1] (left, front, right; aligned), and given, bool [3],
which of them there are; it returns a dict of the coefficients and the vertices, float32 [n, 3], in model
space and units. To call it one needs JAX and flatbuffers and none of our code:

    function = jax.export.deserialize(bytearray(pathlib.Path("x.stablehlo").read_bytes()))
    face = function.call(photos, given)
"""

import dataclasses
from pathlib import Path

from dfmvr_jax.command_line import parse_command, program
from dfmvr_jax.files import check_is_file_name


@dataclasses.dataclass(frozen=True)
class ExportStablehloFlags:
    workdir: Path  # folder of the run
    out: Path  # file to write; one that is there is replaced
    face_model: str | None = None  # where the run's face model is; None: where it was in the training


@program("cli")
def main() -> None:
    flags = parse_command(ExportStablehloFlags, __doc__, first="--workdir")
    check_is_file_name(flags.out)
    from dfmvr_jax.programs.export_stablehlo import export_stablehlo

    export_stablehlo(**vars(flags))


if __name__ == "__main__":
    main()
