"""`load_face_model`: the built-in model, a BFM file, or a model of your own, by name."""

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from dfmvr_jax.conventions import HEAD_PARTS, UNIT_MM
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.face_model.bfm import load_bfm
from dfmvr_jax.face_model.builtin import load_builtin
from dfmvr_jax.face_model.gnm import load_gnm
from dfmvr_jax.face_model.ict_facekit import is_facekit
from dfmvr_jax.face_model.ict_model import load_ict
from dfmvr_jax.face_model.model_file import is_gnm, read_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.landmarks import COUNT

PLAUSIBLE_HEIGHT_MM = (80, 800)  # of faces, heads, busts; tells decimetres from cm and m
BUILTIN = {"builtin": "fine", "builtin-coarse": "coarse"}


class Loader(NamedTuple):
    """One kind of face model."""

    names: str  # what a user may write, for messages
    takes: Callable[[str], bool]  # whether a name is of this kind
    load: Callable[[str], MorphableModel]


@functools.lru_cache(maxsize=4)
def load_face_model(name: str) -> MorphableModel:
    """A face model by its name.

    That is "builtin", "builtin-coarse", the path of a `BFM_model_front.mat` file, of a clone of ICT-FaceKit,
    of the file that `prepare_ict` made of it or of `gnm_head.npz`, or "package.module:function".

    The last is for models of your own: the function takes nothing and returns a `MorphableModel`
    (docs/head_models.md, section "Another model"). Loaded once per process. Raises `InputError` for an
    unknown name and for what is no such model.
    """
    for loader in LOADERS:
        if loader.takes(name):
            return loader.load(name)
    *others, last = (loader.names for loader in LOADERS)
    raise InputError(f"face model {name}: expected {', '.join(others)}, or {last}")


def load_npz(path: Path) -> MorphableModel:
    """The model in an .npz file: one that `write_model` wrote, or GNM's; else `InputError`."""
    if is_gnm(path):
        return load_gnm(path)
    model = read_model(path)
    problem = _first_problem(model)
    if problem:
        raise InputError(f"{path}: {problem}")
    return model


def load_own(name: str) -> MorphableModel:
    """The model that "package.module:function" returns, its shapes and numbers checked; else `InputError`."""
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
    corners = 0 if model.uv is None else len(model.uv)
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
        "uv": (corners, 2),
        "uv_triangles": (triangles, 3),
        "photo_weight": (vertices,),
        "mirror": (vertices,),
        "expression_prior.scale": (expression,),
        "expression_prior.lowest": (expression,),
        "expression_prior.highest": (expression,),
    }
    if (model.uv is None) != (model.uv_triangles is None):
        return "it has only one of uv and uv_triangles; expected both or none"
    arrays = {field: _field(model, field) for field in shapes}
    arrays = {field: array for field, array in arrays.items() if array is not None}
    for field, array in arrays.items():
        found, expected = array.shape, shapes[field]
        if found != expected:
            return f"{field} has shape {found}, expected {expected}"
    one_past_the_last = {
        "triangles": vertices,
        "vertex_triangles": triangles + 1,  # the last stands for none
        "landmarks": vertices,
        "landmarks_3d": vertices,
        "part_labels": len(HEAD_PARTS),
        "uv_triangles": corners,
        "mirror": vertices,
    }
    for field, end in one_past_the_last.items():
        indices = arrays.get(field)
        if indices is not None and not (
            jnp.issubdtype(indices.dtype, jnp.integer) and (indices >= 0).all() and (indices < end).all()
        ):
            return f"{field} must be integers from 0 to {end - 1}"
    unbounded = ("expression_prior.lowest", "expression_prior.highest")
    for field, array in arrays.items():
        if jnp.isnan(array).any() or (field not in unbounded and jnp.isinf(array).any()):
            return f"{field} has values that are not finite"
    prior = model.expression_prior
    if prior is not None and (prior.scale <= 0).any():
        return "expression_prior.scale must be above 0"
    if prior is not None and (prior.lowest > prior.highest).any():
        return "expression_prior.lowest must not be above expression_prior.highest"
    if model.photo_weight is not None and ((model.photo_weight < 0) | (model.photo_weight > 1)).any():
        return "photo_weight must be from 0 to 1"
    if len(model.expression_names) not in (0, expression):
        return f"expression_names has {len(model.expression_names)} names, expected {expression} or none"
    height = UNIT_MM * float(jnp.ptp(model.mean_shape[:, 1]))
    if not PLAUSIBLE_HEIGHT_MM[0] < height < PLAUSIBLE_HEIGHT_MM[1]:
        return f"mean_shape is {height:.3g} mm high, expected a face or a head: lengths are decimetres"
    return ""


def _field(model: MorphableModel, name: str) -> Any:
    """A field of the model, or of one of its fields; None where there is none."""
    field: Any = model
    for part in name.split("."):
        field = None if field is None else getattr(field, part)
    return field


# the first that takes a name loads it
LOADERS = (
    Loader("builtin, builtin-coarse", BUILTIN.__contains__, lambda name: load_builtin(BUILTIN[name])),
    Loader(
        "the path of a BFM_model_front.mat file",
        lambda name: Path(name).suffix == ".mat",
        lambda name: load_bfm(Path(name)),
    ),
    Loader(
        "the folder of a clone of ICT-FaceKit",
        lambda name: is_facekit(Path(name)),
        lambda name: load_ict(Path(name)),
    ),
    Loader(
        "an .npz file of prepare_ict or GNM",
        lambda name: Path(name).suffix == ".npz",
        lambda name: load_npz(Path(name)),
    ),
    Loader("package.module:function of a model of your own", lambda name: ":" in name, load_own),
)
