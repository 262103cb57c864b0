"""`load_face_model`: the built-in model or a BFM file, by name or path."""

import functools
from pathlib import Path

from dfmvr_jax.errors import InputError
from dfmvr_jax.face_model.builtin import load_builtin
from dfmvr_jax.face_model.morphable_model import MorphableModel

BUILTIN = {"builtin": "fine", "builtin-coarse": "coarse"}


@functools.lru_cache(maxsize=4)
def load_face_model(name_or_path: str) -> MorphableModel:
    """A face model by name, "builtin" or "builtin-coarse", or from a `BFM_model_front.mat` file.

    Loaded once per process. Raises `InputError` for an unknown name and for a file that is not such a model.
    """
    if name_or_path in BUILTIN:
        return load_builtin(BUILTIN[name_or_path])
    if Path(name_or_path).suffix != ".mat":
        raise InputError(
            f"face model {name_or_path}: expected one of {', '.join(BUILTIN)} or the path of a"
            " BFM_model_front.mat file"
        )
    from dfmvr_jax.face_model.bfm import load_bfm

    return load_bfm(Path(name_or_path))
