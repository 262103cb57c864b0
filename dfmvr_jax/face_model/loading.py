"""`load_face_model`: the built-in model, a BFM file, or a model of your own, by name."""

import functools
import importlib
from pathlib import Path

import jax.numpy as jnp

from dfmvr_jax.conventions import PARTS, UNIT_MM
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.face_model.builtin import load_builtin
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.landmarks import COUNT

PLAUSIBLE_HEIGHT_MM = (80, 800)  # of faces, heads, busts; tells decimetres from cm and m
BUILTIN = {"builtin": "fine", "builtin-coarse": "coarse"}


@functools.lru_cache(maxsize=4)
def load_face_model(name: str) -> MorphableModel:
    """A face model: "builtin", "builtin-coarse", a `BFM_model_front.mat` file, or "package.module:function".

    The last is for models of your own: the function takes nothing and returns a `MorphableModel`
    (docs/face_model.md, section "Another model"). Loaded once per process. Raises `InputError` for an unknown
    name and for what is no such model.
    """
    if name in BUILTIN:
        return load_builtin(BUILTIN[name])
    if Path(name).suffix == ".mat":
        from dfmvr_jax.face_model.bfm import load_bfm

        return load_bfm(Path(name))
    if ":" in name:
        return _load_own(name)
    raise InputError(
        f"face model {name}: expected one of {', '.join(BUILTIN)}, the path of a BFM_model_front.mat file, "
        "or package.module:function of a model of your own"
    )


def _load_own(name: str) -> MorphableModel:
    module_name, function_name = name.split(":", 1)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever running the module may raise
        raise InputError(
            f"face model {name}: {module_name or 'no module'} cannot be imported "
            f"({type(error).__name__}: {error}); is its folder on PYTHONPATH?"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InputError(f"face model {name}: {module_name} has no function {function_name!r}")
    try:
        model = function()
    except Exception as error:  # whatever it may raise
        raise InputError(f"face model {name}: {function_name} raised {one_line(error)}") from error
    if not isinstance(model, MorphableModel):
        raise InputError(f"face model {name}: returned {type(model).__name__}, expected a MorphableModel")
    problem = _first_problem(model)
    if problem:
        raise InputError(f"face model {name}: {problem}")
    return model


def _first_problem(model: MorphableModel) -> str:
    """What is wrong with a model's shapes and numbers, in words; empty if nothing."""
    vertices, triangles = len(model.mean_shape), len(model.triangles)
    identity, expression, albedo = model.dimensions
    shapes = {
        "mean_shape": (vertices, 3),
        "identity_basis": (vertices, 3, identity),
        "expression_basis": (vertices, 3, expression),
        "mean_albedo": (vertices, 3),
        "albedo_basis": (vertices, 3, albedo),
        "triangles": (triangles, 3),
        "vertex_triangles": (vertices, model.vertex_triangles.shape[-1]),
        "landmarks": (COUNT,),
        "landmarks_3d": (max(COUNT, len(model.landmarks_3d)),),
        "part_labels": (vertices,),
        "skin_mask": (vertices,),
    }
    for field, expected in shapes.items():
        found = getattr(model, field).shape
        if found != expected:
            return f"{field} has shape {found}, expected {expected}"
    one_past_the_last = {
        "triangles": vertices,
        "vertex_triangles": triangles + 1,  # the last stands for none
        "landmarks": vertices,
        "landmarks_3d": vertices,
        "part_labels": len(PARTS),
    }
    for field, end in one_past_the_last.items():
        indices = getattr(model, field)
        if not (
            jnp.issubdtype(indices.dtype, jnp.integer) and (indices >= 0).all() and (indices < end).all()
        ):
            return f"{field} must be integers from 0 to {end - 1}"
    for field in shapes:
        if not jnp.isfinite(getattr(model, field)).all():
            return f"{field} has values that are not finite"
    height = UNIT_MM * float(jnp.ptp(model.mean_shape[:, 1]))
    if not PLAUSIBLE_HEIGHT_MM[0] < height < PLAUSIBLE_HEIGHT_MM[1]:
        return f"mean_shape is {height:.3g} mm high, expected a face or a head: lengths are decimetres"
    return ""
