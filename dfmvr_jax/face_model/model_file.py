"""A face model in one `.npz` file: what `commands.prepare_ict` writes."""

import dataclasses
import tokenize
import zipfile
import zlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.face_model.arkit import ARKIT, blendshape_sampler
from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_rings
from dfmvr_jax.face_model.prior import Prior
from dfmvr_jax.files import whole_file
from dfmvr_jax.first_bytes import ZIP, mismatch

BASES = ("identity_basis", "expression_basis", "albedo_basis")  # stored with half the precision
PRIOR = "expression_prior"
LEFT_OUT = ("expression_sampler", "vertex_triangles", PRIOR)  # made again, or stored in another way
# whatever numpy raises for a file that is damaged, or no .npz file
UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, NotImplementedError, RuntimeError),
    *(MemoryError, zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
REMEDY = "make it again by python -m dfmvr_jax.commands.prepare_ict, or fetch gnm_head.npz again"
FORMAT = "dfmvr_jax face model 2"


def write_model(path: Path, model: MorphableModel) -> None:
    """Write a model. Raises `InputError` where the file cannot be written."""
    arrays = {
        field.name: np.asarray(value, np.float16 if field.name in BASES else None)
        for field in dataclasses.fields(model)
        if field.name not in LEFT_OUT and (value := getattr(model, field.name)) is not None
    }
    if model.expression_prior is not None:
        prior = model.expression_prior._asdict()
        arrays |= {f"{PRIOR}.{name}": np.asarray(value) for name, value in prior.items()}
    with whole_file(path) as unfinished, unfinished.open("wb") as file:  # else .NPZ would become .NPZ.npz
        np.savez(file, format=np.array(FORMAT), **arrays)  # type: ignore[arg-type]  # no `allow_pickle`


def read_model(path: Path) -> MorphableModel:
    """Read a model. Expressions under ARKit's names are drawn as `arkit.blendshape_sampler` does.

    Raises `InputError` where the file is damaged or of another kind.
    """
    if path.is_file() and not zipfile.is_zipfile(path):
        other = mismatch(path, "an .npz file", ZIP)
        raise InputError(f"{path}: {other or 'is no .npz file, or cut off'}; {REMEDY}")
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            found = ", ".join(file.files) or "nothing"
            kind = str(file["format"]) if "format" in file.files else ""
            arrays = {name: file[name] for name in file.files if name != "format"} if kind == FORMAT else {}
    except UNREADABLE as error:
        raise _damaged(path, error) from error
    if kind != FORMAT:
        other = "was written by another version of dfmvr_jax" if kind else "is no face model"
        raise InputError(
            f"{path}: {other}; expected what dfmvr_jax.commands.prepare_ict writes now, or gnm_head.npz; "
            f"found {found}"
        )
    try:
        stored = {field: f"{PRIOR}.{field}" for field in Prior._fields}
        prior = {field: jnp.asarray(arrays.pop(key)) for field, key in stored.items() if key in arrays}
        name, names = str(arrays.pop("name")), tuple(str(name) for name in arrays.pop("expression_names"))
        triangles = arrays["triangles"]
        for field, array in arrays.items():
            if array.dtype.kind not in "fiub" or (array.dtype.kind in "iu" and array.max(initial=0) >= 2**31):
                raise ValueError(f"{field} holds {array.dtype}, or numbers that are too large")
        return MorphableModel(
            name=name,
            expression_names=names,
            expression_prior=Prior(**prior) if prior else None,
            expression_sampler=blendshape_sampler(names) if set(names) & set(ARKIT) else None,
            vertex_triangles=jnp.asarray(vertex_rings(triangles, len(arrays["mean_shape"]))),
            **{
                field: jnp.asarray(array, jnp.float32 if field in BASES else None)
                for field, array in arrays.items()
            },
        )
    except (*UNREADABLE, IndexError) as error:
        raise _damaged(path, error) from error


def is_gnm(path: Path) -> bool:
    """Whether an .npz file holds GNM's arrays; False where it cannot be read."""
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            return "template_vertex_positions" in file.files
    except UNREADABLE:
        return False


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: cannot be read as a face model ({one_line(error)}); {REMEDY}")
