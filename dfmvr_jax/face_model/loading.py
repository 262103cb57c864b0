"""`load_face_model`: the built-in model, a BFM file, or a model of your own, by name."""

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfmvr_jax.conventions import HEAD_PARTS
from dfmvr_jax.errors import InputError, one_line
from dfmvr_jax.face_model.bfm import load_bfm
from dfmvr_jax.face_model.builtin import load_builtin
from dfmvr_jax.face_model.height import check_height
from dfmvr_jax.face_model.ict_facekit import CLONE, is_facekit
from dfmvr_jax.face_model.model_file import REMEDY, is_gnm, read_model
from dfmvr_jax.face_model.morphable_model import MorphableModel
from dfmvr_jax.face_model.sampling import SIMILAR
from dfmvr_jax.landmarks import COUNT

BUILTIN = {"builtin": "fine", "builtin-coarse": "coarse"}


class Loader(NamedTuple):
    """One kind of face model."""

    names: str  # what a user may write, for messages
    takes: Callable[[str], bool]  # whether a name is of this kind
    load: Callable[[str], MorphableModel]
    remedy: str  # for one that cannot be used, in words


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
        try:
            if loader.takes(name):
                return loader.load(name)
        except InputError:
            raise
        except Exception as error:  # a damaged file makes numpy, scipy and zipfile raise almost anything
            remedy = "may you read it?" if isinstance(error, OSError) else loader.remedy
            raise InputError(f"face model {name}: cannot be used ({one_line(error)}); {remedy}") from error
    *others, last = (loader.names for loader in LOADERS)
    raise InputError(f"face model {name}: {_what_it_is(name)}expected {', '.join(others)}, or {last}")


def _what_it_is(name: str) -> str:
    """What is there under a name that no loader takes, for a message."""
    path = Path(name)
    if path.is_dir():
        return "this folder has no FaceXModel; "
    if path.is_file():
        return f"a file that ends in {path.suffix or 'nothing'} is none; "
    return "there is no such file or folder; " if path.suffix or path.parent != Path() else ""


def load_clone(folder: Path) -> MorphableModel:
    """The model in a clone of ICT-FaceKit; else `InputError`."""
    from dfmvr_jax.face_model.ict_model import load_ict  # imports for half a second: not for other models

    return load_ict(folder)


def load_npz(path: Path) -> MorphableModel:
    """The model in an .npz file: one that `write_model` wrote, or GNM's; else `InputError`."""
    if not path.exists():
        raise InputError(
            f"face model {path}: there is no such file{'' if path.is_absolute() else f' in {Path.cwd()}'}; "
            "python -m dfmvr_jax.commands.prepare_ict makes ict.npz of a clone of ICT-FaceKit "
            "(docs/head_models.md, also for gnm_head.npz)"
        )
    if is_gnm(path):
        from dfmvr_jax.face_model.gnm import load_gnm  # imports for half a second: not for other models

        return load_gnm(path)
    return read_model(path)


def load_own(name: str) -> MorphableModel:
    """The model that "package.module:function" returns; else `InputError`."""
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
    return model


def _checked(name: str, model: MorphableModel) -> MorphableModel:
    """The model, its shapes and numbers checked; else `InputError`."""
    if problem := _first_problem(model):
        raise InputError(f"face model {name}: {problem}")
    check_height(f"face model {name}", np.asarray(model.mean_shape))
    return model


def _first_problem(model: MorphableModel) -> str:
    """What is wrong with a model's shapes and numbers, in words; empty if nothing."""
    vertices, triangles = len(model.mean_shape), len(model.triangles)
    corners = 0 if model.uv is None else len(model.uv)
    examples = 0 if model.albedo_examples is None else len(model.albedo_examples)
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
        "albedo_examples": (examples, albedo),
        "expression_prior.scale": (expression,),
        "expression_prior.lowest": (expression,),
        "expression_prior.highest": (expression,),
    }
    if (model.uv is None) != (model.uv_triangles is None):
        return "it has only one of uv and uv_triangles; expected both or none"
    arrays = {field: _field(model, field) for field in shapes}
    # in numpy, which compiles nothing
    arrays = {field: np.asarray(array) for field, array in arrays.items() if array is not None}
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
            np.issubdtype(indices.dtype, np.integer) and (indices >= 0).all() and (indices < end).all()
        ):
            return f"{field} must be integers from 0 to {end - 1}"
    unbounded = ("expression_prior.lowest", "expression_prior.highest")
    for field, array in arrays.items():
        if np.isnan(array).any() or (field not in unbounded and np.isinf(array).any()):
            return f"{field} has values that are not finite"
    prior = model.expression_prior
    if prior is not None and (arrays["expression_prior.scale"] <= 0).any():
        return "expression_prior.scale must be above 0"
    if prior is not None and (arrays["expression_prior.lowest"] > arrays["expression_prior.highest"]).any():
        return "expression_prior.lowest must not be above expression_prior.highest"
    weight = arrays.get("photo_weight", np.zeros(0))
    if ((weight < 0) | (weight > 1)).any():
        return "photo_weight must be from 0 to 1"
    if len(model.expression_names) not in (0, expression):
        return f"expression_names has {len(model.expression_names)} names, expected {expression} or none"
    if model.albedo_examples is not None and (examples < SIMILAR or not albedo):
        return f"albedo_examples has {examples} people of {albedo} modes, expected {SIMILAR} people or more"
    return ""


def _field(model: MorphableModel, name: str) -> Any:
    """A field of the model, or of one of its fields; None where there is none."""
    field: Any = model
    for part in name.split("."):
        field = None if field is None else getattr(field, part)
    return field


# the first that takes a name loads it
LOADERS = (
    Loader(
        "builtin, builtin-coarse",
        BUILTIN.__contains__,
        lambda name: load_builtin(BUILTIN[name]),
        "install dfmvr_jax again",
    ),
    Loader(
        "the path of a BFM_model_front.mat file",
        lambda name: Path(name).suffix.lower() == ".mat",
        lambda name: load_bfm(Path(name)),
        "make it again by python -m dfmvr_jax.commands.prepare_bfm",
    ),
    Loader(
        "the folder of a clone of ICT-FaceKit",
        lambda name: is_facekit(Path(name)),
        lambda name: _checked(name, load_clone(Path(name))),
        f"clone it again: {CLONE}",
    ),
    Loader(
        "an .npz file of prepare_ict or GNM",
        lambda name: Path(name).suffix.lower() == ".npz",
        lambda name: _checked(name, load_npz(Path(name))),
        REMEDY,
    ),
    Loader(
        "package.module:function of a model of your own",
        lambda name: ":" in name,
        lambda name: _checked(name, load_own(name)),
        "docs/head_models.md says what its function returns",
    ),
)
