"""A face model in one `.npz` file: what `commands.prepare_ict` writes."""

import dataclasses
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.arkit import ARKIT, blendshape_sampler
from dfmvr_jax.face_model.morphable_model import MorphableModel, vertex_rings
from dfmvr_jax.face_model.prior import Prior
from dfmvr_jax.files import whole_file

BASES = ("identity_basis", "expression_basis", "albedo_basis")  # stored with half the precision
PRIOR = "expression_prior"
LEFT_OUT = ("expression_sampler", "vertex_triangles", PRIOR)  # made again, or stored in another way
FORMAT = "dfmvr_jax face model 1"


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
    with whole_file(path) as unfinished:
        np.savez(unfinished, format=np.array(FORMAT), **arrays)  # type: ignore[arg-type]  # no `allow_pickle`


def read_model(path: Path) -> MorphableModel:
    """Read a model. Expressions under ARKit's names are drawn as `arkit.blendshape_sampler` does.

    Raises `InputError` where the file is damaged or of another kind.
    """
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            if "format" not in file.files or str(file["format"]) != FORMAT:
                raise InputError(
                    f"{path}: is no face model; expected what dfmvr_jax.commands.prepare_ict writes, or "
                    f"gnm_head.npz; found {', '.join(file.files) or 'nothing'}"
                )
            arrays = {name: file[name] for name in file.files if name != "format"}
        stored = {field: f"{PRIOR}.{field}" for field in Prior._fields}
        prior = {field: jnp.asarray(arrays.pop(key)) for field, key in stored.items() if key in arrays}
        name, names = str(arrays.pop("name")), tuple(str(name) for name in arrays.pop("expression_names"))
        triangles = arrays["triangles"]
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
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as a face model ({error}); it may be cut off") from error


def is_gnm(path: Path) -> bool:
    """Whether an .npz file holds GNM's arrays; False where it cannot be read."""
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            return "template_vertex_positions" in file.files
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return False
