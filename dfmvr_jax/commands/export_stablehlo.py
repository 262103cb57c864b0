"""Write a trained run's inference as one self-contained StableHLO file, weights and face model inside.

Example: python -m dfmvr_jax.commands.export_stablehlo runs/x --out x.stablehlo

The function takes photos, float32 [3, h, w, 3] in [0, 1] (left, front, right; aligned), and given, bool [3],
which of them there are; it returns a dict of the coefficients and the vertices, float32 [n, 3], in model
space and units. To call it one needs JAX and flatbuffers and none of our code:

    function = jax.export.deserialize(bytearray(pathlib.Path("x.stablehlo").read_bytes()))
    face = function.call(photos, given)
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax
import jax.export
import jax.numpy as jnp
import tyro

from dfmvr_jax.command_line import parse_command, run
from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model import face_shape
from dfmvr_jax.files import check_is_file_name, whole_files
from dfmvr_jax.prediction import Run, load_run
from dfmvr_jax.render.array_types import Array, Bool, Float

PLATFORMS = ("cpu", "cuda")  # that the file runs on


@dataclasses.dataclass(frozen=True)
class ExportStableHloCommand:
    workdir: Annotated[Path, tyro.conf.Positional]  # folder that train.py or import_torch wrote
    out: Path  # file to write; one that is there is replaced
    face_model: str | None = None  # where the run's face model is; None: where it was in the training


def main() -> None:
    command = parse_command(ExportStableHloCommand, __doc__)
    check_is_file_name(command.out)
    exported = export(load_run(command.workdir, command.face_model))
    try:
        program = exported.serialize()
    except ImportError as error:
        raise InputError(
            f"{command.out}: cannot be written without flatbuffers: pip install flatbuffers"
        ) from error
    with whole_files(command.out.parent) as folder:
        (folder / command.out.name).write_bytes(program)
    print(f"{' and '.join(PLATFORMS)}: {command.out}")


def export(trained: Run) -> jax.export.Exported:
    """Photos and which of them are given to coefficients and vertices, as a program for `PLATFORMS`."""

    def face(photos: Float[Array, "3 h w 3"], given: Bool[Array, "3"]) -> dict[str, Array]:
        coefficients = trained.predict(photos, given).coefficients
        vertices = face_shape(trained.model, coefficients.identity, coefficients.expression)
        return coefficients._asdict() | {"vertices": vertices}

    size = trained.config.image_size
    photos = jax.ShapeDtypeStruct((3, size, size, 3), jnp.float32)
    given = jax.ShapeDtypeStruct((3,), jnp.bool_)
    return jax.export.export(jax.jit(face), platforms=PLATFORMS)(photos, given)


if __name__ == "__main__":
    run(main)
