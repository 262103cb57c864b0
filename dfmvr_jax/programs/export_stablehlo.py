"""A run's inference as a StableHLO program: what `commands.export_stablehlo` does."""

from pathlib import Path

import flatbuffers  # noqa: F401  JAX writes with it
import jax
import jax.export
import jax.numpy as jnp

from dfmvr_jax.face_model import face_shape
from dfmvr_jax.files import whole_file
from dfmvr_jax.prediction import Run, load_run
from dfmvr_jax.render.array_types import Array, Bool, Float

PLATFORMS = ("cpu", "cuda")  # that the file runs on


def export_stablehlo(workdir: Path, out: Path, face_model: str | None) -> None:
    """Export the best checkpoint of a run. Raises `InputError` where it cannot be read or written."""
    program = export(load_run(workdir, face_model)).serialize()
    with whole_file(out) as unfinished:
        unfinished.write_bytes(program)
    print(f"{' and '.join(PLATFORMS)}: {out}")


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
